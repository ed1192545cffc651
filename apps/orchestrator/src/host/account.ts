import { readFileSync } from "node:fs";
import { AppError } from "@mayfly/core";

/** An account of this host, as a process becomes it. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** Who each process of a service started as root becomes. */
export interface Accounts {
  readonly service: Account;
  readonly broker: Account;
  readonly signer: Account;
}

/** `infra/setup/mayfly-user.mjs` makes them. */
const names = { service: "mayfly", broker: "mayfly-broker", signer: "mayfly-signer" } as const;

/**
 * The three accounts of a service (passwd(5), group(5)). The broker has the service's group and no other: what the
 * service opens to its group is for the broker. Throws TOOLS_MISSING with what makes them.
 */
export function readAccounts(): Accounts {
  const [service, broker, signer] = [names.service, names.broker, names.signer].map(findAccount);
  if (service === undefined || broker === undefined || signer === undefined) {
    throw new Error("three names give three accounts");
  }
  return {
    service: { ...service, groups: groupsOf(service.name) },
    broker: { ...broker, gid: service.gid, groups: [service.gid] },
    signer: { ...signer, groups: [signer.gid] },
  };
}

/** Becomes that account for good. Only root may; what it needs to read as root it has read before. */
export function becomeAccount({ uid, gid, groups }: Account): void {
  process.setgroups?.([...groups]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/** The name of whoever this process is, or its uid where no account has it. */
export function ownName(): string {
  const uid = process.getuid?.() ?? -1;
  return readEntries("/etc/passwd").find((fields) => Number(fields[2]) === uid)?.[0] ?? String(uid);
}

function findAccount(name: string): Omit<Account, "groups"> {
  const fields = readEntries("/etc/passwd").find((entry) => entry[0] === name);
  if (fields === undefined) {
    throw new AppError(
      "TOOLS_MISSING",
      `started as root, Mayfly's processes become ${Object.values(names).join(", ")}, and there is no ${name}: npm run demo makes them, or useradd --system --user-group ${name}`,
    );
  }
  return { name, uid: Number(fields[2]), gid: Number(fields[3]) };
}

/**
 * The groups that list the service: kvm, where the host has it. A machine with KVM keeps them all, so its own group, which
 * opens much to the broker, is not among them: the service has that one as its first.
 */
function groupsOf(name: string): number[] {
  return readEntries("/etc/group").flatMap(([, , gid, members]) =>
    members?.split(",").includes(name) === true ? [Number(gid)] : [],
  );
}

function readEntries(file: string): string[][] {
  return readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .filter((fields) => fields.length > 1);
}
