import { describe, expect, it } from "vitest";
import { readActivity } from "./activity.ts";
import type { AgentEvent } from "./protocol.ts";

const said = (value: unknown): AgentEvent => ({ type: "codex", line: JSON.stringify(value) });
const todo = (type: string, ...items: (readonly [string, boolean])[]): AgentEvent =>
  said({
    type,
    item: { id: "item_1", type: "todo_list", items: items.map(([text, completed]) => ({ text, completed })) },
  });
const command = (text: string, exit: number | null, type = "item.completed"): AgentEvent =>
  said({
    type,
    item: {
      id: "item_2",
      type: "command_execution",
      command: text,
      aggregated_output: "",
      exit_code: exit,
      status: type === "item.completed" ? (exit === 0 ? "completed" : "failed") : "in_progress",
    },
  });

describe("what Codex said of its work", () => {
  it("is the to-do list as it last stood, and the commands that ended, in their order", () => {
    const events = [
      todo("item.started", ["Read", false], ["Test", false]),
      command("ls", null, "item.started"),
      command("ls", 0),
      todo("item.updated", ["Read", true], ["Test", false]),
      command("npm test", 1),
      todo("item.completed", ["Read", true], ["Test", true]),
    ];
    expect(readActivity(events)).toEqual({
      todo: [
        { text: "Read", completed: true },
        { text: "Test", completed: true },
      ],
      commands: [
        { command: "ls", exitCode: 0 },
        { command: "npm test", exitCode: 1 },
      ],
    });
  });

  it("is nothing where it said nothing, or nothing that can be read", () => {
    const events: AgentEvent[] = [
      { type: "note", text: '"todo_list"' },
      { type: "codex", line: '{"type":"item.completed","item":{"type":"todo_list"' },
      said({ type: "item.completed", item: { type: "todo_list", items: [{ text: 7, completed: true }] } }),
      said({ type: "item.completed", item: { type: "todo_list", items: "many" } }),
      said(["todo_list"]),
    ];
    expect(readActivity(events)).toEqual({ todo: [], commands: [] });
  });

  it("is bounded, whatever a machine sends: the last twenty commands and thirty things to do", () => {
    const many = Array.from({ length: 1_000 }, (_, index) => command(`echo ${index}`, 0));
    const items = Array.from({ length: 500 }, (_, index) => [`thing ${index}`, false] as const);
    const { todo: list, commands } = readActivity([...many, todo("item.updated", ...items)]);
    expect(list.map(({ text }) => text)).toEqual(items.slice(0, 30).map(([text]) => text));
    expect(commands.map(({ command: text }) => text)).toEqual(
      Array.from({ length: 20 }, (_, index) => `echo ${980 + index}`),
    );
  });
});
