import { recordsIn, textIn } from "./json.ts";

/** Which tools a request offers for shell commands. Codex decides by model: most run code, some call a plain function. */
type ToolShape = "plain" | "code" | "none";

/** A command that is still running, and the call that waits for it. */
type Pending = { tool: "write_stdin"; sessionId: number } | { tool: "wait"; cellId: string };

/** What one request says about the conversation it belongs to. Nothing is remembered between requests. */
export interface Conversation {
  /** The last thing the user said, without what Codex says in the user's name about the machine. */
  readonly prompt: string;
  /** How many commands have ended since the prompt. */
  readonly step: number;
  /** What each of them printed. */
  readonly outputs: string[];
  /** What the last of them printed; empty before the first. */
  readonly output: string;
  /** The exit code of the last; null before the first, or when Codex could not run it. */
  readonly exitCode: number | null;
  /** The parsed body of the request. */
  readonly request: Record<string, unknown>;
  readonly shape: ToolShape;
  readonly pending: Pending | null;
}

interface Report {
  output: string;
  exitCode: number | null;
  pending: Pending | null;
}

// Codex opens the messages it writes in the user's name with these.
const notFromTheUser = ["<environment_context>", "# AGENTS.md instructions", "<turn_aborted>"];

/** Reads a request that `refusalOf` has nothing against. */
export function readConversation(request: Record<string, unknown>): Conversation {
  const items = recordsIn(request.input);
  const promptAt = items.findLastIndex((item) => isPrompt(item));
  const reports = readReports(items.slice(promptAt + 1));
  const ended = reports.filter((report) => report.pending === null);
  return {
    prompt: typeof request.input === "string" ? request.input : textIn(items[promptAt]?.content),
    step: ended.length,
    outputs: ended.map((report) => report.output),
    output: ended.at(-1)?.output ?? "",
    exitCode: ended.at(-1)?.exitCode ?? null,
    request,
    shape: readShape(request, items),
    pending: reports.at(-1)?.pending ?? null,
  };
}

function isPrompt(item: Record<string, unknown>): boolean {
  const text = textIn(item.content);
  return item.role === "user" && !notFromTheUser.some((opening) => text.startsWith(opening));
}

function readShape(request: Record<string, unknown>, items: Record<string, unknown>[]): ToolShape {
  const added = items.filter((item) => item.type === "additional_tools").flatMap((item) => recordsIn(item.tools));
  const offered = [...recordsIn(request.tools), ...added].flatMap((tool) =>
    tool.type === "namespace" ? recordsIn(tool.tools) : [tool],
  );
  if (offered.some((tool) => tool.type === "custom" && tool.name === "exec")) {
    return "code";
  }
  return offered.some((tool) => tool.type === "function" && tool.name === "exec_command") ? "plain" : "none";
}

/** One report for each command; what a later poll prints is added to the command it waits for. */
function readReports(items: Record<string, unknown>[]): Report[] {
  const names = new Map<unknown, unknown>();
  const reports: Report[] = [];
  for (const item of items) {
    if (item.type === "function_call" || item.type === "custom_tool_call") {
      names.set(item.call_id, item.name);
    }
    const name = names.get(item.call_id);
    const previous = reports.at(-1);
    if (item.type === "function_call_output" || item.type === "custom_tool_call_output") {
      const report = name === "exec" || name === "wait" ? readCodeReport(item.output) : readPlainReport(item.output);
      if ((name === "write_stdin" || name === "wait") && previous !== undefined) {
        reports[reports.length - 1] = { ...report, output: previous.output + report.output };
      } else {
        reports.push(report);
      }
    }
  }
  return reports;
}

function readPlainReport(output: unknown): Report {
  const text = textIn(output);
  const head = /^(?:.*\n){0,4}?Process (?:exited with code (-?\d+)|running with session ID (\d+))\n/.exec(text);
  const bodyAt = text.indexOf("\nOutput:\n");
  if (head === null || bodyAt === -1) {
    return { output: text, exitCode: null, pending: null };
  }
  return {
    output: text.slice(bodyAt + "\nOutput:\n".length),
    exitCode: head[1] === undefined ? null : Number(head[1]),
    pending: head[2] === undefined ? null : { tool: "write_stdin", sessionId: Number(head[2]) },
  };
}

/** The first part is Codex's own status; the parts after it are what the code written by `answer.ts` printed. */
function readCodeReport(output: unknown): Report {
  const parts = typeof output === "string" ? [output] : recordsIn(output).map((part) => textIn([part]));
  const [status = "", ...printed] = parts;
  const running = /^Script running with cell ID (\S+)/.exec(status);
  if (running?.[1] !== undefined) {
    return { output: printed.join(""), exitCode: null, pending: { tool: "wait", cellId: running[1] } };
  }
  const last = printed.at(-1);
  // Where Codex had to shorten what was printed it joins all parts into one.
  const ended = /(?:^|\n)exit code (-?\d+)$/.exec(last ?? "");
  if (last === undefined || ended === null) {
    return { output: parts.join(""), exitCode: null, pending: null };
  }
  const text = [...printed.slice(0, -1), last.slice(0, ended.index)].join("");
  return { output: text, exitCode: Number(ended[1]), pending: null };
}
