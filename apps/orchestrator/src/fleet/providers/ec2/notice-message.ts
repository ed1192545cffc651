import { type MachineId, readStrictJson } from "@mayfly/core";
import { z } from "zod";
import { machineIdOf } from "./machine-id.ts";

/** EventBridge's events of an instance have a tenth of this. */
const BODY_CHARS_MAX = 16 * 1024;
const DEPTH_MAX = 8;

/** AWS may add fields; what these say is all that counts. */
const Envelope = {
  source: z.literal("aws.ec2"),
  account: z.string(),
  region: z.string(),
};
const Message = z.discriminatedUnion("detail-type", [
  z.object({
    ...Envelope,
    "detail-type": z.literal("EC2 Spot Instance Interruption Warning"),
    detail: z.object({ "instance-id": z.string() }),
  }),
  z.object({
    ...Envelope,
    "detail-type": z.literal("EC2 Instance State-change Notification"),
    detail: z.object({ "instance-id": z.string(), state: z.enum(["shutting-down", "terminated"]) }),
  }),
]);

/** What EventBridge says of an instance of ours. */
interface NoticeMessage {
  readonly machine: MachineId;
  /** EC2 takes it back soon; else it has ended, for whatever reason. */
  readonly warned: boolean;
}

/**
 * Reads a message of the queue of notices.
 *
 * @returns Null for what is no such event, or is of another account or region.
 */
export function readNoticeMessage(body: string, place: { account: string; region: string }): NoticeMessage | null {
  const json = readStrictJson(body, { charsMax: BODY_CHARS_MAX, depthMax: DEPTH_MAX });
  const message = Message.safeParse(json.ok ? json.value : null);
  if (!message.success || message.data.account !== place.account || message.data.region !== place.region) {
    return null;
  }
  const machine = machineIdOf(message.data.detail["instance-id"]);
  const warned = message.data["detail-type"] === "EC2 Spot Instance Interruption Warning";
  return machine === null ? null : { machine, warned };
}
