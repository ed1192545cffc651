import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, say, stall } from "../fakes/model/script.ts";
import { partOf } from "../support/processes.ts";
import { eventually } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, RUN_MS, startRun, whenAskingTheModel, whenever } from "./support.ts";

const answered = { outcome: "succeeded", code: "answered", says: /It holds\./ } as const;
let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      { when: /stalls once/, script: [stall({ times: 1 }), say("It holds.")] },
      { when: /answers/, script: [run("sleep 2"), say("It holds.")] },
    ],
  });
});

afterAll(() => world?.close());

/** Ends a process of the service as a crash would, and waits until there is another in its place. */
async function crash(name: string): Promise<void> {
  const { pid } = await partOf(world, name);
  process.kill(pid, "SIGKILL");
  await eventually(
    async () => {
      const now = await partOf(world, name).catch(() => null);
      return now !== null && now.pid !== pid ? now : null;
    },
    RUN_MS,
    async () => world.service().log().slice(-2_000),
  );
}

/** Tokens that are good for something still. One that GitHub made while its asker died was in nobody's hands. */
function alive({ github }: TestWorld): unknown[] {
  return github.tokens().filter(({ revokedAt, uses }) => revokedAt === undefined && uses.length > 0);
}

describe("a crash costs no run", () => {
  it("of the broker, while Codex waits for the model", async () => {
    const started = await startRun(world, { prompt: "stalls once" });
    await whenAskingTheModel(world, started);
    const { pid } = world.service().addresses;
    await crash("broker");
    await expectEnd(world, started, answered);
    expect((await partOf(world, "service")).pid).toBe(pid);
  });

  it("of the signer, just as the result is to be published, and every token is revoked", async () => {
    const started = await startRun(world, { prompt: "answers" });
    await whenAskingTheModel(world, started);
    let isSlow = true;
    const pathPattern = whenever((path) => isSlow && path.endsWith("/access_tokens"));
    world.github.failNext({ method: "POST", pathPattern, delayMs: 2_000, times: 1_000 });
    await world.control.waitFor(started.id, ({ run: seen }) => seen.phase === "publishing", RUN_MS);
    await crash("signer");
    isSlow = false;
    await expectEnd(world, started, answered);
    await eventually(
      async () => (alive(world).length === 0 ? true : null),
      RUN_MS,
      async () => JSON.stringify(alive(world)),
    );
  });
});
