import { parseArgs } from "node:util";

/** What can be asked of the demo after \`--\`. */
export interface DemoOptions {
  readonly json: boolean;
  readonly keep: boolean;
  readonly help: boolean;
  readonly label: string;
  /** A local git repository whose branch becomes the pull request; null for the demo's own. */
  readonly repository: { readonly path: string; readonly branch: string } | null;
}

export const usage = `npm run demo [-- options]

Opens a pull request in a stand-in for GitHub, adds a label, and shows how the real service runs the real Codex on it
in a real virtual machine. With OPENAI_API_KEY set (and OPENAI_BASE_URL, MAYFLY_MODEL if wanted) the real model
answers, else a scripted one. The review stands beside its lines, and a patch that Codex made is applied by its button.

  --json             print one JSON document as the last line of standard output
  --keep             leave everything running and print the addresses; Ctrl-C ends it
  --label LABEL      the label to add (codex-review); the task file of that name is on the default branch
  --repo PATH[#BRANCH]  open the pull request from a branch of a local git repository (its HEAD)
  --help             show this
`;

/** Throws with words for the person who typed them. */
export function readOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      label: { type: "string", default: "codex-review" },
      repo: { type: "string" },
    },
  });
  const [path, branch] = values.repo?.split("#") ?? [];
  return {
    json: values.json,
    keep: values.keep,
    help: values.help,
    label: values.label,
    repository: path === undefined ? null : { path, branch: branch ?? "HEAD" },
  };
}
