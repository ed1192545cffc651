import { request } from "node:http";
import { join } from "node:path";
import { machineFolder } from "../../../../apps/orchestrator/src/fleet/providers/qemu/machine-folder.ts";
import type { Row } from "../../row.ts";
import { createTally } from "../../tally.ts";
import { battery, type Battery } from "./battery.ts";
import { emulatorFacts } from "./emulator-facts.ts";
import { scanOf } from "./memory.ts";

const ANSWER_MS = 30_000;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}

/** What a capability is for. */
const capabilityCalls: readonly Call[] = [
  { method: "POST", path: "/v1/heartbeat" },
  { method: "GET", path: "/v1/source" },
  { method: "POST", path: "/v1/key" },
  {
    method: "POST",
    path: "/v1/gate",
    body: { safety_strategy: "unsafe", checks: [{ name: "a", ok: true, seen: "" }] },
  },
  { method: "POST", path: "/v1/events", body: { first: 0, events: [] } },
  { method: "POST", path: "/v1/freeze" },
  {
    method: "POST",
    path: "/v1/result",
    body: { kind: "failure", epoch: 1, failure: { step: "codex", message: "stolen" } },
  },
];
const modelCall: Call = {
  method: "POST",
  path: "/v1/responses",
  body: {
    model: "gpt-5.5",
    input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "smuggled" }] }],
    stream: true,
    store: false,
  },
};

export const stolenCapability: Row = {
  id: "T20",
  attack:
    "Root takes capability and key out of the agent's memory; they are used from another machine, and after the end.",
  needs: "machine",
  control: "on the channel of the machine they were lent to, before the end, both are good",
  async run(context) {
    const tally = createTally();
    const [other, robbed] = [await battery(context, "codex"), await battery(context, "root")];
    const { found, planted } = robbed.report.search;
    const tokens = found.filter((value) => value !== planted && /^mf[ck]_/.test(value));
    const [theirs, ours] = [channelOf(other), channelOf(robbed)];
    let good = 0;
    for (const token of tokens) {
      const [heartbeat, model] = [
        await ask(ours, { method: "POST", path: "/v1/heartbeat" }, token),
        await ask(ours, modelCall, token),
      ];
      good += Number(heartbeat === 200) + Number(model === 200);
      tally.expect(!(heartbeat === 200 && model === 200), "one token is good for everything");
      for (const call of [...capabilityCalls, modelCall]) {
        const status = await ask(theirs, call, token);
        tally.expect(status === 401 || status === 403, `${call.path} on another machine's channel: ${status}`);
      }
    }
    // The key is renewed meanwhile; the one that was in memory may have been replaced, the capability may not.
    tally.control(good > 0, `none of ${tokens.length} tokens is good where it was lent`);
    // What other rows ask of the living machine is looked at now.
    await emulatorFacts(robbed);
    if (context.isTried("T30")) {
      await scanOf(context, robbed);
    }
    await robbed.finish();
    for (const token of tokens) {
      for (const call of [...capabilityCalls, modelCall]) {
        tally.equal(await ask(ours, call, token), "ENOENT", `${call.path} on its own channel after the end`);
        const status = await ask(theirs, call, token);
        tally.expect(status === 401 || status === 403, `${call.path} on another channel after the end: ${status}`);
      }
    }
    const { run } = await other.world.control.view(other.id);
    tally.equal(run.phase, "running", "the other run");
    return tally.verdict(`${tokens.length} tokens were stolen, and good for nothing`);
  },
};

function channelOf({ world, machine }: Battery): string {
  return join(machineFolder(world.stateDir, machine).channel, "broker.sock");
}

/** The status of the answer, or the error's code where nobody listens. */
async function ask(socketPath: string, { method, path, body }: Call, token: string): Promise<number | string> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
  };
  return new Promise((resolve) => {
    const asked = request({ socketPath, method, path, headers, timeout: ANSWER_MS }, (answer) => {
      answer.resume();
      answer.on("error", () => undefined);
      answer.on("close", () => resolve(answer.statusCode ?? 0));
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer in time")));
    asked.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    asked.end(text);
  });
}
