import { randomBytes } from "node:crypto";
import type { AttackContext } from "../../row.ts";

/** As whom the intruder works in the machine. */
export type Who = "codex" | "root";

/** A value that is in the machine, so that a scan can be seen to find what is there. */
export interface Planted {
  readonly name: string;
  readonly value: string;
  /** Forms in which it must be found. */
  readonly forms: readonly string[];
}

const marks = new WeakMap<AttackContext, Readonly<Record<Who, string>>>();

/** What that intruder leaves wherever it can; known before it has come. */
export function markOf(context: AttackContext, who: Who): string {
  const mark = () => `intruder-${randomBytes(12).toString("hex")}`;
  const mine = marks.get(context) ?? { codex: mark(), root: mark() };
  marks.set(context, mine);
  return mine[who];
}

/** One value for a file, one for the prompt, and one that is there in disguise only. */
export function plant(): readonly [Planted, Planted, Planted] {
  const value = () => `planted-${randomBytes(30).toString("base64url")}`;
  return [
    { name: "planted in a file", value: value(), forms: ["raw"] },
    { name: "planted in the prompt", value: value(), forms: ["raw"] },
    {
      name: "planted in disguise",
      value: value(),
      forms: ["base64+0", "base64+1", "base64+2", "hex", "percent", "reversed"],
    },
  ];
}

/** A value in forms that a scan for the value itself would miss. */
export function disguises(value: string): string[] {
  const hex = Buffer.from(value).toString("hex");
  return [
    ...["", "x", "xy"].map((before) => Buffer.from(before + value).toString("base64")),
    hex,
    hex.replaceAll(/../g, "%$&"),
    Buffer.from(value).reverse().toString(),
  ];
}
