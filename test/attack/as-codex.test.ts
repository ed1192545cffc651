import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { limits, type RunId } from "@mayfly/core";
import { afterEach, expect, it } from "vitest";
import { connectForCommands, waitUntilReady } from "../../apps/orchestrator/src/store/connection.ts";
import { createResultStore } from "../../apps/orchestrator/src/store/results.ts";
import { readConversation } from "../fakes/model/conversation.ts";
import { run, say, type Script } from "../fakes/model/script.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { RUN_MS, startRun } from "./scene.ts";

/** Two runs, one of which tries some hundred things, each a process, in an emulated machine on a busy host. */
const TEST_MS = 900_000;
const ATTACK_MS = 540_000;
const YIELD_MS = 30_000;
const REDIS_MS = 10_000;
const NODE = "/opt/node/bin/node";

let world: TestWorld | null = null;

afterEach(async () => {
  await world?.close();
  world = null;
}, TEST_MS);

interface Search {
  readonly planted: string;
  readonly found: readonly string[];
  readonly strangers: readonly unknown[];
  readonly files: readonly string[];
}

/** What intruder.mjs prints. */
interface Report {
  readonly hidden: {
    readonly hidden: number;
    readonly strangers: readonly number[];
    readonly opened: readonly string[];
    readonly signalled: readonly unknown[];
    readonly traced: readonly number[];
  };
  readonly search: Search;
  readonly searchAsRootOfNamespace: Search;
  readonly rights: {
    readonly tried: number;
    readonly worked: readonly string[];
    /** Exit codes of what the other ways rest on. */
    readonly controls: Readonly<Record<string, number | null>>;
    readonly setuid: readonly string[];
    readonly status: Readonly<Record<string, string>>;
  };
  readonly network: {
    readonly reached: readonly string[];
    readonly answered: readonly string[];
    readonly outcomes: Readonly<Record<string, string>>;
    readonly name: string;
    readonly control: string;
  };
  readonly relay: { readonly answers: Readonly<Record<string, string>>; readonly smuggled: string };
  readonly left: { readonly written: readonly string[] };
  readonly saw: readonly string[];
}

it(
  "the published attack and all that goes with it finds nothing, reaches nothing and leaves nothing",
  async () => {
    const mark = `intruder-${randomBytes(12).toString("hex")}`;
    const intruder = await readFile(new URL("intruder.mjs", import.meta.url), "utf8");
    const here = (world = await startWorld({
      scripts: [
        { when: /^smuggled$/, script: [say("smuggled")] },
        { when: /attack/, script: commanded(`${NODE} tools/intruder.mjs attack ${mark}`) },
        { when: /look around/, script: commanded(`${NODE} tools/intruder.mjs look`) },
      ],
    }));
    const hostile = {
      sandbox: "danger-full-access",
      head: { "tools/intruder.mjs": intruder, "README.md": "# Shelf\n\nX.\n" },
    };

    const first = await startRun(here, { prompt: "Run the attack.", ...hostile });
    const { run: ended } = await here.control.waitFor(first.id, (view) => view.receipt !== null, ATTACK_MS);
    expect(ended).toMatchObject({ phase: "done", ending: { outcome: "succeeded" } });
    const report = reportOf<Report>(here, /attack/);

    expectNothingFound(report);
    expectNoMoreRights(report);
    expectNothingReached(report);
    expectRelayRefused(here, report, mark);

    // Both places are the attempt's own, and gone with its machine.
    expect(report.left.written.toSorted()).toEqual(mayWrite.toSorted());
    expect(report.saw.toSorted()).toEqual(mayWrite.toSorted());
    await expectNothingLeft(here, first.id, mark);

    const second = await startRun(here, { prompt: "Now look around.", ...hostile });
    await here.control.waitFor(second.id, (view) => view.receipt !== null, RUN_MS);
    expect(reportOf<string[]>(here, /look around/)).toEqual([]);
  },
  TEST_MS,
);

/** All that Codex's user may write outside of the repository. */
const mayWrite = ["/home/codex/.profile", "/home/codex/.bashrc", "/tmp/intruder", "/dev/shm/intruder"];

function commanded(command: string): Script {
  return [run(command, { yieldTimeMs: YIELD_MS }), say("Done.")];
}

