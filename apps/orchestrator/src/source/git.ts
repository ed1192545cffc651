import type { Confine } from "../confine/confinement.ts";
import { gitEnvironment } from "./git-environment.ts";
import type { Launch, PlanGit } from "./git-process.ts";

export interface ConfinedGitDeps {
  readonly confine: Confine;
  /** The subordinate uid that owns this mirror's files. */
  readonly uidOffset: number;
  /** The bare repository: the only folder it sees beside the system's programs. */
  readonly mirror: string;
  /** What it reads as the mirror's configuration, and cannot write. */
  readonly config: string;
  /** No file it writes may be larger. */
  readonly fileBytesMax: number;
  readonly timeoutMs: number;
}

/** A git that sees one mirror, in the ways it is needed. */
export interface ConfinedGit {
  /** Reads the mirror and cannot write it; no network. */
  readonly read: PlanGit;
  /** Writes the mirror and speaks to the network by that protocol alone. Started with a token. */
  fetch(protocol: "https" | "http", args: readonly string[]): Launch;
  /** Prints the name of a file in the mirror that has reached `fileBytesMax`, or nothing. */
  findOversized(): Launch;
}

/** Where a confined git sees its mirror. */
const MIRROR = "/mirror";
/** Address space of one git: index-pack's delta cache, pack windows and threads fit with room to spare. */
const ADDRESS_SPACE_BYTES = 4 * 1024 * 1024 * 1024;
/** git, its remote helper, index-pack and the credential helper, with their threads. */
const PROCESSES_MAX = 64;
/** Packs and their indexes; git needs tens. */
const OPEN_FILES_MAX = 1024;
/** Beyond our own clock, so that ours is the one that fires while we live. */
const DEAD_MAN_EXTRA_SECONDS = 10;

/** git under a uid of its own, in namespaces of its own, with limits on size, time and memory. */
export function createConfinedGit(deps: ConfinedGitDeps): ConfinedGit {
  const offline = gitEnvironment({ protocol: null, credential: false });

  // The second keeps a planted file from naming another place for the configuration.
  const repository = { GIT_DIR: MIRROR, GIT_COMMON_DIR: MIRROR };

  return {
    read(args) {
      const env = { ...offline, ...repository };
      return launch(deps, { mode: "ro", network: "none", env, argv: ["/usr/bin/git", ...args] });
    },
    fetch(protocol, args) {
      const env = { ...gitEnvironment({ protocol, credential: true }), ...repository };
      return launch(deps, { mode: "rw", network: "host", env, argv: ["/usr/bin/git", ...args] });
    },
    findOversized() {
      // find's -size takes "more than", hence the one byte less.
      const oversized = ["-type", "f", "-size", `+${deps.fileBytesMax - 1}c`, "-print", "-quit"];
      return launch(deps, { mode: "ro", network: "none", env: offline, argv: ["/usr/bin/find", MIRROR, ...oversized] });
    },
  };
}

interface Call {
  readonly mode: "ro" | "rw";
  readonly network: "none" | "host";
  readonly env: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
}

function launch(deps: ConfinedGitDeps, { mode, network, env, argv }: Call): Launch {
  const { command, args } = deps.confine(
    {
      uidOffset: deps.uidOffset,
      network,
      binds: [
        { from: deps.mirror, to: MIRROR, mode },
        { from: deps.config, to: `${MIRROR}/config`, mode: "ro" },
      ],
      env,
      limits: {
        addressSpaceBytes: ADDRESS_SPACE_BYTES,
        processes: PROCESSES_MAX,
        openFiles: OPEN_FILES_MAX,
        fileBytes: deps.fileBytesMax,
        seconds: Math.ceil(deps.timeoutMs / 1000) + DEAD_MAN_EXTRA_SECONDS,
      },
    },
    argv,
  );
  return { command, args, env: {}, cwd: "/" };
}
