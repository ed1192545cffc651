import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Config } from "@mayfly/core";
import type { Accounts } from "../../host/account.ts";
import { type OwnFolder, ownFolders } from "../../process/parts.ts";
import { type Checklist, fail, type Finding, ok, warn } from "./checklist.ts";

/** What the code is written for: it runs TypeScript as it is. */
const NODE_MAJOR = 24;
const PERMISSIONS = 0o777;

/** Whether this very Node is one that the code is written for. */
export async function lookAtNode(list: Checklist): Promise<void> {
  await list.check("node", "install Node 24", () => nodeFinding(process.version));
}

/** Exported for its test: no test can be run by another Node. */
export function nodeFinding(version: string): Finding {
  const major = Number(/^v(\d+)\./.exec(version)?.[1] ?? 0);
  return major >= NODE_MAJOR
    ? ok(version)
    : fail(
        `${version}: Mayfly needs Node ${NODE_MAJOR} or newer`,
        `start it with npm run mayfly, which brings Node ${NODE_MAJOR}, or install that`,
      );
}

/**
 * The state folder, the shared one and what has owners of its own in them: that they can be written and nobody else can
 * look in. Nothing is made or changed.
 */
export async function lookAtFolders(list: Checklist, config: Config, accounts: Accounts | null): Promise<void> {
  const { stateDir, sharedDir } = config;
  const folders = ownFolders(stateDir, sharedDir, accounts);
  const [first, ...rest] = folders;
  if (first === undefined) {
    return;
  }
  const fix = "name a folder of this host in state_dir (MAYFLY_STATE_DIR)";
  const found = await list.check("state folder", fix, () => lookAtTop(first));
  if (sharedDir !== stateDir) {
    const shared = rest.find(({ path }) => path === sharedDir);
    const sharedFix = "name a folder that all hosts have mounted in shared_dir (MAYFLY_SHARED_DIR)";
    await list.check("shared folder", sharedFix, () => lookAtTop(shared ?? first));
  }
  if (found.status === "fail") {
    list.skip(["folders of the processes"], "the state folder is not as it should be");
    return;
  }
  const inner = rest.filter(({ path }) => path !== sharedDir);
  await list.check("folders of the processes", fix, () => lookAtInner(inner));
}

async function lookAtTop(folder: OwnFolder): Promise<Finding> {
  const { path, setting } = folder;
  const place = await stat(path).catch((error: NodeJS.ErrnoException) => error.code ?? "unknown");
  const named = `${setting} (MAYFLY_${setting.toUpperCase()})`;
  if (place === "ENOENT") {
    const above = await nearestAbove(path);
    const isWritable = await canWrite(above);
    return isWritable
      ? ok(`${path} is not there yet: mayfly serve makes it`)
      : fail(
          `${path} is not there, and ${above} cannot be written`,
          `let this user write ${above}, or name another folder in ${named}`,
        );
  }
  if (typeof place === "string") {
    return fail(`${path} cannot be looked at (${place})`, `run this as root or as the service's user, or set ${named}`);
  }
  if (!place.isDirectory()) {
    return fail(`${path} is no folder`, `remove what lies there, or name another folder in ${named}`);
  }
  if (!(await canWrite(path))) {
    return fail(
      `${path} cannot be written by this user`,
      `run this as the user of the service, give the folder to that user, or name another one in ${named}`,
    );
  }
  return slipsOf([{ folder, slips: slipOf(folder, place) }], `${path} can be written`);
}

async function lookAtInner(folders: readonly OwnFolder[]): Promise<Finding> {
  const looks = await Promise.all(
    folders.map(async (folder) => {
      const place = await stat(folder.path).catch((error: NodeJS.ErrnoException) => error.code ?? "unknown");
      if (typeof place !== "string") {
        return { folder, slips: slipOf(folder, place), isThere: true };
      }
      return {
        folder,
        slips: place === "ENOENT" ? [] : [`${folder.path} cannot be looked at (${place})`],
        isThere: false,
      };
    }),
  );
  const there = looks.filter(({ isThere }) => isThere).length;
  const rest = folders.length - there;
  return slipsOf(
    looks,
    `${there} as they should be${rest === 0 ? "" : `, ${rest} not there yet: mayfly serve makes them`}`,
  );
}

/** Every start mends them; until then somebody may look in who should not, or may not who should. */
function slipsOf(looks: readonly { folder: OwnFolder; slips: readonly string[] }[], seen: string): Finding {
  const wrong = looks.filter(({ slips }) => slips.length > 0);
  const fixes = wrong.map(({ folder }) => mendOf(folder));
  const [first, ...more] = fixes;
  return first === undefined ? ok(seen) : warn(wrong.flatMap(({ slips }) => slips).join("; "), first, ...more);
}

function slipOf(
  { path, owner, mode }: OwnFolder,
  place: { readonly mode: number; readonly uid: number; readonly gid: number },
): string[] {
  const found = place.mode & PERMISSIONS;
  return [
    ...(found === mode ? [] : [`${path} has mode ${found.toString(8)} and not ${mode.toString(8)}`]),
    ...(owner === null || (owner.uid === place.uid && owner.gid === place.gid)
      ? []
      : [`${path} is of ${place.uid}:${place.gid} and not of ${owner.uid}:${owner.gid}`]),
  ];
}

function mendOf({ path, owner, mode }: OwnFolder): string {
  const chmod = `chmod ${mode.toString(8)} ${path}`;
  const chown = owner === null ? "" : `chown ${owner.uid}:${owner.gid} ${path} && `;
  return `${chown}${chmod}; the next start of mayfly serve does the same`;
}

/** The nearest folder above that is there. */
export async function nearestAbove(path: string): Promise<string> {
  const above = dirname(path);
  const isThere = await stat(above).then(
    () => true,
    () => false,
  );
  return isThere || above === path ? above : nearestAbove(above);
}

async function canWrite(path: string): Promise<boolean> {
  return access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
