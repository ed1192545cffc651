/** One folder or file that a confined process sees, and how. */
export interface Bind {
  readonly from: string;
  readonly to: string;
  readonly mode: "ro" | "rw";
}

/** What a confined process may do. Everything not named is denied. */
export interface Confinement {
  /**
   * Which of the service user's subordinate uids it runs as: its own, shared with nothing else that runs at the time.
   * Offset into the range of /etc/subuid, from 0. uid-offsets.ts says which are whose.
   */
  readonly uidOffset: number;
  /**
   * `none`: an empty network namespace with loopback only. `host`: the host's network, with its resolver's and its
   * certificates' files (git fetch).
   */
  readonly network: "none" | "host";
  /**
   * It sees /usr read-only, an empty /tmp, /proc of its own, a minimal /dev, and these. The service user must be able
   * to reach `from`; the process itself comes as a stranger ("other" in the file mode), so a folder it may enter has
   * o+x, a file it may read o+r, a socket it may connect to o+w. Keep their parent 0700: the process never walks it.
   */
  readonly binds: readonly Bind[];
  /**
   * The whole environment: nothing is inherited. No secrets here: it is part of the argv, which every local user can
   * read. A secret goes in by stdin or an inherited file descriptor.
   */
  readonly env: Readonly<Record<string, string>>;
  /** Device files it may open too, with the service user's own groups kept so that it can (/dev/kvm). */
  readonly devices?: readonly string[];
  readonly limits: {
    readonly addressSpaceBytes?: number;
    readonly processes?: number;
    readonly openFiles?: number;
    readonly fileBytes?: number;
    /** It is killed after this long even if nobody is left to do it: the host's dead-man's switch. */
    readonly seconds: number;
  };
}

/**
 * Turns a command into the argv of that command confined. Never a shell line. Inherited file descriptors (stdio[3…])
 * reach the command; its exit code comes back, 137 if it was killed. End it with SIGKILL of the spawned process (others
 * are ignored): its whole process namespace dies with it. It does not die with its parent: use `detached` at will.
 */
export type Confine = (confinement: Confinement, argv: readonly string[]) => { command: string; args: string[] };
