import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import {
  CompleteSnapshotCommand,
  type EBSClient,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
  ValidationException,
} from "@aws-sdk/client-ebs";
import { AppError, type Digest } from "@mayfly/core";
import { bounded, type Pause, saidBy } from "./ec2-client.ts";
import { codeOf } from "./ec2-faults.ts";

/** Limit: what the EBS direct API writes at once. */
const BLOCK_BYTES = 512 * 1024;
const GIB = 1024 ** 3;
/** Blocks under way at once: 16 MiB of memory, and far below what the API takes a second. */
const PARALLEL = 32;
/** EBS gives a snapshot up that nobody has written to for so many minutes; a call may be repeated for as long. */
const SNAPSHOT_MINUTES = 60;
/** A call is tried this often; the wait doubles from the first, so all of them take two minutes. */
const TRIES_MAX = 8;
const RETRY_MS = 500;
/**
 * A snapshot just begun may not be known yet to those that take its blocks. It is written to this often; the wait doubles
 * from the first, so after half a minute it is one that was completed before, or that is no good.
 */
const OPEN_TRIES_MAX = 6;
const OPEN_PAUSE_MS = 1_000;
/** Snapshots of one disk that came to nothing, one after the other. */
const GENERATIONS_MAX = 8;

/** Faults that another try may cure. */
const passing = new Set([
  "RequestThrottledException",
  "ConcurrentLimitExceededException",
  "InternalServerException",
  "ServiceUnavailable",
  "TimeoutError",
  "AbortError",
]);

/** A disk's file, open for reading. */
export interface DiskFile {
  readonly handle: FileHandle;
  readonly bytes: number;
  readonly digest: Digest;
  /** Whether it is still as it was when its digest was made: that is what the image is known by. */
  readonly isSame: () => Promise<boolean>;
}

export interface UploadOptions {
  readonly ebs: EBSClient;
  readonly disk: DiskFile;
  readonly tags: readonly { Key: string; Value: string }[];
  /** Null for the account's own key for EBS. */
  readonly kmsKey: string | null;
  readonly pause: Pause;
  readonly signal: AbortSignal;
  readonly onBlocks: (done: number, all: number) => void;
  /** Snapshots of this disk that were listed before: an earlier call may have completed one of them. */
  readonly begunBefore: ReadonlySet<string>;
  /** What EC2 says of a snapshot that takes no blocks; null where it lists none. */
  readonly stateOf: (id: string) => Promise<"pending" | "completed" | "failed" | null>;
}

/**
 * Writes a disk into an encrypted snapshot and completes it. The same disk is always the same snapshot: called again
 * after it was stopped, it goes on with the one it had begun, which EBS knows by a token made of the digest. Blocks of
 * zeroes are not written. Throws PROVIDER_UNAVAILABLE with what EBS said.
 *
 * @returns The snapshot's id; EBS may still be storing it.
 */
export async function uploadSnapshot(options: UploadOptions): Promise<string> {
  for (let generation = 0; generation < GENERATIONS_MAX; generation++) {
    const id = await startSnapshot(options, generation);
    if (await fill(options, id)) {
      return id;
    }
    // Given up by EBS: its token stands for nothing any more.
  }
  throw new AppError("PROVIDER_UNAVAILABLE", `EBS took ${GENERATIONS_MAX} snapshots of this disk and finished none`);
}

/** Writes and completes it; true also for one that a call before this one completed, false for one that came to nothing. */
async function fill(options: UploadOptions, id: string): Promise<boolean> {
  let isWritten = options.begunBefore.has(id);
  for (let tries = 1; ; tries++) {
    const written = await writeBlocks(options, id);
    isWritten ||= written !== null;
    if (written !== null && (await complete(options, id, written))) {
      return true;
    }
    const state = await options.stateOf(id);
    if (state === "completed" || state === "failed") {
      return state === "completed";
    }
    // `pending` is both: begun, and completed and being stored. Only one of them takes blocks sooner or later, and only
    // what was there before, or was written here, can be the other.
    if (tries === OPEN_TRIES_MAX) {
      return state === "pending" && isWritten;
    }
    options.signal.throwIfAborted();
    await options.pause(OPEN_PAUSE_MS * 2 ** (tries - 1));
  }
}

async function startSnapshot(options: UploadOptions, generation: number): Promise<string> {
  const { disk, tags, kmsKey } = options;
  const request = {
    VolumeSize: Math.max(1, Math.ceil(disk.bytes / GIB)),
    Description: "Mayfly machine image",
    Tags: [...tags],
    Encrypted: true,
    ...(kmsKey === null ? {} : { KmsKeyArn: kmsKey }),
    Timeout: SNAPSHOT_MINUTES,
  };
  const token = createHash("sha256")
    .update(JSON.stringify([disk.digest, generation, request]))
    .digest("hex");
  const { SnapshotId: id, BlockSize: size } = await call(options, "begin a snapshot", () =>
    options.ebs.send(new StartSnapshotCommand({ ...request, ClientToken: token }), bounded()),
  );
  if (id === undefined || size !== BLOCK_BYTES) {
    throw new AppError("PROVIDER_UNAVAILABLE", `EBS began a snapshot of blocks of ${size} bytes, not ${BLOCK_BYTES}`);
  }
  return id;
}

