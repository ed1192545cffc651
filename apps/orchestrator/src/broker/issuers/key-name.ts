import { isRunId, type RunId } from "@mayfly/core";

const NAME = /^mayfly-(run_[^-]+)-(0|[1-9][0-9]{0,8})$/;

/** The name of an attempt's key: it alone tells a sweeper whose key it was. */
export function keyNameOf(run: RunId, epoch: number): string {
  return `mayfly-${run}-${epoch}`;
}

/** The attempt that a key of this name was made for; null for anybody else's. */
export function attemptOf(name: string): { readonly run: RunId; readonly epoch: number } | null {
  const [, run, epoch] = NAME.exec(name) ?? [];
  return run !== undefined && isRunId(run) ? { run, epoch: Number(epoch) } : null;
}
