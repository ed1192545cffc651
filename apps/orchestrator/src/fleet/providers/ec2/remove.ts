import {
  DeleteNetworkInterfaceCommand,
  DeleteVolumeCommand,
  type EC2Client,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import type { SeenThing } from "./describe.ts";
import { bounded, saidBy } from "./ec2-client.ts";
import { faultOf } from "./ec2-faults.ts";

/** Instances of one call: fewer than EC2 takes, so that one call does not run out of time. */
const CHUNK_MAX = 500;
/** Limit: EC2 allows 100 calls to end or delete something at once and 5 more each second; other callers need some. */
const SINGLES_MAX = 25;

/** What became of a request to remove something. */
export interface Asked {
  readonly id: string;
  /** What EC2 said against it; null when it took it or the thing is not there. */
  readonly refusal: string | null;
}

/**
 * Asks EC2 to end instances at once, without waiting for what runs in them. Never throws; nothing is gone yet
 * afterwards. What EC2 throttled, or what is too much for one go, is missing in the answer: ask again later.
 *
 * @param listed What EC2 lists: asked for in chunks, one by one where a chunk is refused.
 * @param unlisted What it may not know: one would make EC2 refuse a whole chunk, so each is asked for by itself.
 */
export async function terminateInstances(
  ec2: EC2Client,
  ids: { listed: readonly string[]; unlisted: readonly string[] },
): Promise<Asked[]> {
  const asked: Asked[] = [];
  const singles = [...ids.unlisted];
  for (let at = 0; at < ids.listed.length; at += CHUNK_MAX) {
    const chunk = ids.listed.slice(at, at + CHUNK_MAX);
    const outcome = await terminate(ec2, chunk);
    if (outcome === "throttled") {
      return asked;
    }
    if (outcome === "missing" || (outcome.final && chunk.length > 1)) {
      // One of them is not there or not ours to end: the others must not wait for it.
      singles.push(...chunk);
    } else {
      asked.push(...chunk.map((id) => ({ id, refusal: outcome.refusal })));
    }
  }
  for (const id of singles.slice(0, SINGLES_MAX)) {
    const outcome = await terminate(ec2, [id]);
    if (outcome === "throttled") {
      return asked;
    }
    asked.push({ id, refusal: outcome === "missing" ? null : outcome.refusal });
  }
  return asked;
}

/** Asks EC2 to delete volumes and network interfaces. Never throws; see `terminateInstances`. */
export async function deleteThings(
  ec2: EC2Client,
  things: readonly Pick<SeenThing, "id" | "kind">[],
): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const { id, kind } of things.slice(0, SINGLES_MAX)) {
    const outcome = await outcomeOf(() =>
      kind === "volume"
        ? ec2.send(new DeleteVolumeCommand({ VolumeId: id }), bounded())
        : ec2.send(new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: id }), bounded()),
    );
    if (outcome === "throttled") {
      return asked;
    }
    asked.push({ id, refusal: outcome === "missing" ? null : outcome.refusal });
  }
  return asked;
}

/** `final`: EC2 would say the same again. */
type Outcome = { readonly refusal: string | null; readonly final: boolean } | "missing" | "throttled";

/** Only both together end an instance at once: else EC2 waits for what runs in it, and charges. */
function terminate(ec2: EC2Client, ids: string[]): Promise<Outcome> {
  const request = { InstanceIds: ids, Force: true, SkipOsShutdown: true };
  return outcomeOf(() => ec2.send(new TerminateInstancesCommand(request), bounded()));
}

async function outcomeOf(send: () => Promise<unknown>): Promise<Outcome> {
  try {
    await send();
    return { refusal: null, final: false };
  } catch (error) {
    const fault = faultOf(error);
    return fault === "missing" || fault === "throttled"
      ? fault
      : { refusal: saidBy(error), final: fault !== "unknown" };
  }
}
