import { randomBytes } from "node:crypto";

export type Access = "active" | "inactive";

/** One key of the project. */
export interface FakeKey {
  readonly id: string;
  readonly name: string;
  /** The secret itself. */
  readonly value: string;
  /** The id of the service account that owns it; null for a person's. */
  readonly serviceAccount: string | null;
  /** Whether the owner may use the project: an account without a role may not. */
  readonly access: Access;
  /** Null: not restricted. */
  readonly scopes: readonly string[] | null;
  /** Unix seconds. */
  readonly createdAt: number;
  /** Unix seconds; null for never. */
  readonly expiresAt: number | null;
  isDeleted: boolean;
}

export interface NewKey {
  readonly name: string;
  readonly serviceAccount: string | null;
  /** Active if nothing is said. */
  readonly access?: Access;
  readonly scopes: readonly string[] | null;
  readonly seconds: number | null;
}

export interface FakeKeys {
  /** All that were ever made, oldest first. */
  readonly all: readonly FakeKey[];
  make(wanted: NewKey): FakeKey;
  /** Those that are there: expired ones as well, until they are deleted. */
  present(): FakeKey[];
  /** True for the secret of a key that works now. */
  isGood(value: string): boolean;
}

/** The keys of one project. `clock` gives epoch milliseconds. */
export function createFakeKeys(clock: () => number): FakeKeys {
  const all: FakeKey[] = [];
  const now = (): number => Math.floor(clock() / 1000);
  return {
    all,
    make({ name, serviceAccount, access = "active", scopes, seconds }) {
      const key: FakeKey = {
        id: `key_${randomBytes(8).toString("hex")}`,
        name,
        value: `sk-svcacct-${randomBytes(24).toString("base64url")}`,
        serviceAccount,
        access,
        scopes,
        createdAt: now(),
        expiresAt: seconds === null ? null : now() + seconds,
        isDeleted: false,
      };
      all.push(key);
      return key;
    },
    present: () => all.filter((key) => !key.isDeleted),
    isGood: (value) =>
      all.some((key) => key.value === value && !key.isDeleted && (key.expiresAt === null || now() < key.expiresAt)),
  };
}
