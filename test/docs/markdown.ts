/** Just enough Markdown to check our own documents: they are plain. */

/** Where links lead, inline and by reference. Code is no link. */
export function linksOf(text: string): string[] {
  const prose = withoutFences(text).replaceAll(/`[^`\n]*`/g, "");
  const inline = [...prose.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link ?? "");
  const references = [...prose.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)].map(([, link]) => link ?? "");
  return [...inline, ...references];
}

/** The anchors GitHub makes of headings. */
export function anchorsOf(text: string): string[] {
  return [...withoutFences(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Everything in code font outside of blocks. */
export function codeSpansOf(text: string): string[] {
  return [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, span]) => span ?? "");
}

/** The text below a heading of the second level, up to the next. */
export function section(text: string, heading: string): string {
  const [, after = ""] = text.split(new RegExp(`^## ${heading}$`, "m"));
  return after.split(/^## /m)[0] ?? "";
}

/** What follows a program's name, in code font and in blocks; also behind `npm run … --`. Comments are cut off. */
export function commandLinesOf(text: string, program: string): string[] {
  const blocks = [...text.matchAll(/^ *```sh\n([^]*?)^ *```$/gm)].flatMap(([, block = ""]) => block.split("\n"));
  return [...blocks, ...codeSpansOf(text)].flatMap((line) => {
    const match = new RegExp(`^\\s*(?:npm run (?:--silent )?)?${program}(?: --)? (.+)$`).exec(
      line.replace(/\s#.*$/, ""),
    );
    return match?.[1] === undefined ? [] : [match[1]];
  });
}

function withoutFences(text: string): string {
  return text.replaceAll(/^ *```[^]*?^ *```$/gm, "");
}
