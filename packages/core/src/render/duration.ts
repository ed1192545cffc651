const SECOND_MS = 1_000;
const MINUTE_S = 60;
const HOUR_S = 3_600;

/** A duration in ms as a person reads it: `850ms`, `12s`, `2m 10s`, `1h 5m`. What is below the second unit is dropped. */
export function renderDuration(ms: number): string {
  const whole = Math.max(0, Math.floor(ms));
  if (whole < SECOND_MS) {
    return `${whole}ms`;
  }
  const seconds = Math.floor(whole / SECOND_MS);
  if (seconds < MINUTE_S) {
    return `${seconds}s`;
  }
  return seconds < HOUR_S ? pair(seconds, MINUTE_S, "m", 1, "s") : pair(seconds, HOUR_S, "h", MINUTE_S, "m");
}

function pair(seconds: number, bigS: number, big: string, smallS: number, small: string): string {
  const rest = Math.floor((seconds % bigS) / smallS);
  const head = `${Math.floor(seconds / bigS)}${big}`;
  return rest === 0 ? head : `${head} ${rest}${small}`;
}
