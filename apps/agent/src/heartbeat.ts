import { limits } from "@mayfly/core/limits";
import { HeartbeatAnswer } from "@mayfly/core/protocol";
import { ChannelError } from "./channel-error.ts";
import type { Channel } from "./channel.ts";
import type { StopReason } from "./stop.ts";

// The capability is not good, or no longer.
const DEAD: readonly number[] = [401, 403, 404, 410];

/** Renews the lease until it is stopped. */
export interface Heartbeat {
  stop(): void;
}

/**
 * Beats every `limits.heartbeatMs`, whatever else goes on. `onStop` is called when the broker wants the attempt to end,
 * or no longer knows it; being unreachable is no reason, for the service may be restarting and the deadline holds anyway.
 */
export function startHeartbeat(options: {
  channel: Channel;
  capability: string;
  onStop: (why: StopReason) => void;
}): Heartbeat {
  const { channel, capability, onStop } = options;
  let isBeating = false;
  const timer = setInterval(() => void beat(), limits.heartbeatMs);

  async function beat(): Promise<void> {
    if (isBeating) {
      return;
    }
    isBeating = true;
    try {
      const answer = await channel.call({
        method: "POST",
        path: "/v1/heartbeat",
        token: capability,
        timeoutMs: limits.heartbeatMs * 2,
        // The next beat is the next try.
        patienceMs: 0,
      });
      const { stop } = HeartbeatAnswer.parse(answer.body);
      if (stop !== null) {
        onStop(stop);
      }
    } catch (error) {
      if (error instanceof ChannelError && error.status !== null && DEAD.includes(error.status)) {
        onStop("revoked");
      }
    } finally {
      isBeating = false;
    }
  }

  return { stop: () => clearInterval(timer) };
}
