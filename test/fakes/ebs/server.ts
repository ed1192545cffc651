/**
 * A stand-in for the EBS direct API: what writes snapshots block by block. It checks signatures, the service model's
 * members, every checksum and the count, and refuses what EBS refuses.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CompleteSnapshotRequest$, StartSnapshotRequest$ } from "@aws-sdk/client-ebs";
import { type Chance, createChance } from "../ec2/chance.ts";
import { Ec2Refusal } from "../ec2/refusal.ts";
import type { Ec2Fake } from "../ec2/server.ts";
import { checkSignature } from "../ec2/signature.ts";
import type { FakeSnapshot } from "../ec2/world.ts";

const BLOCK_BYTES = 512 * 1024;
const GIB = 1024 ** 3;
const BODY_BYTES_MAX = 2 * BLOCK_BYTES;
/** The service model's own pattern: neither an id nor an alias. */
const KEY_ARN = /^arn:aws[a-z-]*:kms:.*:[0-9]{12}:key\/.+$/;
/** The API's own bounds for a snapshot's life without blocks, minutes. */
const TIMEOUT = { min: 10, max: 4_320 };

export interface EbsFakeOptions {
  /** Whose snapshots these are: account, region, credentials and the list that EC2 shows. */
  readonly ec2: Pick<Ec2Fake, "region" | "credentials" | "snapshots">;
  readonly seed?: number;
  /** Calls that are throttled, 0 to 1. */
  readonly throttled?: number;
  /** Calls that are carried out and answered with a fault of the service, 0 to 1. */
  readonly lostReplies?: number;
  /** Whether the answer to a call that was carried out is lost, by its path. */
  readonly loses?: (target: string) => boolean;
  /** A completed snapshot is stored by `store` alone; else at once. */
  readonly staysPending?: boolean;
  /** A snapshot just begun is not found by so many calls that write: the API is eventually consistent. */
  readonly unknownFor?: (id: string) => number;
  /** Called before each block is taken. */
  readonly onBlock?: (index: number) => void;
  /** Called when a snapshot was completed. */
  readonly onComplete?: (id: string) => void;
  /** Called when somebody writes to a snapshot that was completed before. */
  readonly onLateBlock?: (id: string) => void;
}

export interface EbsFake {
  readonly url: string;
  /** Calls by operation. */
  readonly calls: Readonly<Record<string, number>>;
  /** Calls that no good client makes. */
  readonly violations: readonly string[];
  /** EBS gives up a snapshot that is not completed. */
  giveUp(id: string): void;
  /** EBS has stored what was completed. */
  store(id: string): void;
  close(): Promise<void>;
}

interface World extends EbsFakeOptions {
  readonly luck: Chance;
  readonly names: Chance;
  readonly tokens: Map<string, { readonly request: string; readonly id: string }>;
  /** Calls that did not find a snapshot yet. */
  readonly missed: Map<string, number>;
  /** Snapshots that were completed and take no more blocks. */
  readonly closed: Set<string>;
  readonly calls: Record<string, number>;
  readonly violations: string[];
}

interface Call {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly headers?: Record<string, string>;
}

/** A refusal of the API's: its name, its words, and the reason it gives. */
class EbsRefusal extends Error {
  readonly code: string;
  readonly status: number;
  readonly reason: string | null;

  constructor(code: string, status: number, message: string, reason: string | null = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.reason = reason;
  }
}