/** The checksum of each block that was written, by its index; null when the snapshot takes no blocks any more. */
async function writeBlocks(options: UploadOptions, id: string): Promise<Map<number, Buffer> | null> {
  const { disk, onBlocks, signal } = options;
  const all = Math.ceil(disk.bytes / BLOCK_BYTES);
  const written = new Map<number, Buffer>();
  let next = 0;
  let done = 0;
  let isOver = false;

  // One block alone shows whether it takes any.
  async function worker(blocksMax: number): Promise<void> {
    let own = 0;
    while (next < all && own < blocksMax && !isOver) {
      signal.throwIfAborted();
      const index = next++;
      const block = await readBlock(disk, index);
      if (!block.every((byte) => byte === 0)) {
        const sum = createHash("sha256").update(block).digest();
        if (!(await putBlock(options, { id, index, block, sum }))) {
          isOver = true;
          return;
        }
        written.set(index, sum);
        own++;
      }
      onBlocks(++done, all);
    }
  }

  await worker(1);
  const ends = await Promise.allSettled(Array.from({ length: PARALLEL }, () => worker(Infinity)));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) {
    throw failed.reason;
  }
  return isOver ? null : written;
}

/** The last block is filled up with zeroes. */
async function readBlock({ handle, bytes }: DiskFile, index: number): Promise<Buffer> {
  const block = Buffer.alloc(BLOCK_BYTES);
  const wanted = Math.min(BLOCK_BYTES, bytes - index * BLOCK_BYTES);
  let read = 0;
  while (read < wanted) {
    const { bytesRead } = await handle.read(block, read, wanted - read, index * BLOCK_BYTES + read);
    if (bytesRead === 0) {
      throw new AppError("INPUT_INVALID", "the disk's file became shorter while it was read");
    }
    read += bytesRead;
  }
  return block;
}

/** False when the snapshot takes no blocks any more. */
async function putBlock(
  options: UploadOptions,
  { id, index, block, sum }: { id: string; index: number; block: Buffer; sum: Buffer },
): Promise<boolean> {
  const request = {
    SnapshotId: id,
    BlockIndex: index,
    BlockData: block,
    DataLength: BLOCK_BYTES,
    Checksum: sum.toString("base64"),
    ChecksumAlgorithm: "SHA256" as const,
  };
  const taken = await unlessOver(options, `write block ${index}`, () =>
    options.ebs.send(new PutSnapshotBlockCommand(request), bounded()),
  );
  return taken !== null;
}

async function complete(options: UploadOptions, id: string, written: Map<number, Buffer>): Promise<boolean> {
  const sums = [...written].sort(([left], [right]) => left - right).map(([, sum]) => sum);
  const request = {
    SnapshotId: id,
    ChangedBlocksCount: written.size,
    Checksum: createHash("sha256").update(Buffer.concat(sums)).digest("base64"),
    ChecksumAlgorithm: "SHA256" as const,
    ChecksumAggregationMethod: "LINEAR" as const,
  };
  if (!(await options.disk.isSame())) {
    throw new AppError("INPUT_INVALID", "the disk's file changed while it was read: publish again");
  }
  options.signal.throwIfAborted();
  const answer = await unlessOver(options, "complete the snapshot", () =>
    options.ebs.send(new CompleteSnapshotCommand(request), bounded()),
  );
  return answer !== null && answer.Status !== "error";
}

/** Null when the snapshot is not there or not open for writing any more. */
async function unlessOver<T>(options: UploadOptions, what: string, send: () => Promise<T>): Promise<T | null> {
  return call(options, what, async () => {
    try {
      return await send();
    } catch (error) {
      if (codeOf(error) === "ResourceNotFoundException" || isNoneOfOurs(error)) {
        return null;
      }
      throw error;
    }
  });
}

/** Every call here may be made again. */
async function call<T>(
  { pause, signal }: Pick<UploadOptions, "pause" | "signal">,
  what: string,
  send: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted();
    try {
      return await send();
    } catch (error) {
      if (tries >= TRIES_MAX || !mayPass(error)) {
        throw new AppError("PROVIDER_UNAVAILABLE", `EBS does not ${what}: ${saidBy(error)}`, { cause: error });
      }
      await pause(RETRY_MS * 2 ** (tries - 1));
    }
  }
}

/** Without an answer of the service the call may have been carried out, and may be made again. */
function mayPass(error: unknown): boolean {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata;
  const status = metadata?.httpStatusCode;
  const isFinal = codeOf(error) === "ConflictException" || codeOf(error) === "CredentialsProviderError";
  return passing.has(codeOf(error)) || (!isFinal && (status === undefined || status >= 500));
}

function isNoneOfOurs(error: unknown): boolean {
  return error instanceof ValidationException && error.Reason === "INVALID_SNAPSHOT_ID";
}
