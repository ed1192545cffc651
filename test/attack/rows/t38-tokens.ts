import { join } from "node:path";
import { isAppError } from "@mayfly/core";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createPemAppKey } from "../../../apps/orchestrator/src/signer/app-key.ts";
import { openSigner, type SignerCore } from "../../../apps/orchestrator/src/signer/open-signer.ts";
import { purposeNames } from "../../../apps/orchestrator/src/signer/purposes.ts";
import type { MintRequest } from "../../../apps/orchestrator/src/signer/signer.ts";
import { createFakeGitHub, type FakeGitHub } from "../../fakes/github/server.ts";
import type { Random } from "../corpus/random.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

/** The most that each purpose may have, written down here once more. */
const table: Readonly<Record<string, readonly string[]>> = {
  read: ["contents:read", "metadata:read", "pull_requests:read"],
  source: ["contents:read", "metadata:read"],
  defaults: ["contents:read", "metadata:read"],
  checks: ["checks:read", "metadata:read"],
  progress: ["checks:write", "metadata:read"],
  answer: ["metadata:read", "pull_requests:write"],
  publish: ["checks:write", "metadata:read", "pull_requests:write"],
  patch: ["contents:write", "metadata:read"],
  draft: ["contents:write", "metadata:read", "pull_requests:write"],
};
const purposes = Object.keys(table);
/** A sweep asks GitHub a handful of times. */
const SWEPT_MS = 20_000;

export const tokens: Row = {
  id: "T38",
  attack:
    "Tokens are asked for with more rights, for more repositories or for other purposes, or are left alive by a crash.",
  needs: "nothing",
  unit: "requests for tokens",
  control: "a token that was not given back is alive on GitHub's side, and the usual ones are minted",
  async run(context) {
    const tally = createTally();
    const github = await createFakeGitHub({});
    const one = await github.createRepository({ owner: "example-org", name: "one", files: { "a.txt": "a" } });
    await github.createRepository({ owner: "example-org", name: "other", files: { "a.txt": "a" } });
    const defaults = await github.createRepository({ owner: "example-org", name: ".github", files: { "a.txt": "a" } });
    const end = context.atEnd(() => github.close());
    const folder = join(await context.folder(), "signer");
    const place = { installation: one.installationId ?? 0, repository: one.id };
    const bench: Bench = { context, github, folder, place, defaults: defaults.id };
    tally.equal(purposeNames.toSorted(), purposes.toSorted(), "purposes that the signer mints for");
    await scopes(tally, bench);
    await outOfTable(tally, bench);
    // Where a token that is in the table is refused, there is none that could be left.
    if (!tally.isBroken) {
      await crashes(tally, bench);
    }
    await end();
    return tally.verdict("every token had its purpose's rights on one repository, and every one is dead");
  },
};

interface Bench {
  readonly context: AttackContext;
  readonly github: FakeGitHub;
  readonly folder: string;
  readonly place: { readonly installation: number; readonly repository: number };
  /** The id of the owner's repository `.github`. */
  readonly defaults: number;
}

function open({ github, folder }: Bench): Promise<SignerCore> {
  const { log } = createLog({ level: "silent" });
  const key = createPemAppKey(github.privateKeyPem ?? "");
  return openSigner({ folder, url: github.url, appId: github.appId, key, clock: { now: () => Date.now() }, log });
}

