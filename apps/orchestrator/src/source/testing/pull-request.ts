import { addCommit, git } from "./repository.ts";
import type { PullRequest, SourceWorld } from "./source-world.ts";

/** root ← old ← mergeBase ← base, and mergeBase ← first ← head in a fork. */
export async function createPullRequest(
  world: Pick<SourceWorld, "repository">,
): Promise<PullRequest & { readonly old: string; readonly secret: string }> {
  const add = addCommit.bind(null, world.repository);
  const root = await add({ "a.txt": "in history only" });
  const old = await add({ "a.txt": "also history" }, [root]);
  const mergeBase = await add({ "a.txt": "a", "src/b.txt": "b" }, [old]);
  const base = await add({ "a.txt": "a", "src/b.txt": "b", "new.txt": "n" }, [mergeBase]);
  const first = await add({ "a.txt": "a", "src/b.txt": "b, better" }, [mergeBase]);
  const head = await add({ "a.txt": "a", "src/b.txt": "b, best" }, [first]);
  const secret = await add({ "a.txt": "another branch of the fork" }, [first]);
  await git(world.repository, ["update-ref", "refs/heads/main", base]);
  await git(world.repository, ["update-ref", "refs/heads/other", secret]);
  await git(world.repository, ["update-ref", "refs/pull/7/head", secret]);
  return { head, base, mergeBase, commits: [first, head], old, secret };
}
