import { Ajv } from "ajv";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { optionNames, readTaskOption } from "./task-options.ts";
import { taskSchema } from "./task-schema.ts";

const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(taskSchema);

/** Values on both sides of every rule, tried with every option. */
const values: readonly unknown[] = [
  "gpt-5.5",
  "a b",
  "",
  "high",
  "huge",
  "read-only",
  "unsafe",
  "workspace-write",
  "drop-sudo",
  "30m",
  "1 week",
  "1d",
  "src",
  "/src",
  "a/../b",
  "..",
  "a/.git/b",
  ".GIT",
  "..a",
  "comment",
  "review,check",
  "octocat",
  "x".repeat(5_000),
  true,
  false,
  1,
  0,
  null,
  {},
  { type: "object" },
  [],
  [""],
  ["comment"],
  ["comment", "no"],
  ["octocat"],
  [1],
  '{"type":"object"}',
  '["--color","never"]',
  "--color never",
  ["--color", "never"],
  Array(21).fill("true"),
  ["true"],
];

describe("the schema of a task's options", () => {
  it("names the options that a task file has, and describes each", () => {
    expect(Object.keys(taskSchema.properties).toSorted()).toEqual([...optionNames].toSorted());
    expect(Object.values(taskSchema.properties).every(({ description }) => description.length > 10)).toBe(true);
  });

  it("accepts whatever a run accepts", () => {
    const any = fc.oneof(fc.constantFrom(...values), fc.string(), fc.array(fc.string()), fc.integer(), fc.boolean());
    fc.assert(
      fc.property(fc.constantFrom(...optionNames), any, (name, value) => {
        expect(validate({ [name]: value }) || !readTaskOption(name, value).ok).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    ["model", "a b"],
    ["model", 5],
    ["effort", "huge"],
    ["sandbox", "none"],
    ["safety-strategy", "hope"],
    ["output-schema", []],
    ["working-directory", "/src"],
    ["working-directory", "a/../b"],
    ["working-directory", "a/.Git"],
    ["codex-args", 1],
    ["setup", []],
    ["setup", Array(21).fill("true")],
    ["allow-users", 1],
    ["allow-bots", []],
    ["publish", []],
    ["publish", ["comment", "tweet"]],
    ["timeout", "1 week"],
    ["timeout", 30],
    ["prompt", "x"],
  ])("refuses %s: %j, as a run does", (name, value) => {
    expect(validate({ [name]: value })).toBe(false);
    expect(readTaskOption(name, value).ok).toBe(false);
  });
});
