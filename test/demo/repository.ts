/** The repository of the demo: a small library and its task file, on the default branch. */
export const files: Readonly<Record<string, string>> = {
  "README.md": "# Shelf\n\nLists things, a page at a time.\n",
  "AGENTS.md": "Keep functions small. Every function has a comment that says what it returns.\n",
  "src/pages.js": `/** How many pages a list of this length has. */
export function countPages(length, pageSize) {
  return Math.ceil(length / pageSize);
}
`,
};

/** The task: what the label stands for. */
export function taskFile(): string {
  return `---
sandbox: workspace-write
effort: high
timeout: 10m
publish: [comment, check, review, patch]
---
Review what pull request {{ number }} of {{ repository }} changes. Look at the diff first. Report defects a maintainer
would want to know of before merging, each with its file and line, the worst first. If you find none, say so.

Mend in the working tree what a change of a line or two mends; it is offered as a patch.
`;
}

/** The pull request: a new function with a planted bug, an index one past the end. */
export const change: Readonly<Record<string, string>> = {
  "src/pages.js": `/** How many pages a list of this length has. */
export function countPages(length, pageSize) {
  return Math.ceil(length / pageSize);
}

/** The items of one page, counted from 0. */
export function pageOf(items, page, pageSize) {
  const found = [];
  for (let i = page * pageSize; i <= items.length && found.length < pageSize; i++) {
    found.push(items[i]);
  }
  return found;
}
`,
};

export const pullRequest = {
  title: "Show one page of a list",
  body: "Adds `pageOf`, which returns the items of one page.",
};
