import { generateKeyPairSync } from "node:crypto";
import { EnrolAnswer } from "@mayfly/core/enrolment";
import type { Brokers, EnrolRequest } from "@mayfly/core/enrolment";
import { limits } from "@mayfly/core/limits";
import { ChannelError } from "./channel-error.ts";
import { createChannel } from "./channel.ts";
import { pinnedTransport } from "./pinned-transport.ts";
import type { Transport } from "./transport.ts";

/**
 * Makes this machine's key pair and has it enrolled: the way to the broker from then on. The private key is in the
 * memory of this process and never on a disk. Throws ChannelError: a refusal is final, and a broker that cannot be
 * reached is given up when the machine's time to boot is over, after which it is destroyed anyway.
 */
export async function enrol(options: { brokers: Brokers; pins: readonly string[] }): Promise<Transport> {
  const { brokers, pins } = options;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const channel = createChannel(brokers[0], pinnedTransport({ brokers, pins, identity: null }));
  const body: EnrolRequest = {
    schema: 1,
    key: publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  };
  const answer = await channel.call({ method: "POST", path: "/v1/enrol", body, patienceMs: limits.cloudBootMs });
  const read = EnrolAnswer.safeParse(answer.body);
  if (!read.success) {
    throw new ChannelError("refused", "the answer to the enrolment does not fit the protocol");
  }
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return pinnedTransport({ brokers, pins, identity: { key, certificate: read.data.certificate } });
}