/** Starts it on a free loopback port. */
export async function startEbsFake(options: EbsFakeOptions): Promise<EbsFake> {
  const world: World = {
    ...options,
    luck: createChance(options.seed ?? 1),
    names: createChance((options.seed ?? 1) + 1),
    tokens: new Map(),
    closed: new Set(),
    missed: new Map(),
    calls: {},
    violations: [],
  };
  const server = createServer((incoming, outgoing) => void handle(world, incoming, outgoing));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const known = (id: string): FakeSnapshot => {
    const snapshot = options.ec2.snapshots.get(id);
    if (snapshot === undefined) {
      throw new Error(`no snapshot ${id}`);
    }
    return snapshot;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    calls: world.calls,
    violations: world.violations,
    giveUp: (id) => void (known(id).state = "error"),
    store: (id) => void (known(id).state = "completed"),
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function handle(world: World, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { method = "", url: target = "", headers } = incoming;
  const body = await readBody(incoming);
  try {
    const answer = answerTo(world, { method, target, headers, body });
    if (world.luck.happens(world.lostReplies ?? 0) || world.loses?.(target) === true) {
      throw new EbsRefusal("InternalServerException", 500, "An internal error occurred.");
    }
    outgoing.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
    outgoing.end(JSON.stringify(answer.body ?? {}));
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal.code === "ValidationException" || refusal.code === "ConflictException" || refusal.status === 403) {
      world.violations.push(`${method} ${target}: ${refusal.code}: ${refusal.message}`);
    }
    outgoing.writeHead(refusal.status, { "content-type": "application/json", "x-amzn-errortype": refusal.code });
    outgoing.end(
      JSON.stringify({ Message: refusal.message, ...(refusal.reason === null ? {} : { Reason: refusal.reason }) }),
    );
  }
}

function refusalOf(error: unknown): EbsRefusal {
  if (error instanceof EbsRefusal) {
    return error;
  }
  const isOurs = error instanceof Ec2Refusal;
  return new EbsRefusal(
    isOurs ? "AccessDeniedException" : "InternalServerException",
    isOurs ? 403 : 500,
    String(error),
  );
}

function answerTo(world: World, call: Call): Answer {
  const { method, target, headers, body } = call;
  const said = String(headers["x-amz-content-sha256"] ?? "");
  const sum = createHash("sha256").update(body).digest("hex");
  if (said !== "" && said !== "UNSIGNED-PAYLOAD" && said !== sum) {
    throw new EbsRefusal("AccessDeniedException", 403, "The body is not the one that was signed.");
  }
  const place = { region: world.ec2.region, credentials: [world.ec2.credentials], now: Date.now(), service: "ebs" };
  checkSignature({ method, target, headers, body: "", bodyHash: said === "" ? sum : said }, place);
  const block = /^\/snapshots\/(snap-[0-9a-f]{17})\/blocks\/(\d{1,9})$/.exec(target);
  const completion = /^\/snapshots\/completion\/(snap-[0-9a-f]{17})$/.exec(target);
  const name =
    method === "POST" && target === "/snapshots"
      ? "StartSnapshot"
      : method === "PUT" && block !== null
        ? "PutSnapshotBlock"
        : method === "POST" && completion !== null
          ? "CompleteSnapshot"
          : null;
  if (name === null) {
    throw new EbsRefusal("ValidationException", 400, "The stand-in does not know this call.");
  }
  world.calls[name] = (world.calls[name] ?? 0) + 1;
  if (world.luck.happens(world.throttled ?? 0)) {
    throw new EbsRefusal("RequestThrottledException", 400, "Request rate exceeded.", "ACCOUNT_THROTTLED");
  }
  switch (name) {
    case "StartSnapshot":
      return startSnapshot(world, readJson(body, StartSnapshotRequest$));
    case "PutSnapshotBlock":
      return putBlock(world, call, { id: block?.[1] ?? "", index: Number(block?.[2]) });
    default:
      return completeSnapshot(world, call, completion?.[1] ?? "");
  }
}

function startSnapshot(world: World, given: Record<string, unknown>): Answer {
  const { ClientToken: token, VolumeSize: size, Timeout: timeout = 60, Tags: tags = [] } = given;
  const { Encrypted: encrypted = false, KmsKeyArn: key } = given;
  if (typeof token !== "string" || token.length > 255 || token === "") {
    throw invalid("ClientToken must be 1 to 255 characters.");
  }
  if (typeof size !== "number" || !Number.isInteger(size) || size < 1 || size > 16_384) {
    throw invalid("VolumeSize must be 1 to 16384 GiB.", "INVALID_VOLUME_SIZE");
  }
  if (typeof timeout !== "number" || timeout < TIMEOUT.min || timeout > TIMEOUT.max) {
    throw invalid("Timeout must be 10 to 4320 minutes.");
  }
  if (typeof encrypted !== "boolean" || (key !== undefined && !encrypted)) {
    throw invalid("A key needs Encrypted.", "INVALID_PARAMETER_VALUE");
  }
  if (key !== undefined && (typeof key !== "string" || !KEY_ARN.test(key))) {
    throw invalid("KmsKeyArn must be the ARN of a key.", "INVALID_PARAMETER_VALUE");
  }
  const request = JSON.stringify(given);
  const known = world.tokens.get(token);
  if (known !== undefined && known.request !== request) {
    throw new EbsRefusal("ConflictException", 503, "The token was used with another request.");
  }
  const id = known?.id ?? `snap-${world.names.hex(17)}`;
  if (known === undefined) {
    world.tokens.set(token, { request, id });
    const pairs = (tags as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value] as const);
    world.ec2.snapshots.set(id, {
      id,
      ordinal: world.ec2.snapshots.size,
      hiddenUntil: 0,
      hiddenLooks: 0,
      sizeGib: size,
      encrypted,
      kmsKey: typeof key === "string" ? key : null,
      tags: Object.fromEntries(pairs),
      startedAt: Date.now(),
      blocks: new Map(),
      state: "pending",
    });
  }
  const status = world.ec2.snapshots.get(id)?.state ?? "error";
  return { status: 201, body: { SnapshotId: id, Status: status, VolumeSize: size, BlockSize: BLOCK_BYTES } };
}

