import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:tls";
import type { MachineId } from "@mayfly/core";
import { createAuthority } from "../../../../apps/orchestrator/src/broker/enrolment/authority.ts";
import { doorBounds } from "../../../../apps/orchestrator/src/broker/enrolment/door-bounds.ts";
import { type DoorBench, openDoor } from "../../../enrolment/door-bench.ts";
import type { AttackContext } from "../../row.ts";

export const HERE = "127.0.0.21";
export const ELSEWHERE = "127.0.0.22";
const SAY_MS = 10_000;

/** What root in an instance can copy: the key pair that it was enrolled with, and its certificate. */
export interface Identity {
  readonly machine: MachineId;
  readonly key: KeyObject;
  readonly cert: string;
}

/** The broker's real door, closed by whoever ends the rows or before. */
export async function withDoor<T>(context: AttackContext, use: (bench: DoorBench) => Promise<T>): Promise<T> {
  const { guests, connections } = doorBounds;
  // Who comes too often finds the door closed, whatever he shows: here it is to say what it thinks of him.
  const patient = { burst: 1_000, perSecond: 1_000 };
  const bounds = { guests: { ...guests, ...patient }, connections: { ...connections, ...patient } };
  const bench = await openDoor(await context.redis(), { bounds });
  const close = context.atEnd(() => bench.close());
  try {
    return await use(bench);
  } finally {
    await close();
  }
}

export function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

/** Enrols a key as the agent of the machine at that address does. The certificate; what was answered where there is none. */
export async function enrolAt(bench: DoorBench, address: string, key: KeyObject): Promise<string> {
  const spki = createPublicKey(key).export({ type: "spki", format: "der" }).toString("base64");
  const said = await ask(bench, address, null, "POST /v1/enrol", JSON.stringify({ schema: 1, key: spki }));
  const [, certificate] = /"certificate":("[^"]+")/.exec(said) ?? [];
  return certificate === undefined ? said : (JSON.parse(certificate) as string);
}

/** A certificate that the machine's own key has signed. */
export function forge(identity: Identity, from: number, until: number): Identity {
  const key = createPublicKey(identity.key).export({ type: "spki", format: "der" });
  return { ...identity, cert: createAuthority(identity.key).issue({ machine: identity.machine, key, from, until }) };
}

/** The whole answer to one request on a connection of its own; empty where the door has hung up. */
export async function ask(
  bench: DoorBench,
  address: string,
  identity: Pick<Identity, "key" | "cert"> | null,
  line: string,
  body = "{}",
): Promise<string> {
  const shown =
    identity === null ? {} : { key: identity.key.export({ type: "pkcs8", format: "pem" }), cert: identity.cert };
  const socket = connect({ ...bench.dialFrom(address), rejectUnauthorized: false, timeout: SAY_MS, ...shown });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  // How it ended is not asked: the door may cut it at any time.
  socket.on("error", () => undefined);
  socket.on("timeout", () => socket.destroy());
  const head = [`${line} HTTP/1.1`, "host: broker", "connection: close", "content-type: application/json"];
  socket.write(`${[...head, `content-length: ${Buffer.byteLength(body)}`].join("\r\n")}\r\n\r\n${body}`);
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}