/** What GitHub has on record of every token that was ever minted. */
async function scopes(tally: Tally, bench: Bench): Promise<void> {
  const core = await open(bench);
  const signer = core.forSession("first");
  for (let left = bench.context.cases(200, 12); left > 0; left--) {
    const purpose = purposes[left % purposes.length] as MintRequest["purpose"];
    const minted = await signer.mint(requestOf(purpose, bench)).catch(String);
    if (typeof minted === "string") {
      tally.expect(false, `a token for ${purpose} is refused: ${minted}`);
      continue;
    }
    const { token } = minted;
    const record = bench.github.tokens().find((one) => one.token === token);
    tally.control(record !== undefined && record.revokedAt === undefined, "a token that was just minted is not alive");
    const rights = Object.entries(record?.permissions ?? {}).map(([name, level]) => `${name}:${level}`);
    const beyond = rights.filter((right) => !table[purpose]?.includes(right));
    tally.equal(beyond, [], `rights of a token for ${purpose} beyond the table`);
    tally.equal(
      record?.repositoryIds,
      [purpose === "defaults" ? bench.defaults : bench.place.repository],
      `repositories of a token for ${purpose}`,
    );
    await signer.revoke(token);
    tally.expect(
      bench.github.tokens().find((one) => one.token === token)?.revokedAt !== undefined,
      `a token for ${purpose} given back lives`,
    );
  }
  await core.close();
}

function requestOf(purpose: MintRequest["purpose"], { place }: Bench): MintRequest {
  return { purpose, ...place, ...(purpose === "defaults" ? { owner: "example-org" } : {}) };
}

/** Whatever is asked beyond the table is refused, and GitHub hears nothing of it. */
async function outOfTable(tally: Tally, bench: Bench): Promise<void> {
  const core = await open(bench);
  const signer = core.forSession("first");
  const random = bench.context.random("requests");
  const before = bench.github.tokens().length;
  for (let left = bench.context.cases(100_000, 400); left > 0 && !tally.isBroken; left--) {
    const request = strangeRequest(random, bench);
    const refusal = await signer.mint(request as unknown as MintRequest).then(
      () => null,
      (error: unknown) => error,
    );
    tally.expect(
      isAppError(refusal, "INPUT_INVALID"),
      () => `${JSON.stringify(request)} is answered ${String(refusal)}`,
    );
    const route = random.pick([
      "GET /app/installations",
      "DELETE /app/installations/1",
      "PATCH /app/hook/config",
      "__proto__",
      "constructor",
      "toString",
    ]);
    const other = await signer.asApp(route as "GET /app", {}).then(
      () => null,
      (error: unknown) => error,
    );
    tally.expect(isAppError(other, "INPUT_INVALID"), () => `${route} is answered ${String(other)}`);
  }
  tally.equal(bench.github.tokens().length - before, 0, "tokens minted for such requests");
  await core.close();
}

function strangeRequest(random: Random, { place }: Bench): Record<string, unknown> {
  const strange = random.pick([
    { purpose: random.pick(["contents", "admin", "workflows", "", "__proto__", "constructor", "READ", "toString"]) },
    { repository: random.pick([0, -1, 1.5, Number.NaN, 2 ** 53, "1", null, [1], undefined]) },
    { installation: random.pick([0, -1, 1.5, Infinity, "1/../2", null, {}]) },
    { purpose: "read", owner: "example-org" },
    { purpose: "defaults", owner: random.pick(["", "a/b", "../x", 1, null, undefined]) },
  ]);
  return { purpose: random.pick(purposes), ...place, ...strange };
}

/** The service or the signer dies with tokens out: the next one revokes them all. */
async function crashes(tally: Tally, bench: Bench): Promise<void> {
  for (const who of ["service", "signer"]) {
    const core = await open(bench);
    const before = core.forSession(`before the ${who}'s death`);
    const out: string[] = [];
    for (const purpose of purposes) {
      out.push((await before.mint(requestOf(purpose as MintRequest["purpose"], bench))).token);
    }
    const alive = () =>
      bench.github.tokens().filter(({ token, revokedAt }) => out.includes(token) && revokedAt === undefined).length;
    tally.control(alive() === purposes.length, "a token that is out is not alive");
    const next = who === "signer" ? await open(bench) : core;
    await next.forSession(`after the ${who}'s death`).asApp("GET /app", {});
    await next.sweep();
    const until = performance.now() + SWEPT_MS;
    while (alive() > 0 && performance.now() < until) {
      await next.sweep();
    }
    tally.equal(alive(), 0, `tokens that outlived the ${who}`);
    await next.close();
    await core.close();
  }
}
