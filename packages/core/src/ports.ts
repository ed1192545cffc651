import type { Digest, Instant, LaunchId, MachineId, RunId } from "./ids.ts";
import type { Launch, LaunchPlan, Shortfall } from "./launch.ts";
import type { Acceleration, Evidence, Machine } from "./machine.ts";
import type { TenantRecord } from "./fleet-line.ts";
import type { FleetRecord } from "./fleet-present.ts";
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
  launch(now: Instant): LaunchId;
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
  | { readonly kind: "machine"; readonly value: Machine; readonly version: number }
  | { readonly kind: "launch"; readonly value: Launch; readonly version: number }
  | { readonly kind: "fleet"; readonly value: FleetRecord; readonly version: number }
  | { readonly kind: "tenant"; readonly value: TenantRecord; readonly version: number };

/** The truth about runs, machines and launches. All methods throw STORE_UNAVAILABLE when the store does not answer. */
export interface Store {
  loadRun(id: RunId): Promise<Versioned<Run> | null>;
  loadMachine(id: MachineId): Promise<Versioned<Machine> | null>;
  loadLaunch(id: LaunchId): Promise<Versioned<Launch> | null>;
  loadFleet(): Promise<Versioned<FleetRecord> | null>;
  /** Null where nobody of it has claimed anything for long. */
  loadTenant(id: string): Promise<Versioned<TenantRecord> | null>;
  /** All writes or none (compare-and-set on every version). At most 4 writes. Keeps the indexes below in step. */
  commit(writes: readonly Write[]): Promise<"committed" | "conflict">;
  /** Runs that are not done and archived, oldest first. */
  listLiveRuns(): Promise<Run[]>;
  /** The newest `count` runs, live or finished, newest first. */
  listRecentRuns(count: number): Promise<Run[]>;
  /** Machines that are not gone. */
  listLiveMachines(): Promise<Machine[]>;
  /** Launches that are not settled. */
  listLiveLaunches(): Promise<Launch[]>;
  /** Launches intended since then. Throws STORE_UNAVAILABLE too when not all of them are listed any more. */
  listLaunchesSince(since: Instant): Promise<LaunchId[]>;
  /** Machines, live or gone, whose launch was intended since then. Throws likewise. */
  listMachinesSince(since: Instant): Promise<MachineId[]>;
  /** Runs made since then, at most some thousands. */
  countRunsSince(since: Instant): Promise<number>;
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
  wakeLaunch(id: LaunchId, delayMs?: number): Promise<void>;
}

/** A machine as the provider's own listing shows it. */
export interface PresentMachine {
  readonly id: MachineId;
  /** The launch it came from, as its own traces say; null when they do not. */
  readonly launch: LaunchId | null;
  /** False once its processor has stopped though something of it is still there. */
  readonly running: boolean;
  /** Where its packets come from; null where a machine has no address of its own. */
  readonly address: string | null;
  /** What it is made of, as its own traces say; null when they do not. */
  readonly spec: Digest | null;
  /** What it has besides its processor and might leave behind, in the provider's own names; absent where nothing is seen. */
  readonly parts?: readonly string[];
}

/** What is on record of a machine that is to go: its provider may not remember it. */
export interface KnownMachine {
  readonly launch: LaunchId;
  readonly parts: readonly string[];
}

/** What a launch would ask for now, or what it must wait for ("capacity in zone a"), and until when. */
export type PlannedLaunch =
  | {
      readonly plan: LaunchPlan;
      readonly count: number;
      /** The provider may take these machines back: spot. */
      readonly interruptible?: boolean;
    }
  | { readonly wait: string; readonly until: Instant };

/** What came of a launch: the machines it made, and what was not given. Together they are the launch's count. */
export interface Launched {
  readonly machines: readonly MachineId[];
  readonly missing: readonly Shortfall[];
}

/** Makes, lists and destroys machines. A third provider is one folder and passes test/contract/provider. */
export interface Provider {
  readonly name: string;
  readonly acceleration: Acceleration;
  readonly image: Digest;
  /** What machines launched now are made of: image, agent, size. */
  readonly spec: Digest;
  /** Machines of one launch at most. */
  readonly launchCountMax: number;
  /** How long the listing may not yet show what was made, ms. */
  readonly listingLagMs: number;
  /** How long a machine may take from its launch to its agent's first words, and a launch to be answered, ms. */
  readonly bootMs: number;
  /**
   * What a launch of at most `count` machines would ask for now, or what it must wait for. Changes nothing outside.
   *
   * @param steady Whether they must be machines that the provider does not take back; false unless said.
   */
  planLaunch(count: number, steady?: boolean): PlannedLaunch;
  /** Why launches that are written down do not go out now; null when they do. Not there where nothing holds them up. */
  heldUp?(): { readonly wait: string; readonly until: Instant } | null;
  /** True once it is known that the provider takes this machine back, or has. Not there where none is taken back. */
  isTakenBack?(id: MachineId): boolean;
  /**
   * Idempotent by the launch: repeated, it answers the same machines. Throws MACHINE_LAUNCH_FAILED when it came to
   * nothing; PROVIDER_UNAVAILABLE when nobody knows: the same launch is asked again. The machines end by themselves at
   * its deadline even if nobody asks.
   */
  ensureLaunched(launch: Launch): Promise<Launched>;
  /**
   * Everything of this fleet, from the provider's own traces alone: works without the store. With `after`, from a reading
   * that began after that moment, which may have to wait its turn; without, from one that may be a few seconds old, as
   * often as anybody likes. Throws when it cannot be read whole.
   */
  list(after?: Instant): Promise<PresentMachine[]>;
  /** The end of what the machine wrote on its console, at most 4 KiB, hostile; empty if there is nothing to read. */
  readConsole(id: MachineId): Promise<string>;
  /**
   * Succeeds if it is already gone. The evidence names each thing looked for. Throws MACHINE_NOT_GONE.
   *
   * @param known What was written down of it; nothing for a machine without a record.
   */
  ensureDestroyed(id: MachineId, known?: KnownMachine): Promise<Evidence>;
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
  /** The branch that it goes into. */
  readonly baseRef: string;
  readonly draft: boolean;
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
