// What all parts of the intruder share. See main.mjs.
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

export const REPOSITORY = "/work/repo";
export const isRoot = process.getuid() === 0;
/** A process of a busy emulated machine takes up to a second to start. */
export const HELPER_MS = 60_000;
export const TRY_MS = 4_000;

export function run(command, args, options = {}) {
  const stdio = ["ignore", "pipe", "pipe"];
  return spawnSync(command, args, { encoding: "utf8", timeout: HELPER_MS, stdio, ...options });
}

export function readAll(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}

export function ownerOf(pid) {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return null;
  }
}

/** The JSON that a command prints, or its words where it prints none. */
export function told({ stdout, stderr, error }) {
  try {
    return JSON.parse(stdout);
  } catch {
    return { fault: `${stdout ?? ""} ${stderr ?? ""} ${error ?? ""}`.slice(0, 1_000) };
  }
}
