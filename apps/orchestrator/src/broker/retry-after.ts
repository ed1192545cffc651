import type { Instant } from "@mayfly/core";

/** Milliseconds to wait, 0 or more: whole seconds or an HTTP date (RFC 9110, 10.2.3). Null for anything else. */
export function retryAfterMs(value: string | null | undefined, now: Instant): number | null {
  if (value === null || value === undefined) {
    return null;
  }
  if (/^\d{1,9}$/.test(value)) {
    return Number(value) * 1000;
  }
  const at = /^[A-Z][a-z]{2}, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
