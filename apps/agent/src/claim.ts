import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Assignment, PROTOCOL_VERSION } from "@mayfly/core/protocol";
import type { ClaimRequest } from "@mayfly/core/protocol";
import { z } from "zod";
import { ChannelError } from "./channel-error.ts";
import type { Channel } from "./channel.ts";
import { places } from "./places.ts";

/** The agent's own version, as it introduces itself. */
const AGENT_VERSION = "0.1.0";

// The broker holds the poll open while it has nothing; this is far more than it does.
const POLL_MS = 120_000;
// One that has nothing and does not hold it open is not to be asked without end.
const PAUSE_MS = 250;
// A waiting machine has nothing better to do; the idle limit ends it from outside.
const PATIENCE_MS = 24 * 60 * 60_000;

/**
 * Waits for an attempt, as long as it takes: every poll is also the sign of life of a waiting machine. Throws
 * ChannelError when the broker refuses, for this machine will then never get one.
 */
export async function claimAttempt(channel: Channel, hello: ClaimRequest): Promise<Assignment> {
  for (;;) {
    const answer = await channel.call({
      method: "POST",
      path: "/v1/claim",
      body: hello,
      timeoutMs: POLL_MS,
      patienceMs: PATIENCE_MS,
    });
    if (answer.status === 200) {
      return readAssignment(answer.body);
    }
    if (answer.status !== 204) {
      throw new ChannelError("refused", `the claim answered ${answer.status}`);
    }
    await sleep(PAUSE_MS);
  }
}

/** Who we are. The CLI's version is read from its package: asking the CLI costs a second where the machine is emulated. */
export function introduce(): ClaimRequest {
  const CliPackage = z.object({ version: z.string().max(64) });
  const { version } = CliPackage.parse(JSON.parse(readFileSync(places.codexPackage, "utf8")));
  return { protocol: PROTOCOL_VERSION, agent: AGENT_VERSION, codex: version };
}

function readAssignment(body: unknown): Assignment {
  const read = Assignment.safeParse(body);
  if (!read.success) {
    throw new ChannelError("refused", `the assignment does not fit the protocol: ${z.prettifyError(read.error)}`);
  }
  return read.data;
}
