/** Labels of repositories and of pull requests. */
import { emitPull, touch } from "./events.ts";
import { GitHubRefusal, fieldIn, notFound, page, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { findPull } from "./pull-requests.ts";
import type { Route } from "./router.ts";
import { labelShape } from "./shapes.ts";
import { appBot } from "./world.ts";
import type { Label, Pull, Repository, User, World } from "./world.ts";

/** GitHub's grey, for labels made by being used. */
const COLOR_DEFAULT = "ededed";
const READ = ["issues:read", "pull_requests:read"];
const WRITE = ["issues:write", "pull_requests:write"];

export const labelRoutes: readonly Route[] = [
  { method: "GET", path: "/repos/{owner}/{repo}/labels", auth: "installation", needs: READ, handle: listLabels },
  { method: "POST", path: "/repos/{owner}/{repo}/labels", auth: "installation", needs: WRITE, handle: createLabel },
  { method: "GET", path: "/repos/{owner}/{repo}/labels/{name}", auth: "installation", needs: READ, handle: showLabel },
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/issues/{issue_number}/labels",
    auth: "installation",
    needs: READ,
    handle: listOnPull,
  },
  {
    method: "POST",
    path: "/repos/{owner}/{repo}/issues/{issue_number}/labels",
    auth: "installation",
    needs: WRITE,
    handle: addToPull,
  },
  {
    method: "DELETE",
    path: "/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
    auth: "installation",
    needs: WRITE,
    handle: removeFromPull,
  },
];

/** The label of that name, made when missing. */
function ensureLabel(
  world: World,
  repository: Repository,
  name: string,
  more: { color?: string; description?: string } = {},
): Label {
  const known = repository.labels.get(name.toLowerCase());
  if (known !== undefined) {
    return known;
  }
  const label: Label = {
    id: world.nextId(),
    name,
    color: more.color ?? COLOR_DEFAULT,
    description: more.description ?? null,
  };
  repository.labels.set(name.toLowerCase(), label);
  return label;
}

/** Puts a label on a pull request and sends the event; nothing happens when it is there already. */
export async function addLabel(world: World, pull: Pull, name: string, by: User): Promise<void> {
  const label = ensureLabel(world, pull.repository, name);
  if (pull.labels.has(label.name)) {
    return;
  }
  pull.labels.add(label.name);
  touch(world, pull);
  await emitPull(world, pull, {
    action: "labeled",
    sender: by,
    more: { label: labelShape(world, pull.repository, label) },
  });
}

/** Takes a label off and sends the event; false when it was not there. */
export async function removeLabel(world: World, pull: Pull, name: string, by: User): Promise<boolean> {
  const label = pull.repository.labels.get(name.toLowerCase());
  if (label === undefined || !pull.labels.delete(label.name)) {
    return false;
  }
  touch(world, pull);
  await emitPull(world, pull, {
    action: "unlabeled",
    sender: by,
    more: { label: labelShape(world, pull.repository, label) },
  });
  return true;
}

function listLabels(context: Context): Reply {
  const { items, headers } = page(context, [...context.repository.labels.values()]);
  return { status: 200, headers, body: items.map((label) => labelShape(context.world, context.repository, label)) };
}

function createLabel({ world, repository, body }: Context): Reply {
  const name = stringIn(body, "name") ?? "";
  if (repository.labels.has(name.toLowerCase())) {
    throw new GitHubRefusal(422, "Validation Failed", {
      errors: [{ resource: "Label", code: "already_exists", field: "name" }],
    });
  }
  const color = stringIn(body, "color");
  const description = stringIn(body, "description");
  const label = ensureLabel(world, repository, name, {
    ...(color === undefined ? {} : { color }),
    ...(description === undefined ? {} : { description }),
  });
  return { status: 201, body: labelShape(world, repository, label) };
}

function showLabel({ world, repository, params }: Context): Reply {
  const label = repository.labels.get((params.name ?? "").toLowerCase());
  if (label === undefined) {
    throw notFound();
  }
  return { status: 200, body: labelShape(world, repository, label) };
}

function listOnPull(context: Context): Reply {
  const { items, headers } = page(context, labelsOn(context, findPull(context)));
  return { status: 200, headers, body: items };
}

async function addToPull(context: Context): Promise<Reply> {
  const pull = findPull(context);
  const asked = (Array.isArray(context.body) ? context.body : fieldIn(context.body, "labels")) as
    | (string | { name: string })[]
    | undefined;
  for (const label of asked ?? []) {
    await addLabel(context.world, pull, typeof label === "string" ? label : label.name, appBot(context.world));
  }
  return { status: 200, body: labelsOn(context, pull) };
}

async function removeFromPull(context: Context): Promise<Reply> {
  const pull = findPull(context);
  const removed = await removeLabel(context.world, pull, context.params.name ?? "", appBot(context.world));
  if (!removed) {
    throw new GitHubRefusal(404, "Label does not exist");
  }
  return { status: 200, body: labelsOn(context, pull) };
}

function labelsOn({ world, repository }: Context, pull: Pull): Record<string, unknown>[] {
  const labels = [...pull.labels].map((name) => repository.labels.get(name.toLowerCase()));
  return labels.flatMap((label) => (label === undefined ? [] : [labelShape(world, repository, label)]));
}
