/** Every shared bound, with its unit in its name and its reason beside it. Nothing in Mayfly is unbounded. */

const KIB = 1024;
const GIB = 1024 * 1024 * 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

export const limits = {
  /** GitHub sends no larger webhook payload. */
  webhookBytesMax: 25 * MIB,
  /** GitHub allows redelivery for 3 days; a day more covers clocks that differ. */
  deliveryMemoryMs: 4 * 24 * 60 * MINUTE,
  /** A key that an operator names a start with: longer than any id that a script has. */
  operatorKeyCharsMax: 200,
  /** An operator waits for the service to have asked GitHub; a start that takes longer goes on without them. */
  operatorAnswerMs: 30 * SECOND,
  /** A repository that nothing was heard of for so long is not known by its name any more. */
  placeMemoryMs: 90 * 24 * 60 * MINUTE,
  /** A fork's head pushed this shortly before the label may not be what the person saw. */
  forkSettleMs: 60 * SECOND,

  /** Only infrastructure faults cause another attempt, and a fault that comes twice is not bad luck. */
  attemptsMax: 2,
  /** From launch to the agent's first words: 5 s under KVM, 15 s emulated; the rest is for a busy host. */
  bootMs: 120 * SECOND,
  /**
   * The same in a cloud: EC2 keeps an instance pending for up to a minute, and a volume of an image that was not used lately
   * reads its first blocks at a few MB/s.
   */
  cloudBootMs: 300 * SECOND,
  /** A launch plan as JSON: what a provider asks for in one call. */
  launchPlanCharsMax: 16 * KIB,
  /** The agent calls home at least this often. */
  heartbeatMs: 5 * SECOND,
  /** A machine silent for this long is lost: a restart of the service takes less. */
  heartbeatLossMs: 60 * SECOND,
  /** A run's time when its task names none, and the most it may name unless the operator says otherwise. */
  runMsDefault: 30 * MINUTE,
  runMsMax: 60 * MINUTE,
  /** From freeze to the result's arrival (I4). */
  resultMs: 60 * SECOND,
  /** What a machine may live beyond its attempt's deadline before its own watchdogs end it. */
  machineGraceMs: 2 * MINUTE,
  /** How long an idle booted machine may wait for an attempt. */
  idleMachineMs: 30 * MINUTE,
  /** After this long without success, destroying is reported as a fault; it is tried for ever all the same. */
  destroyMs: 30 * SECOND,
  /** How long a run may wait for a machine before it ends as failed: a queue that does not move must be seen. */
  queueMs: 60 * MINUTE,
  /** GitHub may be down; a result is kept and published for this long. */
  publishMs: 30 * MINUTE,

  /** The key lives no longer than this; heartbeats renew it. */
  keyMs: 10 * MINUTE,

  /** Machines in all, when the operator says nothing: two emulated ones fill a small host. */
  machinesMaxDefault: 4,

  /** The final message as the agent may return it. GitHub shows 64 KiB at most. */
  finalMessageBytesMax: 256 * KIB,
  /** Structured output. */
  structuredBytesMax: 256 * KIB,
  /** Schemas in schemas of a task: the model's API takes ten levels of objects, each of which is a few of these. */
  outputSchemaDepthMax: 64,
  /** Looks at a value when an answer is held to its schema: below a second. A value is looked at once but for alternatives. */
  outputFitStepsMax: 500_000,
  /** A patch a person can still read. */
  patchBytesMax: 4 * MIB,
  /** Files of a patch that may be applied: more is a migration, and nobody reads it before they apply it. */
  patchFilesMax: 100,
  /** One of them, and all of them together. */
  patchFileBytesMax: 1 * MIB,
  patchFilesBytesMax: 4 * MIB,
  /** The whole result frame: its parts, and JSON's escaping of them. */
  resultBytesMax: 16 * MIB,
  /** One event as the agent sends it; longer output is cut by the agent. */
  eventBytesMax: 32 * KIB,
  /** One batch of events. */
  eventBatchMax: 200,
  eventBatchBytesMax: 1 * MIB,
  /** Events kept for a run; later ones are counted, not kept. */
  eventsPerRunMax: 5000,
  /** Objects in objects of whatever the agent says; the deepest, a changed file of a result, has five. */
  frameDepthMax: 8,
  /** Names and values in one frame: a batch of 200 events has some 1,000. Short ones take a hundred times their length in memory. */
  frameValuesMax: 10_000,
  /** Anything else the agent says. */
  agentBodyBytesMax: 64 * KIB,

  /** The source pack. */
  sourceBytesMax: 512 * MIB,
  /** Commits of a pull request handed over; GitHub lists 250 at most. */
  sourceCommitsMax: 250,
  /** GitHub lists no more files of a comparison (REST: compare two commits). */
  comparedFilesMax: 300,
  /** One git command. */
  gitMs: 5 * MINUTE,
  /** The task file. */
  taskBytesMax: 64 * KIB,
  /** Set-up commands of a task: more belong into a script of the repository. */
  setupCommandsMax: 20,
  /** One of them. */
  setupCommandCharsMax: 4_000,
  /** Hosts that a task's set-up may reach: a registry or two, and where their files lie. */
  setupHostsMax: 10,
  /** What a set-up may send in all, over every connection: questions to a registry are short, and nothing else should leave. */
  setupSentBytesMax: 1 * MIB,
  /** Written down before so much may leave through a connection: a crash between two of them loses none of the count. */
  setupReserveBytes: 32 * KIB,
  /** What one connection may bring: more than a machine has memory. */
  setupReceivedBytesMax: 4 * GIB,
  /** Connections of an attempt: each is on the receipt. Package managers keep some fifteen open and use them again. */
  setupConnectionsMax: 200,
  setupConnectionsOpenMax: 20,
  /** The longest life of one. */
  setupConnectionMs: 5 * MINUTE,
  /** For its address, the way there, and the first words of TLS, each. */
  setupConnectMs: 10 * SECOND,
  /** The first words of TLS: 2 KiB with the largest keys in use. */
  setupHelloBytesMax: 16 * KIB,
  /** Task files of a pull request that are looked at: a repository has a handful. Each costs two requests at most. */
  taskFilesCheckedMax: 20,
  /** AGENTS.md: Codex's own default for project documents. */
  agentsFileBytesMax: 32 * KIB,
  /** Title and body of a pull request as they go into the prompt. */
  titleCharsMax: 300,
  bodyCharsMax: 16_000,
  /** The whole prompt. */
  promptBytesMax: 256 * KIB,

  /** One model request: the CLI resends the whole conversation each turn. */
  modelRequestBytesMax: 16 * MIB,
  /** Tokens of one model answer, reasoning included: the most that present models give. */
  modelOutputTokensMax: 128_000,
  /** One model answer. */
  modelResponseBytesMax: 32 * MIB,
  /** Model calls of one attempt; a review takes tens. */
  modelRequestsPerAttemptMax: 500,
  /** Model calls of one machine at once: Codex makes one. */
  modelConcurrencyMax: 4,
  /** Silence in a model stream. Codex itself gives up after 300 s. */
  modelIdleMs: 5 * MINUTE,

  /** What we write on GitHub in an hour and installation: it takes 500 requests that make content (REST: secondary limits). */
  contentPerHourMax: 500,
  /** Progress is shown at most so often: sooner than a person looks again is of no use to them. */
  progressEveryMs: 15 * SECOND,
  /** While half of the hour's content is used. What is left is for answers and results. */
  progressScarceEveryMs: MINUTE,

  /** What we put on GitHub: it allows 65,536 code units, our frame needs some. */
  commentCharsMax: 60_000,
  commentLinesMax: 1_500,
  commentLineCharsMax: 4_000,

  /** Comments on lines of a pull request that are looked through for those of earlier runs, the newest first. */
  findingsReadMax: 1_000,
  /** Of those that are found, the newest are folded: a review has ten, and folds those of the one before. GraphQL tells of 100 at once. */
  findingsFoldedMax: 100,
  /** Tries of a review whose lines GitHub refuses: without each of its ten findings, and without each of five files that have two. */
  reviewTriesMax: 15,

  /** One check of `mayfly doctor`: whoever is well answers within one. Longer ones are a finding by themselves. */
  doctorCheckMs: 5 * SECOND,
  /** A look at what makes machines: a machine that boots for the probe, or EC2's listings, which are read again when it is busy. */
  doctorMachinesMs: 15 * SECOND,
  /** Clocks that differ by more are wrong; HTTP's dates are whole seconds, so no less can be seen. */
  clockSkewMs: 3 * SECOND,
  /** GitHub takes no App's proof from a clock that is a minute ahead; half of it is left for whatever else. */
  clockSkewMsMax: 30 * SECOND,

  /** A machine's console log on the host. */
  consoleBytesMax: 1 * MIB,
  /** Finished runs in Redis; the archive keeps them longer. */
  finishedRunMs: 7 * 24 * 60 * MINUTE,
} as const;
