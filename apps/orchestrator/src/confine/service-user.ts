import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";

import { AppError } from "@mayfly/core";

import { SUBORDINATE_IDS_MIN } from "./uid-offsets.ts";

/** A block of subordinate ids as /etc/subuid or /etc/subgid grants it. */
export interface SubordinateRange {
  readonly first: number;
  readonly count: number;
}

/** The ordinary user the service runs as, and the ids it may give to what it confines. */
export interface ServiceUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly subuids: SubordinateRange;
  readonly subgids: SubordinateRange;
}

/** No system has more lines than fit here. */
const FILE_BYTES_MAX = 1024 * 1024;
/** The highest uid is reserved by the kernel as "no change". */
const ID_MAX = 2 ** 32 - 2;

/**
 * Who this process is and which subordinate ids it has. Throws CONFIG_INVALID when it is root (nothing of Mayfly runs
 * as root) or when /etc/subuid or /etc/subgid has no usable range for it.
 */
export async function readServiceUser(): Promise<ServiceUser> {
  const { username: name, uid, gid } = userInfo();
  if (uid === 0) {
    throw new AppError(
      "CONFIG_INVALID",
      "the service runs as root, which confines nothing: run it as an ordinary user",
    );
  }
  const [subuids, subgids] = await Promise.all([
    readRange("/etc/subuid", { name, id: uid }),
    readRange("/etc/subgid", { name, id: uid }),
  ]);
  return { name, uid, gid, subuids, subgids };
}

/**
 * The largest range that `text` (of /etc/subuid or /etc/subgid) grants to the user, or null. Strict about the user's own
 * lines: throws CONFIG_INVALID when one is malformed; those of others do not matter.
 */
export function parseSubordinateRange(text: string, user: { name: string; id: number }): SubordinateRange | null {
  let largest: SubordinateRange | null = null;
  for (const line of text.split("\n")) {
    const [owner, ...numbers] = line.split(":");
    if (owner !== user.name && owner !== String(user.id)) {
      continue;
    }
    const range = parseNumbers(numbers);
    if (range === null) {
      throw new AppError("CONFIG_INVALID", `malformed line of subordinate ids: ${JSON.stringify(line)}`);
    }
    if (largest === null || range.count > largest.count) {
      largest = range;
    }
  }
  return largest;
}

function parseNumbers(fields: readonly string[]): SubordinateRange | null {
  const [first, count] = fields.map((field) => (/^[0-9]{1,10}$/.test(field) ? Number(field) : Number.NaN));
  if (fields.length !== 2 || first === undefined || count === undefined) {
    return null;
  }
  return first > 0 && count > 0 && first + count - 1 <= ID_MAX ? { first, count } : null;
}

async function readRange(file: string, user: { name: string; id: number }): Promise<SubordinateRange> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new AppError("CONFIG_INVALID", `cannot read ${file}: install package uidmap and ${rangeAdvice(user.name)}`, {
      cause,
    });
  });
  const range = text.length <= FILE_BYTES_MAX ? parseSubordinateRange(text, user) : null;
  if (range === null || range.count < SUBORDINATE_IDS_MIN) {
    throw new AppError(
      "CONFIG_INVALID",
      `${file} grants ${user.name} no ${SUBORDINATE_IDS_MIN} ids: ${rangeAdvice(user.name)}`,
    );
  }
  return range;
}

function rangeAdvice(name: string): string {
  return `run as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name} (or another free range)`;
}
