/**
 * Makes the user `mayfly` with its subordinate ids, or leaves it as it is. Idempotent. Throws unless called by root.
 */
export function ensureMayflyUser(): { name: string; uid: number; gid: number; home: string };
