import { ec2Defences } from "./rows/ec2/defences.ts";
import { machineDefences } from "./rows/machine/defences.ts";

/** A defence, and the patch that switches it off. */
export interface Defence {
  /** The row that must notice. */
  readonly row: string;
  /** What is missing then; follows "without". */
  readonly name: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

const CORE = "packages/core/src";
const SERVICE = "apps/orchestrator/src";

/** Defences of the rows that need no machine, each small enough that nothing else is missing with it. */
const defencesWithoutMachine: readonly Defence[] = [
  {
    row: "T01",
    name: "marks that no text contains",
    file: `${CORE}/prompt.ts`,
    find: "while (all.includes(mark.toLowerCase())) {",
    replace: "while (all.includes(mark.toLowerCase()) && mark === '') {",
  },
  {
    row: "T02",
    name: "the removal of invisible characters from prompts",
    file: `${CORE}/visible-text.ts`,
    find: ".replace(INVISIBLE, () => {",
    replace: ".replace(/(?!)/g, () => {",
  },
  {
    row: "T02",
    name: "the removal of HTML comments from prompts",
    file: `${CORE}/visible-text.ts`,
    find: "text.indexOf(COMMENT_BEGIN);",
    replace: "-1;",
  },
  {
    row: "T02",
    name: "the removal of invisible characters from answers",
    file: `${CORE}/safe-output/characters.ts`,
    find: ".replace(INVISIBLE, countInvisible)",
    replace: "",
  },
  {
    row: "T03",
    name: "the refusal of slashes in labels",
    file: `${CORE}/task-file.ts`,
    find: "if (/[/\\\\]/.test(label)) {",
    replace: "if (label === '/') {",
  },
  {
    row: "T03",
    name: "the refusal of ways out of the repository",
    file: `${CORE}/task-options.ts`,
    find: 'part === ".." ||',
    replace: "",
  },
  {
    row: "T03",
    name: "the closed list of Codex's settings",
    file: `${CORE}/task-args.ts`,
    find: "if (check === undefined) {",
    replace:
      'if (check === undefined) {\n    return { ok: true, args: ["--config", argument] };\n  }\n  if (check === undefined) {',
  },
  {
    row: "T04",
    name: "the comparison with the approved commit",
    file: `${CORE}/recheck.ts`,
    find: "if (facts.head !== origin.head) {",
    replace: "if (facts.head === '') {",
  },
  {
    row: "T04",
    name: "the check at the claim",
    file: `${SERVICE}/runs/dispatch.ts`,
    find: "const ending = await deps.recheck(run).catch(endingWhenRefused);",
    replace: "const ending = await deps.recheck(run).then(() => null, endingWhenRefused);",
  },
  {
    row: "T04",
    name: "the check at publication",
    file: `${SERVICE}/publish/publisher.ts`,
    find: "const ending = showing.includes(run.ending.outcome) ? await deps.recheck(run) : null;",
    replace: "const ending = showing.length === 0 ? await deps.recheck(run) : null;",
  },
  {
    row: "T05",
    name: "the difference between triage and write",
    file: `${CORE}/policy.ts`,
    find: 'const rolesWithWrite = ["write", "maintain", "admin"];',
    replace: 'const rolesWithWrite = ["triage", "write", "maintain", "admin"];',
  },
  {
    row: "T05",
    name: "the role at the later checks",
    file: `${CORE}/recheck.ts`,
    find: "!rolesWithWrite.includes(facts.role)",
    replace: "rolesWithWrite.length === 0",
  },
  {
    row: "T05",
    name: "the refusal of bots that nobody named",
    file: `${CORE}/policy.ts`,
    find: "(task.allowBots && name === TRUSTED_BOT)",
    replace: "task.allowBots",
  },
  {
    row: "T06",
    name: "the difference between forks and the repository itself",
    file: `${CORE}/webhook.ts`,
    find: "return pullRequest.head.repository?.id !== pullRequest.base.repositoryId;",
    replace: "return pullRequest.head.repository?.fork === undefined && pullRequest.number < 0;",
  },
  {
    row: "T06",
    name: "the wait for a fork's head to settle",
    file: `${CORE}/policy.ts`,
    find: "headPushedAt !== null && labelledAt - headPushedAt >= limits.forkSettleMs",
    replace: "headPushedAt !== null && labelledAt - headPushedAt >= 0",
  },
  {
    row: "T07",
    name: "the signature",
    file: `${SERVICE}/intake/signature.ts`,
    find: "return fits.includes(true);",
    replace: "return fits.length > 0;",
  },
  {
    row: "T07",
    name: "the memory of what events mean",
    file: `${SERVICE}/intake/handle-delivery.ts`,
    find: "if (!claimed.first) {",
    replace: 'if (!claimed.first && claimed.by === "") {',
  },
  {
    row: "T08",
    name: "the bound on a delivery's size",
    file: `${SERVICE}/intake/webhook-server.ts`,
    find: "bodyLimit: limits.webhookBytesMax,",
    replace: "bodyLimit: 1_000_000_000,",
  },
  {
    row: "T10",
    name: "the check of what is fetched",
    file: `${SERVICE}/source/git-environment.ts`,
    find: '["fetch.fsckObjects", "true"],',
    replace: '["fetch.fsckObjects", "false"],',
  },
  {
    row: "T11",
    name: "the refusal of second names",
    file: "apps/agent/src/inside/read.ts",
    find: "!stat.isFile() || stat.nlink !== 1",
    replace: "!stat.isFile()",
  },
  {
    row: "T11",
    name: "the refusal of links",
    file: "apps/agent/src/inside/read.ts",
    find: "constants.O_RDONLY | constants.O_NOFOLLOW |",
    replace: "constants.O_RDONLY |",
  },
  {
    row: "T19",
    name: "the limits of a budget",
    file: `${SERVICE}/store/model-spend.ts`,
    find: "local left = limit - (tonumber(spent[k]) or 0)",
    replace: "local left = limit * 1000000 - (tonumber(spent[k]) or 0)",
  },
  {
    row: "T19",
    name: "counting a settlement once",
    file: `${SERVICE}/store/model-spend.ts`,
    find: "if redis.call('SREM', KEYS[1], ARGV[1]) == 0 then return 0 end",
    replace: "redis.call('SREM', KEYS[1], ARGV[1])",
  },
  {
    row: "T28",
    name: "the destruction of machines without a record",
    file: `${CORE}/fleet-present.ts`,
    find: "(one) => !recorded.has(one.id) && !isExpected(one)",
    replace: '(one) => one.id === ("" as string) && !recorded.has(one.id) && !isExpected(one)',
  },
  {
    row: "T34",
    name: "the refusal of names given twice",
    file: `${CORE}/strict-json.ts`,
    find: "const why = inspect(text);",
    replace: "const why = text === '' ? inspect(text) : null;",
  },
  {
    row: "T37",
    name: "what keeps the model's key from the service",
    file: `${SERVICE}/process/settings.ts`,
    find: "return { ...config, model: { url, default: name, prices } };",
    replace: "return { ...config, model: { ...config.model, url, default: name, prices } };",
  },
  {
    row: "T17",
    name: "the list of fields that may be sent",
    file: `${CORE}/model-request/tools.ts`,
    find: "types: { ...plainTools, namespace },",
    replace: "types: { ...plainTools, namespace, web_search: (value: unknown) => value },",
  },
  {
    row: "T17",
    name: "the refusal of addresses for images",
    file: `${CORE}/model-request/content.ts`,
    find: "if (!/^data:/i.test(value)) {",
    replace: "if (!/^data:/i.test(value)) {\n    return value;\n  }\n  if (value === '') {",
  },
  {
    row: "T18",
    name: "one way to say how long a body is",
    file: `${SERVICE}/broker/channels.ts`,
    find: 'if (headers["transfer-encoding"] !== undefined) {',
    replace: 'if (headers["transfer-encoding"] === "") {',
  },
  {
    row: "T18",
    name: "the relay's own method",
    file: "apps/agent/src/relay.ts",
    find: 'incoming.method !== "POST" || incoming.url !== PATH || key === null',
    replace: "key === null",
  },
  {
    row: "T22",
    name: "the escaping of controls for terminals",
    file: `${CORE}/safe-output/to-terminal.ts`,
    find: ".replace(CONTROL, (c)",
    replace: ".replace(/(?!)/g, (c)",
  },
  {
    row: "T23",
    name: "the search for active words",
    file: `${CORE}/safe-output/active-words.ts`,
    find: "return ACTIVE.find(({ pattern }) => pattern.test(word))",
    replace: 'return ACTIVE.find(({ pattern }) => pattern.test(word) && word === "")',
  },
  {
    row: "T25",
    name: "the deafness to the App's own acts",
    file: `${CORE}/trigger.ts`,
    find: 'return sender.type === "Bot" && ',
    replace: 'return sender.type === "Bot" && sender.login === "" && ',
  },
  {
    row: "T26",
    name: "the search for reversed secrets",
    file: `${CORE}/safe-output/find-secrets.ts`,
    find: '{ form: "reversed", needle: fold(reversed) },',
    replace: "",
  },
  {
    row: "T29",
    name: "the comparison of versions at the claim",
    file: `${SERVICE}/runs/dispatch.ts`,
    find: '{ kind: "run", value: decidedRun, version: foundRun.version },',
    replace: "",
  },
  {
    row: "T29",
    name: "the search for the comment that is there already",
    file: `${SERVICE}/publish/comment.ts`,
    find: "?? (await findByMarker(options));",
    replace: "?? null;",
  },
  {
    row: "T24",
    name: "the rule about paths",
    file: `${CORE}/patch/check.ts`,
    find: "const why = refusePath(path);",
    replace: "const why = refusePath(path) === path ? path : null;",
  },
  {
    row: "T24",
    name: "protected paths",
    file: `${CORE}/patch/check.ts`,
    find: "if (isProtected(path, allowed)) {",
    replace: 'if (isProtected(path, allowed) && path === "") {',
  },
  {
    row: "T24",
    name: "the workflows that no setting gives away",
    file: `${CORE}/patch/protected.ts`,
    find: "if (isWorkflow(path)) {",
    replace: 'if (isWorkflow(path) && path === "") {',
  },
  {
    row: "T24",
    name: "the comparison with the commit",
    file: `${CORE}/patch/check.ts`,
    find: "if ((entry?.sha ?? null) !== change.base) {",
    replace: 'if (change.base === "") {',
  },
  {
    row: "T24",
    name: "the refusal of links and modes",
    file: `${CORE}/patch/check.ts`,
    find: "(!isGone && mode !== present)",
    replace: "(!isGone && mode === null)",
  },
  {
    row: "T24",
    name: "the look at the head when a patch is applied",
    file: `${CORE}/patch/apply.ts`,
    find: "if (now.head !== origin.head) {",
    replace: 'if (now.head === "") {',
  },
  {
    row: "T24",
    name: "the role of whoever applies a patch",
    file: `${CORE}/patch/apply.ts`,
    find: "!rolesWithWrite.includes(now.role)",
    replace: "rolesWithWrite.length === 0",
  },
  {
    row: "T38",
    name: "the one repository of a token",
    file: `${SERVICE}/signer/mint-token.ts`,
    find: "      ...(isByName ? { repositories: [DEFAULTS_REPOSITORY] } : { repository_ids: [repository] }),\n",
    replace: "",
  },
  {
    row: "T39",
    name: "the refusal of links in place of task files",
    file: `${SERVICE}/github/contents.ts`,
    find: 'data.type !== "file"',
    replace: "data.size < 0",
  },
  {
    row: "T39",
    name: "the refusal of a missing task file",
    file: `${CORE}/policy.ts`,
    find: "if (file === null) {",
    replace:
      'if (file === null) {\n    return readTask(label, { ok: true, options: {}, prompt: "Review." }, defaults);\n  }\n  if (file === null) {',
  },
  {
    row: "T40",
    name: "the hashes of the image's files",
    file: "infra/image/src/verify.ts",
    find: "if (found !== read.image.manifest.files[name].sha256) {",
    replace: "if (found === '') {",
  },
  {
    row: "T41",
    name: "the look at the hosts that the task names",
    file: `${CORE}/setup-connection.ts`,
    find: "if (!hosts.includes(host)) {",
    replace: "if (host === '') {",
  },
  {
    row: "T41",
    name: "the comparison with the name in TLS",
    file: `${SERVICE}/broker/setup-tunnels.ts`,
    find: 'hello.kind === "host" && hello.host === host ?',
    replace: 'hello.kind === "host" ?',
  },
  {
    row: "T41",
    name: "the bound of what a set-up sends",
    file: `${CORE}/setup-connection.ts`,
    find: "if (gate !== null || frozenAt !== null || spent(mine) + limits.setupReserveBytes > limits.setupSentBytesMax) {",
    replace: "if (gate !== null || frozenAt !== null) {",
  },
  {
    row: "T41",
    name: "the wait of the gate for the set-up's connections",
    file: `${CORE}/decide-run.ts`,
    find: " && !hasOpenSetupConnection(run, now)",
    replace: "",
  },
];

export const defences: readonly Defence[] = [...defencesWithoutMachine, ...ec2Defences, ...machineDefences];