function putBlock(world: World, { headers, body }: Call, { id, index }: { id: string; index: number }): Answer {
  if (world.closed.has(id)) {
    world.onLateBlock?.(id);
  }
  const snapshot = writable(world, id);
  world.onBlock?.(index);
  const sum = createHash("sha256").update(body).digest();
  if (headers["x-amz-checksum-algorithm"] !== "SHA256" || headers["x-amz-checksum"] !== sum.toString("base64")) {
    throw invalid("The checksum is not that of the block.", "INVALID_BLOCK");
  }
  if (body.length !== BLOCK_BYTES || headers["x-amz-data-length"] !== String(BLOCK_BYTES)) {
    throw invalid("A block has 524288 bytes.", "INVALID_BLOCK");
  }
  if (index >= (snapshot.sizeGib * GIB) / BLOCK_BYTES) {
    throw invalid("The block is behind the end of the volume.", "INVALID_BLOCK");
  }
  snapshot.blocks.set(index, sum);
  return {
    status: 201,
    headers: { "x-amz-checksum": sum.toString("base64"), "x-amz-checksum-algorithm": "SHA256" },
  };
}

function completeSnapshot(world: World, { headers }: Call, id: string): Answer {
  for (const name of headerNames(CompleteSnapshotRequest$)) {
    if (headers[name.toLowerCase()] === undefined) {
      throw invalid(`${name} is missing.`);
    }
  }
  const snapshot = writable(world, id);
  const sums = [...snapshot.blocks].sort(([left], [right]) => left - right).map(([, sum]) => sum);
  const whole = createHash("sha256").update(Buffer.concat(sums)).digest("base64");
  if (headers["x-amz-changedblockscount"] !== String(sums.length)) {
    throw invalid("ChangedBlocksCount is not the number of blocks written.", "INVALID_PARAMETER_VALUE");
  }
  if (headers["x-amz-checksum-aggregation-method"] !== "LINEAR" || headers["x-amz-checksum"] !== whole) {
    throw invalid("The checksum is not that of all blocks in order.", "INVALID_PARAMETER_VALUE");
  }
  world.closed.add(id);
  world.onComplete?.(id);
  snapshot.state = world.staysPending === true ? "pending" : "completed";
  return { status: 202, body: { Status: snapshot.state } };
}

function writable({ ec2, closed, missed, unknownFor = () => 0 }: World, id: string): FakeSnapshot {
  const snapshot = ec2.snapshots.get(id);
  const misses = missed.get(id) ?? 0;
  missed.set(id, misses + 1);
  if (misses < unknownFor(id) || snapshot === undefined || closed.has(id) || snapshot.state !== "pending") {
    throw new EbsRefusal("ResourceNotFoundException", 404, `The snapshot ${id} is not open.`, "SNAPSHOT_NOT_FOUND");
  }
  return snapshot;
}

/** A body whose members the service model knows, the required ones among them. */
function readJson(body: Buffer, schema: unknown): Record<string, unknown> {
  const names = (schema as readonly unknown[])[4] as readonly string[];
  const required = Number((schema as readonly unknown[])[6] ?? 0);
  const value = JSON.parse(body.toString("utf8")) as Record<string, unknown>;
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  const missing = names.slice(0, required).find((name) => value[name] === undefined);
  if (unknown !== undefined || missing !== undefined) {
    throw invalid(`${unknown ?? missing} is ${unknown === undefined ? "missing" : "not known"}.`);
  }
  return value;
}

/** The headers that an operation's members travel in. */
function headerNames(schema: unknown): string[] {
  const members = (schema as readonly unknown[])[5] as readonly unknown[];
  return members.flatMap((member) => {
    const traits = Array.isArray(member) ? (member[1] as { httpHeader?: string }) : {};
    return typeof traits === "object" && traits.httpHeader !== undefined ? [traits.httpHeader] : [];
  });
}

function invalid(message: string, reason = "INVALID_PARAMETER_VALUE"): EbsRefusal {
  return new EbsRefusal("ValidationException", 400, message, reason);
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) {
        chunks.push(chunk);
      }
    }
  } catch {
    // The client left while sending: the answer goes nowhere.
  }
  return Buffer.concat(chunks);
}
