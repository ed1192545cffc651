import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { purposes } from "../../../apps/orchestrator/src/signer/purposes.ts";

/** What the App must be granted: every purpose's permissions together, at their highest level. */
function granted(): Record<string, string> {
  const all: Record<string, string> = {};
  for (const { permissions } of Object.values(purposes)) {
    for (const [name, level] of Object.entries(permissions)) {
      all[name] = all[name] === "write" ? "write" : level;
    }
  }
  return all;
}

function textOf(page: string): Promise<string> {
  return readFile(new URL(`../../../${page}`, import.meta.url), "utf8");
}

function nameOf(words: string): string {
  return words.trim().toLowerCase().replaceAll(" ", "_");
}

describe("the permissions that pages tell people to grant", () => {
  it("are those of all purposes together, in the README", async () => {
    const line = /Repository permissions: ([^.]+)\./.exec(await textOf("README.md"))?.[1] ?? "";
    const told = line.split(",").map((part) => /^(.+) (read|write)$/.exec(part.trim()) ?? ["", "", ""]);
    expect(Object.fromEntries(told.map(([, name = "", level = ""]) => [nameOf(name), level]))).toEqual(granted());
  });

  it("are those of all purposes together, in the guide", async () => {
    const rows = [
      ...(await textOf("docs/guides/github-app.md")).matchAll(/^ *\| ([A-Z][a-z ]+?) *\| read( and write)? *\|/gm),
    ];
    const told = rows.map(([, name = "", more]) => [nameOf(name), more === undefined ? "read" : "write"]);
    expect(Object.fromEntries(told)).toEqual(granted());
  });
});
