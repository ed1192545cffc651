/** `unreachable`: no proper answer came. `refused`: the broker said no, and why. */
export class ChannelError extends Error {
  readonly kind: "unreachable" | "refused";
  readonly status: number | null;

  constructor(kind: "unreachable" | "refused", message: string, options: { status?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "ChannelError";
    this.kind = kind;
    this.status = options.status ?? null;
  }
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof ChannelError && error.kind === "unreachable";
}