/** What the last command printed, as Codex told the model. */
function reportOf<T>({ model }: TestWorld, prompt: RegExp): T {
  const seen = (model?.requests ?? []).map(({ body }) => readConversation(body ?? {}));
  const output = seen.findLast((one) => prompt.test(one.prompt))?.output ?? "";
  try {
    return JSON.parse(output) as T;
  } catch (cause) {
    throw new Error(`the intruder printed: ${output.slice(0, 4_000)}`, { cause });
  }
}

function expectNothingFound({ hidden, search, searchAsRootOfNamespace }: Report): void {
  // Process 1, the agent and its watchdogs are there; a search that could not see any would prove nothing.
  expect(hidden.hidden).toBeGreaterThan(2);
  expect(hidden).toMatchObject({ strangers: [], opened: [], signalled: [], traced: [] });
  expect(search).toMatchObject({ found: [search.planted], strangers: [] });
  expect(searchAsRootOfNamespace).toMatchObject({ found: [searchAsRootOfNamespace.planted], strangers: [] });
  expect(searchAsRootOfNamespace.files).toContain("mem");
}

function expectNoMoreRights({ rights }: Report): void {
  expect(rights.tried).toBeGreaterThan(25);
  expect(rights.controls).toEqual({ namespaces: 0, perl: 0, busybox: 0, find: 0 });
  expect(rights).toMatchObject({ worked: [], setuid: [] });
  expect(rights.status).toMatchObject({ Groups: "", CapPrm: NONE, CapEff: NONE, CapBnd: NONE, NoNewPrivs: "1" });
  expect(rights.status["Uid"]).toMatch(/^1001\s+1001\s+1001\s+1001$/);
}

const NONE = "0000000000000000";

function expectNothingReached({ network }: Report): void {
  expect(network.control).toBe("connected");
  expect(network).toMatchObject({ reached: [], answered: [] });
  expect(network.outcomes["10.0.2.2:8080"]).toBe("ENETUNREACH");
  expect(network.name).toMatch(/^E/);
}

function expectRelayRefused({ model, modelKey }: TestWorld, { relay }: Report, mark: string): void {
  const passed = Object.entries(relay.answers).filter(([, line]) => !/^(HTTP\/1\.1 4\d\d .*|ECONNRESET|)$/.test(line));
  expect(passed).toEqual([]);
  // A proper call is Codex's right; it goes out under headers of ours alone.
  expect(relay.smuggled).toBe("HTTP/1.1 200 OK");
  const requests = model?.requests ?? [];
  const smuggled = requests.filter(({ body }) => readConversation(body ?? {}).prompt === "smuggled");
  expect(smuggled).toHaveLength(1);
  for (const { method, path, headers } of requests) {
    expect([method, path, headers.authorization]).toEqual(["POST", "/v1/responses", `Bearer ${modelKey}`]);
    expect(JSON.stringify(headers)).not.toContain(mark);
  }
  expect(model?.violations).toEqual([]);
}

/** The machine is gone with all that was in it, and what came back was gathered when nothing of Codex ran any more. */
async function expectNothingLeft(here: TestWorld, id: string, mark: string): Promise<void> {
  const { run: ended } = await here.control.view(id);
  const [gone] = ended.gone;
  expect(gone?.evidence.checks.every(({ absent }) => absent)).toBe(true);
  expect(await processesNaming(gone?.machine ?? "")).toEqual([]);
  const patch = await patchOf(here, ended.id, ended.epoch);
  expect(patch).toContain("+beating");
  expect(patch).not.toContain("late");
  // The filter ran when the patch was made: as Codex's user, who could do no more than before.
  expect(patch).toContain("+1001\n");
  expect(patch).not.toMatch(/^\+(0|root:.*|.*-0)$/m);
  await expect(stat(`/tmp/ran-${mark}`)).rejects.toThrow("ENOENT");
}

/** The patch as the service keeps it. */
async function patchOf({ stateDir }: TestWorld, run: RunId, epoch: number): Promise<string> {
  const redis = connectForCommands({ socket: `${stateDir}/redis/redis.sock` });
  try {
    await waitUntilReady(redis, REDIS_MS);
    const kept = await createResultStore({ redis, prefix: "mayfly:", keepMs: limits.finishedRunMs }).getResult(
      run,
      epoch,
    );
    const patch = kept?.kind === "result" ? kept.result.patch : null;
    expect(patch).toMatchObject({ state: "present" });
    return patch?.state === "present" ? patch.text : "";
  } finally {
    redis.disconnect();
  }
}
