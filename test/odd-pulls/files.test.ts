import { afterAll, beforeAll, expect, it } from "vitest";
import { type CommandBench, LABEL, openCommands } from "../commands/bench.ts";
import { blockOf, label, linesOf, publishReview, REVIEW_TASK } from "./bench.ts";

const SUBMODULE = "1".repeat(40);
const pointer = (digit: string) =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${digit.repeat(64)}\nsize 12345\n`;
let bench: CommandBench;

beforeAll(async () => {
  bench = await openCommands();
});

afterAll(() => bench.end());

it("names binary files, pointers, submodules and renamed files, and comments only on lines that there are", async () => {
  const old = Array.from({ length: 20 }, (_, at) => `line ${at}\n`).join("");
  const pull = await bench.open("files", {
    tasks: { [LABEL]: REVIEW_TASK },
    files: { "old.txt": old, "gone.txt": "only here\n" },
    head: {
      files: {
        "old.txt": null,
        "new.txt": old,
        "gone.txt": null,
        "logo.bin": new Uint8Array([0, 1, 2, 0]),
        "model.onnx": pointer("a"),
        "vendor/lib": { mode: "160000", content: SUBMODULE },
        "run.sh": { mode: "100755", content: "true\n" },
        link: { mode: "120000", content: "new.txt" },
        empty: "",
        "caf\u00e9 \u{1F600}.txt": "a\n",
        'quo"te\n.txt': "a\n",
      },
    },
  });
  const found = await label(bench, pull);
  const listed = blockOf(found, "files that the pull request changes").split("\n");
  expect(listed.toSorted()).toEqual(
    [
      '"quo\\"te\\n.txt"',
      "caf\u00e9 \u{1F600}.txt",
      "empty",
      "gone.txt",
      "link",
      "logo.bin",
      "model.onnx",
      "new.txt (before: old.txt)",
      "run.sh",
      "vendor/lib",
    ].toSorted(),
  );
  const told = await publishReview(bench, found, pull, [
    { path: "logo.bin", line: 1, title: "Binary" },
    { path: "model.onnx", line: 2, title: "Pointer" },
    { path: "model.onnx", line: 500, title: "Inside what it points to" },
    { path: "vendor/lib", line: 1, title: "Submodule" },
    { path: "vendor/lib/a.c", line: 7, title: "Inside the submodule" },
    { path: "new.txt", line: 5, title: "Only renamed" },
    { path: "old.txt", line: 5, title: "Its old name" },
    { path: "gone.txt", line: 1, side: "LEFT", title: "Deleted" },
    { path: "empty", line: 1, title: "Empty" },
    { path: "caf\u00e9 \u{1F600}.txt", line: 1, title: "Accent" },
  ]);
  expect(told.event.type).toBe("published");
  expect(linesOf(told.pull).toSorted()).toEqual(
    ["caf\u00e9 \u{1F600}.txt:1 RIGHT", "gone.txt:1 LEFT", "model.onnx:2 RIGHT", "vendor/lib:1 RIGHT"].toSorted(),
  );
  const said = bench.said(pull).join();
  for (const title of [
    "Binary",
    "Inside what it points to",
    "Inside the submodule",
    "Only renamed",
    "Its old name",
    "Empty",
  ]) {
    expect(said).toMatch(new RegExp(`\\*\\*Outside the diff\\*\\*[^]*${title}`));
  }
});

it("keeps a finding on a file whose name is no UTF-8 in the summary, and the others on their lines", async () => {
  const pull = await bench.open("bytes", {
    tasks: { [LABEL]: REVIEW_TASK },
    head: { files: { "caf\udce9.txt": "a\n", "b.txt": "b\n" } },
  });
  const found = await label(bench, pull);
  const listed = blockOf(found, "files that the pull request changes").split("\n");
  expect(listed).toEqual(["b.txt", "caf\uFFFD.txt"]);
  const told = await publishReview(bench, found, pull, [
    { path: "caf\uFFFD.txt", line: 1, title: "As GitHub lists it" },
    { path: "caf\\351.txt", line: 1, title: "As git writes it" },
    { path: "b.txt", line: 1, title: "Plain" },
  ]);
  expect(told.event.type).toBe("published");
  expect(linesOf(told.pull)).toEqual(["b.txt:1 RIGHT"]);
  expect(bench.said(pull).join()).toMatch(/\*\*Outside the diff\*\*[^]*As GitHub lists it[^]*As git writes it/);
});

it("asks and is told nothing that GitHub's description does not have", () => {
  expect(bench.github.contractViolations).toEqual([]);
});
