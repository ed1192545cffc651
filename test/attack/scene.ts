import type { PullView } from "../fakes/github/views.ts";
import type { TestWorld } from "../support/world.ts";

const OWNER = "example-org";
const LABEL = "codex-review";

/** An emulated machine takes up to a minute on a busy host, and as long to start Codex. */
export const RUN_MS = 240_000;

/** Opens a pull request whose task asks this, labels it, and waits for its run to be there. */
export async function startRun(
  world: TestWorld,
  options: {
    prompt: string;
    sandbox?: string;
    timeout?: string;
    /** More lines of the task's front matter. */
    frontMatter?: readonly string[];
    /** More files of the base. */
    base?: Readonly<Record<string, string>>;
    head?: Readonly<Record<string, string>>;
  },
): Promise<{ id: string; pull: PullView }> {
  const { prompt, sandbox = "workspace-write", head = { "README.md": "# Shelf\n\nLists things.\n" } } = options;
  const { github, control } = world;
  const before = (await control.list()).length;
  const { timeout = "10m", frontMatter = [], base = {} } = options;
  const settings = [`sandbox: ${sandbox}`, `timeout: ${timeout}`, "publish: [comment, check]", ...frontMatter];
  const task = ["---", ...settings, "---", prompt, ""].join("\n");
  const files = { "README.md": "# Shelf\n", ...base, [`.github/codex/labels/${LABEL}.md`]: task };
  const { fullName } = await github.createRepository({ owner: OWNER, name: `shelf-${before}`, files });
  github.setRole(fullName, "author", "write");
  github.setRole(fullName, "maintainer", "maintain");
  const pull = await github.openPullRequest({
    repo: fullName,
    title: "Say more",
    author: "author",
    head: { files: head },
  });
  await github.addLabel(pull, LABEL, { by: "maintainer" });
  return { id: await world.nextRun(before), pull };
}
