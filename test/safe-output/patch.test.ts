import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GitHubBench, MAINTAINER, openGitHubAlone } from "../attack/github-bench.ts";
import { blobOf, change, hindrances, NEW, offer, type Offered, WAITING } from "./offered.ts";

let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  ({ bench, close: end } = await openGitHubAlone());
});

afterAll(() => end());

const headOf = ({ pull }: Offered) => bench.github.pullRequest(pull).headSha;

describe("a patch that is offered", () => {
  it("stands in the comment, folded, and on the check with a button that GitHub takes", async () => {
    const offered = await offer(bench, [change()]);
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
    expect(offered.comment()).toContain("**A patch waits: 1 file, +2 −1 lines.**");
    expect(offered.comment()).toContain("-More.\n+Much more.");
    expect(headOf(offered)).toBe(offered.pull.headSha);
  });

  it("does not get out of its fence", async () => {
    const text = "````\n</details>\n@everyone\n~~~\n`````````\n<img src=x>\n";
    const offered = await offer(bench, [change({ content: Buffer.from(text).toString("base64") })]);
    const fence = /\n(`{3,})diff\n/.exec(offered.comment())?.[1] ?? "";
    expect(fence.length).toBeGreaterThan(9);
    expect(offered.comment().split(`\n${fence}\n`)).toHaveLength(2);
  });

  it("is refused with its rule where it breaks one, and has no button", async () => {
    const bad = change({ path: ".github/workflows/x.yml", base: null });
    const offered = await offer(bench, [bad]);
    expect(offered.comment()).toContain("**The patch is not offered** (`E_PROTECTED`, `.github/workflows/x.yml`)");
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: ["run_again"] });
    expect(await offered.press()).toContain("not applied: there is no patch of this run any more");
    expect(headOf(offered)).toBe(offered.pull.headSha);
  });

  it("is not believed about what it was made from", async () => {
    const offered = await offer(bench, [change({ base: blobOf("something else") })]);
    expect(offered.comment()).toContain("(`E_BASE`, `README.md`)");
  });

  it("keeps the whole answer away if a changed file holds a credential", async () => {
    const secret = `ghp_${"aB3".repeat(12)}`;
    const offered = await offer(bench, [change({ content: Buffer.from(`token = "${secret}"\n`).toString("base64") })]);
    expect(offered.event).toMatchObject({ type: "ending_changed", ending: { code: "answer_withheld" } });
    expect(offered.comment()).not.toContain(secret);
  });

  it("has no button on a fork", async () => {
    const offered = await offer(bench, [change()], { fork: true });
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: ["run_again"] });
    expect(offered.comment()).toContain("The head is in a fork, where Mayfly never pushes");
    expect(await offered.press()).toContain("never pushes");
  });
});

describe("Apply patch", () => {
  it("makes one commit with the exact bytes on the approved one, however often it is pressed", async () => {
    const offered = await offer(bench, [change(), change({ path: "docs/new.md", base: null })]);
    const first = await offered.press();
    const head = headOf(offered);
    expect(first).toBe(`the patch is commit ${head}`);
    expect(await offered.press()).toBe(first);
    expect(headOf(offered)).toBe(head);
    const { owner, name } = { owner: "example-org", name: offered.pull.repo.split("/")[1] ?? "" };
    const origin = offered.run.request.origin;
    if (origin.kind !== "pull_request") {
      throw new Error("not a pull request's run");
    }
    const place = { installation: origin.installation, repository: origin.repository };
    await bench.app.withClient("read", place, async (client) => {
      const where = { owner, repo: name };
      const { data } = await client.request("GET /repos/{owner}/{repo}/git/commits/{commit_sha}", {
        ...where,
        commit_sha: head,
      });
      expect(data.parents.map(({ sha }) => sha)).toEqual([offered.pull.headSha]);
      expect(data.message).toContain(`\nApproved-SHA: ${offered.pull.headSha}\nRun: ${offered.run.id}\n`);
      expect(data.author.name).toMatch(/\[bot\]$/);
      const { data: tree } = await client.request("GET /repos/{owner}/{repo}/git/trees/{tree_sha}", {
        ...where,
        tree_sha: head,
        recursive: "1",
      });
      const shas = Object.fromEntries(tree.tree.map(({ path, sha }) => [path, sha]));
      expect([shas["README.md"], shas["docs/new.md"]]).toEqual([blobOf(NEW), blobOf(NEW)]);
    });
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: [] });
    const { said } = offered.check();
    expect(said).toContain(`Patch applied as ${head.slice(0, 7)}`);
    // What the run answered is still there, and what was decided is said once.
    expect(said).toContain("> The shelf is longer now.");
    expect(said.split("**The patch is on the branch**")).toHaveLength(2);
  });

  it("is done once when it is asked for again while it is under way", async () => {
    const offered = await offer(bench, [change()]);
    const writing = () => bench.github.tokens().filter(({ permissions }) => permissions["contents"] === "write").length;
    const before = writing();
    const said = await Promise.all([offered.press(), offered.press(), offered.press()]);
    expect(new Set(said)).toEqual(new Set([`the patch is commit ${headOf(offered)}`]));
    expect(writing() - before).toBe(1);
  });

  it.each(["triage", "read"] as const)("is refused to somebody with the role %s, who is told so", async (role) => {
    const offered = await offer(bench, [change()]);
    bench.github.setRole(offered.pull.repo, "visitor", role);
    expect(await offered.press("visitor")).toContain(`visitor has the role ${role}`);
    expect(headOf(offered)).toBe(offered.pull.headSha);
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
  });

  it("asks for the role as it is now", async () => {
    const offered = await offer(bench, [change()]);
    bench.github.setRole(offered.pull.repo, MAINTAINER, "read");
    expect(await offered.press()).toContain("not applied");
    expect(headOf(offered)).toBe(offered.pull.headSha);
  });

  it("is refused after another push, and never forces", async () => {
    const offered = await offer(bench, [change()]);
    await bench.github.push(offered.pull, { files: { "other.md": "x\n" } });
    const head = headOf(offered);
    expect(await offered.press()).toContain(`the head is now ${head}`);
    expect(headOf(offered)).toBe(head);
  });

  it("is refused on a closed pull request", async () => {
    const offered = await offer(bench, [change()]);
    await bench.github.closePullRequest(offered.pull, { by: MAINTAINER });
    expect(await offered.press()).toContain("the pull request is closed");
  });
});

describe("Discard", () => {
  it("turns the patch down for good: the check says by whom, and it cannot be applied any more", async () => {
    const offered = await offer(bench, [change()]);
    expect(await offered.press(MAINTAINER, "discard")).toBe("the patch is discarded");
    expect(offered.check()).toMatchObject({ conclusion: "neutral", buttons: ["run_again"] });
    expect(offered.check().said).toContain(`**The patch was discarded** by \`${MAINTAINER}\`.`);
    expect(offered.check().said).toContain("> The shelf is longer now.");
    expect(await offered.press()).toBe("not applied: it was discarded: run the task again for another");
    expect(offered.check()).toMatchObject({ conclusion: "neutral", buttons: ["run_again"] });
    expect(headOf(offered)).toBe(offered.pull.headSha);
    expect(await offered.press(MAINTAINER, "discard")).toBe("the patch is discarded");
  });

  it("is refused to somebody without write access, and the patch still waits", async () => {
    const offered = await offer(bench, [change()]);
    bench.github.setRole(offered.pull.repo, "visitor", "triage");
    expect(await offered.press("visitor", "discard")).toContain("not discarded: visitor has the role triage");
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
    expect(await offered.press()).toContain("the patch is commit");
  });

  it("is refused once the patch is on the branch", async () => {
    const offered = await offer(bench, [change()]);
    await offered.press();
    const head = headOf(offered);
    expect(await offered.press(MAINTAINER, "discard")).toContain(`it is on the branch already, as ${head}`);
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: [] });
    expect(headOf(offered)).toBe(head);
  });
});

