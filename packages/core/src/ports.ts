import type { Digest, Instant, MachineId, RunId } from "./ids.ts";
import type { Acceleration, Evidence, Machine } from "./machine.ts";
import type { AgentEvent, ResultFrame, SourceLayout } from "./protocol.ts";
import type { Run } from "./run.ts";
import type { PullRequestOrigin } from "./run-request.ts";

/** Now. The only clock; a simulation drives it. */
export interface Clock {
  now(): Instant;
}

/** Randomness, in the only two shapes needed. */
export interface Ids {
  run(now: Instant): RunId;
  machine(now: Instant): MachineId;
  /** 256 random bits as 43 URL-safe characters behind `prefix_`. */
  secret(prefix: string): string;
}

/** A record and the version it was read at. */
export interface Versioned<T> {
  readonly value: T;
  readonly version: number;
}

/** One write of a commit. `version` is the one read, 0 for a record that must not exist yet. */
export type Write =
  | { readonly kind: "run"; readonly value: Run; readonly version: number }
  | { readonly kind: "machine"; readonly value: Machine; readonly version: number };

/** The truth about runs and machines. All methods throw STORE_UNAVAILABLE when the store does not answer. */
export interface Store {
  loadRun(id: RunId): Promise<Versioned<Run> | null>;
  loadMachine(id: MachineId): Promise<Versioned<Machine> | null>;
  /** All writes or none (compare-and-set on every version). At most 4 writes. Keeps the indexes below in step. */
  commit(writes: readonly Write[]): Promise<"committed" | "conflict">;
  /** Runs that are not done and archived, oldest first. */
  listLiveRuns(): Promise<Run[]>;
  /** The newest `count` runs, live or finished, newest first. */
  listRecentRuns(count: number): Promise<Run[]>;
  /** Machines that are not gone. */
  listLiveMachines(): Promise<Machine[]>;
}

/** What attempts return: inert bytes, kept beside the records. */
export interface ResultStore {
  /** Keeps the frame of that epoch; the first one stays (idempotent). Returns the digest of what is kept. */
  putResult(run: RunId, epoch: number, frame: ResultFrame): Promise<Digest>;
  getResult(run: RunId, epoch: number): Promise<ResultFrame | null>;
  /** Takes events from `first` on, skipping those it has. Returns the number expected next. Bound: limits.eventsPerRunMax. */
  appendEvents(run: RunId, epoch: number, first: number, events: readonly AgentEvent[]): Promise<number>;
  readEvents(run: RunId, epoch: number): Promise<AgentEvent[]>;
}

/** Wakes a step later. A wake-up carries no truth: whoever is woken looks at the record. Repeats do no harm. */
export interface Wakeups {
  wakeRun(id: RunId, delayMs?: number): Promise<void>;
  wakeMachine(id: MachineId, delayMs?: number): Promise<void>;
}

/** A machine as the provider's own listing shows it. */
export interface PresentMachine {
  readonly id: MachineId;
  /** False once its processor has stopped though something of it is still there. */
  readonly running: boolean;
}

/** Makes, lists and destroys machines. A third provider is one folder and passes test/contract/provider. */
export interface Provider {
  readonly name: string;
  readonly acceleration: Acceleration;
  readonly image: Digest;
  /** Idempotent by id. Throws MACHINE_LAUNCH_FAILED. The machine ends by itself at `deadline` even if nobody asks. */
  ensureLaunched(machine: { id: MachineId; deadline: Instant }): Promise<void>;
  /** Everything of this fleet, from the provider's own traces alone: works without the store. */
  list(): Promise<PresentMachine[]>;
  /** The end of what the machine wrote on its console, at most 4 KiB, hostile; empty if there is nothing to read. */
  readConsole(id: MachineId): Promise<string>;
  /** Succeeds if it is already gone. The evidence names each thing looked for. Throws MACHINE_NOT_GONE. */
  ensureDestroyed(id: MachineId): Promise<Evidence>;
}

/** The broker's end of each machine's channel. */
export interface Channels {
  /** Listens for that machine, and for no other. Idempotent. */
  ensureOpen(id: MachineId): Promise<void>;
  /** Ends every stream of it. Idempotent. */
  ensureClosed(id: MachineId): Promise<void>;
}

/** Packs of source, ready to be handed over. */
export interface Sources {
  /** Idempotent by run. Throws SOURCE_UNAVAILABLE, SOURCE_TOO_BIG. */
  ensurePacked(run: Run): Promise<SourceLayout>;
  /** The pack's bytes. Throws NOT_FOUND. */
  openPack(run: RunId): Promise<AsyncIterable<Uint8Array>>;
  /** Forgets the pack. Idempotent. */
  ensureDropped(run: RunId): Promise<void>;
}

/** Live facts about a pull request, asked again at every gate (I6). */
export interface PullRequestFacts {
  readonly open: boolean;
  readonly head: string;
  /** The actor's `role_name`, or "none". */
  readonly role: string;
  readonly labelled: boolean;
}

/** What runs need of GitHub while they live. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED. */
export interface PullRequests {
  lookAt(origin: PullRequestOrigin): Promise<PullRequestFacts>;
}

/** Finished runs, after their records have expired. */
export interface Archive {
  /** Idempotent by name (letters, digits, `_`, `-`, `.`). */
  ensureStored(name: string, text: string): Promise<void>;
  read(name: string): Promise<string | null>;
}
