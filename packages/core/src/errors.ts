/**
 * Every fault that Mayfly can raise, with what a person can do about it. Expected answers are values; these are thrown.
 * `docs/reference/errors.md` is generated from this table.
 */
export const faults = {
  CONFIG_INVALID: {
    status: 500,
    retryable: false,
    exit: 2,
    fix: "Correct the named setting; docs/reference/configuration.md lists them all.",
  },
  STATE_IN_USE: {
    status: 500,
    retryable: false,
    exit: 1,
    fix: "Stop the other service, or give this one a state folder of its own with --state.",
  },
  TOOLS_MISSING: { status: 500, retryable: false, exit: 1, fix: "Install the named packages." },
  ACCELERATION_MISSING: {
    status: 500,
    retryable: false,
    exit: 1,
    fix: "Run on a host with KVM, or allow emulation (MAYFLY_ALLOW_EMULATION=true) for code you trust.",
  },
  IMAGE_INVALID: { status: 500, retryable: false, exit: 1, fix: "Build the image again: mayfly image build." },
  IMAGE_BUILD_FAILED: {
    status: 500,
    retryable: true,
    exit: 1,
    fix: "Read the message above; a second build starts clean.",
  },
  MACHINE_LAUNCH_FAILED: { status: 503, retryable: true, exit: 1, fix: "Read the machine's log named in the message." },
  PROVIDER_UNAVAILABLE: {
    status: 503,
    retryable: true,
    exit: 1,
    fix: "Wait, or look at the status page of whoever runs the machines: the same request is made again.",
  },
  MACHINE_NOT_GONE: {
    status: 503,
    retryable: true,
    exit: 1,
    fix: "End the named process and remove the named folder by hand, then look why it resisted.",
  },
  STORE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    exit: 1,
    fix: "Check that Redis answers at the configured address.",
  },
  STORE_CONFLICT: {
    status: 409,
    retryable: true,
    exit: 1,
    fix: "Nothing: the step is taken again on the present record.",
  },
  STORE_UNSAFE: {
    status: 500,
    retryable: false,
    exit: 1,
    fix: "Set maxmemory-policy noeviction and appendonly yes on this Redis.",
  },
  GITHUB_UNAVAILABLE: { status: 502, retryable: true, exit: 1, fix: "Wait, or look at GitHub's status page." },
  GITHUB_REFUSED: {
    status: 502,
    retryable: false,
    exit: 1,
    fix: "Check the App's permissions and that it is installed on the repository.",
  },
  APP_KEY_UNAVAILABLE: {
    status: 503,
    retryable: true,
    exit: 1,
    fix: "Check that the key in KMS is enabled, that the App's key was imported into it, and that this host may use kms:Sign and kms:GetPublicKey with it.",
  },
  SOURCE_UNAVAILABLE: {
    status: 502,
    retryable: true,
    exit: 1,
    fix: "Check that the commit still exists and the repository is reachable.",
  },
  SOURCE_TOO_BIG: {
    status: 413,
    retryable: false,
    exit: 1,
    fix: "Run on a smaller repository or folder: 512 MiB packed is the most.",
  },
  MODEL_KEY_MISSING: {
    status: 500,
    retryable: false,
    exit: 4,
    fix: "Set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), or try npm run demo, which needs none.",
  },
  CREDENTIAL_UNAVAILABLE: {
    status: 503,
    retryable: true,
    exit: 1,
    fix: "Wait, or look at the status page of whoever issues the model's keys.",
  },
  CREDENTIAL_REFUSED: {
    status: 502,
    retryable: false,
    exit: 1,
    fix: "Check model.admin_key, model.project, model.service_account and model.scopes, and that the key may write keys.",
  },
  NOT_FOUND: { status: 404, retryable: false, exit: 1, fix: "List what there is: mayfly run list." },
  NOT_STARTED: {
    status: 409,
    retryable: false,
    exit: 1,
    fix: "Change what the message names, then ask again. What became of other runs: mayfly run list.",
  },
  STILL_ASKING: {
    status: 504,
    retryable: true,
    exit: 1,
    fix: "Give the same command again, which starts no second run, or look: mayfly run list.",
  },
  SERVICE_NOT_RUNNING: {
    status: 503,
    retryable: true,
    exit: 1,
    fix: "Start it with mayfly serve, or name its state folder with --state.",
  },
  INPUT_INVALID: { status: 400, retryable: false, exit: 2, fix: "See --help." },
} as const satisfies Record<string, { status: number; retryable: boolean; exit: number; fix: string }>;

export type FaultCode = keyof typeof faults;

/** A fault: a code from the table, what happened in words, and the cause. Never branch on the message. */
export class AppError extends Error {
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "AppError";
    this.code = code;
  }

  get status(): number {
    return faults[this.code].status;
  }

  get retryable(): boolean {
    return faults[this.code].retryable;
  }

  /** What to do about it. */
  get fix(): string {
    return faults[this.code].fix;
  }
}

export function isAppError(value: unknown, code?: FaultCode): value is AppError {
  return value instanceof AppError && (code === undefined || value.code === code);
}
