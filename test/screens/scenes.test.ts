import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGitHubAlone } from "../attack/github-bench.ts";
import { pageOf } from "./page.ts";
import { playScenes, type Scene } from "./scenes.ts";

let scenes: ReadonlyMap<string, Scene["parts"]>;
let end: () => Promise<void>;

beforeAll(async () => {
  const { bench, close } = await openGitHubAlone();
  end = close;
  scenes = new Map((await playScenes(bench)).map(({ name, parts }) => [name, parts]));
});

afterAll(() => end());

const shown = (name: string) => pageOf(scenes.get(name) ?? []);

describe("the pictures in the documents", () => {
  it("show a run that goes on, with the result before it folded", () => {
    expect(shown("progress")).toMatch(/<h3>Running: Codex started[^]*<summary>The result before this one<\/summary>/);
  });

  it("show its result, as a comment and as a check with its buttons", () => {
    expect(shown("result")).toMatch(
      /<h3>Codex has answered<\/h3>[^]*<input type="checkbox"[^]*<summary>Commands it ran/,
    );
    expect(shown("result")).toContain("<button>Apply patch</button><button>Discard</button><button>Run again</button>");
  });

  it("show a review with its comment beside the line", () => {
    expect(shown("review")).toContain('<code class="language-suggestion">More: a list of what is on the shelf.');
  });

  it("show what a change of task files comes to, and a note beside the line with a mistake", () => {
    expect(shown("tasks")).toContain("<code>effort</code>: none becomes <code>high</code>");
    expect(shown("tasks")).toContain("<code>output-schema</code>: is another one");
    expect(shown("tasks")).toContain("No run would start");
  });

  it("take names for text", () => {
    const check = { kind: "check", name: "<b>", state: "", title: "", summary: "", buttons: ["<i>&"] } as const;
    expect(pageOf([check])).toContain("<b>&lt;b></b>");
    expect(pageOf([check])).toContain("<button>&lt;i>&amp;</button>");
  });
});
