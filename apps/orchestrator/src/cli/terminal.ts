/** What a command may use of the process it runs in: standard output is for data, standard error for talk. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly isRoot: boolean;
  /** True when a person watches standard error. */
  readonly isInteractive: boolean;
  /** Calls back once when the person or the system asks to stop. */
  readonly onStop: (stop: () => void) => void;
  /** This very program, which knows `process NAME`. */
  readonly program: string;
  readonly stdin: () => AsyncIterable<Buffer>;
  /** A word to the process that started this one, if it listens. */
  readonly tellParent: (message: string) => void;
  /** Calls back in place of ending at once when the process that started this one is gone. */
  readonly onOrphaned: (end: () => void) => void;
}
