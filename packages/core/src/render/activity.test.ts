import { describe, expect, it } from "vitest";
import { renderActivity } from "./activity.ts";

const scope = { repository: { owner: "acme", name: "app" }, githubHost: "github.com" };

describe("how Codex worked, as a comment shows it", () => {
  it("is a checklist, and the commands folded, without the shell around them", () => {
    const text = renderActivity(
      {
        todo: [
          { text: "Read the *diff*", completed: true },
          { text: "Run `npm test`", completed: false },
        ],
        commands: [
          { command: "/bin/bash -lc 'npm test'", exitCode: 1 },
          { command: 'bash -lc "ls -a"', exitCode: 0 },
          { command: "bash -lc \"echo $HOME '`x`'\"", exitCode: null },
          { command: "make", exitCode: 0 },
        ],
      },
      scope,
    );
    expect(text.split("\n")).toEqual([
      "**Codex's to-do list**",
      "",
      "- [x] Read the _diff_",
      "- [ ] Run `npm test`",
      "",
      "<details>",
      "<summary>Commands it ran: 4, of which 2 failed</summary>",
      "",
      "- `npm test`: exit code 1",
      "- `ls -a`: ok",
      "- `` \"echo $HOME '`x`'\" ``: did not end by itself",
      "- `make`: ok",
      "",
      "</details>",
    ]);
  });

  it("speaks of no failures where there were none", () => {
    const text = renderActivity({ todo: [], commands: [{ command: "make", exitCode: 0 }] }, scope);
    expect(text).toContain("<summary>Commands it ran: 1</summary>");
  });

  it("is nothing if it said nothing", () => {
    expect(renderActivity({ todo: [], commands: [] }, scope)).toBe("");
  });

  it("keeps each thing to do on its line and out of the frame", () => {
    const todo = ["```\nrm -rf\n```", "</details>", "# Approved\n\n- [x] all", "@alice", "", "\u202e"].map((text) => ({
      text,
      completed: false,
    }));
    const lines = renderActivity({ todo, commands: [] }, scope).split("\n");
    const items = lines.slice(2);
    expect(items).toHaveLength(todo.length);
    expect(items.every((line) => line.startsWith("- [ ] "))).toBe(true);
    expect(lines.join("\n")).not.toMatch(/<\/details>|(?<!`)@alice/);
  });
});
