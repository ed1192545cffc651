const PREFIX = "tasks:";

/** What the check on a pull request's task files is known again by, among the App's own checks. */
export function taskCheckId(number: number): string {
  return `${PREFIX}${number}`;
}

/** The pull request's number; null if it is no such id. */
export function readTaskCheckId(id: string): number | null {
  const digits = id.startsWith(PREFIX) ? id.slice(PREFIX.length) : "";
  return /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : null;
}
