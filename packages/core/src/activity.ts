import { z } from "zod";
import { limits } from "./limits.ts";
import type { AgentEvent } from "./protocol.ts";
import { readStrictJson } from "./strict-json.ts";

/** Lines of the CLI that are read, from the last one back: a run of some hundred commands is a long one. */
const LINES_MAX = 400;
/** What a person reads. */
const TODO_MAX = 30;
const COMMANDS_MAX = 20;
const DEPTH_MAX = 8;

/** What Codex said of its work while it was at it. Every text is the machine's. */
export interface Activity {
  /** Its to-do list as it last stood, in its order. */
  readonly todo: readonly { readonly text: string; readonly completed: boolean }[];
  /** The last commands it ran to their end, in their order. */
  readonly commands: readonly { readonly command: string; readonly exitCode: number | null }[];
}

/** The CLI's items as `codex exec --json` prints them (docs/exec.md of the CLI); other fields are of no interest here. */
const Line = z.object({
  type: z.enum(["item.started", "item.updated", "item.completed"]),
  item: z.discriminatedUnion("type", [
    z.object({
      type: z.literal("todo_list"),
      items: z.array(z.object({ text: z.string(), completed: z.boolean() })),
    }),
    z.object({
      type: z.literal("command_execution"),
      command: z.string(),
      exit_code: z.int().nullable().default(null),
      status: z.string(),
    }),
  ]),
});
type Item = z.infer<typeof Line>["item"];

/** What there is of it in a run's events. Lines that say something else, or nothing that can be read, are left out. */
export function readActivity(events: readonly AgentEvent[]): Activity {
  const said = events.flatMap((event) => (event.type === "codex" && isOfInterest(event.line) ? [event.line] : []));
  let todo: Activity["todo"] | null = null;
  const commands: Activity["commands"][number][] = [];
  for (const line of said.slice(-LINES_MAX).toReversed()) {
    const item = readItem(line);
    if (item?.type === "todo_list") {
      todo ??= item.items.slice(0, TODO_MAX);
    }
    if (item?.type === "command_execution" && item.status !== "in_progress" && commands.length < COMMANDS_MAX) {
      commands.unshift({ command: item.command, exitCode: item.exit_code });
    }
  }
  return { todo: todo ?? [], commands };
}

/** Cheap, since a machine may send thousands of lines. */
function isOfInterest(line: string): boolean {
  return line.includes('"todo_list"') || (line.includes('"command_execution"') && line.includes('"item.completed"'));
}

function readItem(line: string): Item | null {
  const json = readStrictJson(line, { depthMax: DEPTH_MAX, charsMax: limits.eventBytesMax });
  const read = Line.safeParse(json.ok ? json.value : null);
  return read.success ? read.data.item : null;
}

/** Every text in it, as it may be shown. */
export function textsOfActivity({ todo, commands }: Activity): string[] {
  return [...todo.map(({ text }) => text), ...commands.map(({ command }) => command)];
}
