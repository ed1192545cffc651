/** The one page a person looks at: a pull request with everything an App put on it. */
import type { Reply } from "./http.ts";
import { findRepository, fullNameOf, isoTime } from "./world.ts";
import type { Pull, World } from "./world.ts";

const PULL_PATH = /^\/([^/]+\/[^/]+)\/pull\/([1-9]\d{0,8})$/;

/** The page of a pull request, or undefined when the path is not one. */
export function pullPage(world: World, path: string): Reply | undefined {
  const [, name, number] = PULL_PATH.exec(path) ?? [];
  if (name === undefined) {
    return undefined;
  }
  const pull = findRepository(world, name)?.pulls.get(Number(number));
  if (pull === undefined) {
    return { status: 404, raw: { type: "text/plain; charset=utf-8", bytes: "Not found\n" } };
  }
  return { status: 200, raw: { type: "text/html; charset=utf-8", bytes: render(pull) } };
}

function render(pull: Pull): string {
  const { repository } = pull;
  const title = `${pull.title} #${pull.number}`;
  const checks = [...repository.checkRuns.values()].filter((run) => run.headSha === pull.head.sha);
  const comments = [...repository.comments.values()].filter((comment) => comment.pullNumber === pull.number);
  const sections = [
    part(
      "Labels",
      [...pull.labels].map((label) => escape(label)),
    ),
    part(
      "Checks",
      checks.map(
        (run) =>
          `${escape(run.name)}: ${escape(run.conclusion ?? run.status)} ${text(run.output.title ?? "")}${text(run.output.summary ?? "")}`,
      ),
    ),
    part(
      "Reviews",
      pull.reviews.map(
        (review) =>
          said(review.author.login, review.state, review.submittedAt) +
          text(review.body) +
          review.comments.map((comment) => text(`${comment.path}:${comment.line ?? ""} ${comment.body}`)).join(""),
      ),
    ),
    part(
      "Comments",
      comments.map((comment) => said(comment.author.login, "commented", comment.updatedAt) + text(comment.body)),
    ),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap;background:#f3f3f3;padding:.5rem}</style></head>
<body><p>Local stand-in for GitHub</p><h1>${escape(title)}</h1>
<p>${escape(pull.author.login)}: ${escape(pull.headRepository.owner.login)}:${escape(pull.head.ref)} into ${escape(fullNameOf(repository))}:${escape(pull.base.ref)}, ${pull.state}, head ${escape(pull.head.sha)}</p>
${text(pull.body ?? "")}${sections.join("\n")}</body></html>
`;
}

function part(heading: string, items: readonly string[]): string {
  return `<h2>${heading}</h2>${items.length === 0 ? "<p>none</p>" : `<ul>${items.map((item) => `<li>${item}</li>`).join("")}</ul>`}`;
}

function said(login: string, what: string, at: number): string {
  return `<strong>${escape(login)}</strong> ${escape(what)} ${isoTime(at)}`;
}

function text(content: string): string {
  return content === "" ? "" : `<pre>${escape(content)}</pre>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