describe("a task that commits by itself", () => {
  const kind = "commit" as const;

  it("puts its patch on the branch once, for whoever asked for the run, and says so on the check", async () => {
    const offered = await offer(bench, [change()], { kind });
    expect(offered.comment()).toContain("**A patch was made: 1 file, +2 −1 lines.** The task commits it");
    await offered.settle();
    const head = headOf(offered);
    expect(head).not.toBe(offered.pull.headSha);
    await offered.settle();
    expect(headOf(offered)).toBe(head);
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: [] });
    expect(offered.check().said).toContain(
      `**The patch is on the branch** as ${head}, by the task itself, for \`${MAINTAINER}\`.`,
    );
  });

  it.each(hindrances)("lets it wait for a person where $what, and says why", async ({ happens, why }) => {
    const offered = await offer(bench, [change()], { kind });
    await happens(bench, offered);
    const before = headOf(offered);
    await offered.settle();
    expect(headOf(offered)).toBe(before);
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
    expect(offered.check().said).toContain(`**The patch was not applied**, which the task does for \`${MAINTAINER}\``);
    expect(offered.check().said).toContain(why);
  });

  it("commits nothing that breaks a rule, nothing of a fork, and nothing that a person discarded", async () => {
    const bad = await offer(bench, [change({ path: ".github/workflows/x.yml", base: null })], { kind });
    await bad.settle();
    const fork = await offer(bench, [change()], { kind, fork: true });
    await fork.settle();
    const discarded = await offer(bench, [change()], { kind });
    await discarded.press(MAINTAINER, "discard");
    await discarded.settle();
    for (const offered of [bad, fork, discarded]) {
      expect(headOf(offered)).toBe(offered.pull.headSha);
    }
    expect(discarded.check()).toMatchObject({ conclusion: "neutral", buttons: ["run_again"] });
  });

  it("does no more once it was applied and pushed over: what the check says stays", async () => {
    const offered = await offer(bench, [change()], { kind });
    await offered.settle();
    const { said } = offered.check();
    await bench.github.push(offered.pull, { files: { "other.md": "x\n" } });
    await offered.settle();
    expect(offered.check().said).toBe(said);
  });

  it("waits for the button where the task asks for a patch alone", async () => {
    const offered = await offer(bench, [change()]);
    await offered.settle();
    expect(headOf(offered)).toBe(offered.pull.headSha);
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
  });
});

describe("what is asked of GitHub", () => {
  it("is nothing that GitHub's description does not have", () => {
    expect(bench.github.unknownRequests).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
  });
});
