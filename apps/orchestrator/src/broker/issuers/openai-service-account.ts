import { AppError, type Clock, type IssuerConfig, Secret } from "@mayfly/core";
import type { Logger } from "pino";
import { z } from "zod";
import { type AskAdmin, createAdminRequests, type Wait } from "./admin-request.ts";
import type { Borrower, Credential, IsLive, Issuer } from "./issuer.ts";
import { attemptOf, keyNameOf } from "./key-name.ts";
import { nextPause, type Pause } from "./retry-pause.ts";

type ServiceAccount = Extract<IssuerConfig, { kind: "openai-service-account" }>;

/** A machine waits for the key, so three tries; half a minute with all pauses. */
const ISSUE_TRIES = 3;
/** What cannot be deleted now is deleted by the sweeper, and expires after all. */
const REVOKE_TRIES = 2;
/** A call that began in the attempt's last second is still let in. */
const GRACE_SECONDS = 60;
/** The API's largest page. */
const PAGE_KEYS = 100;
/** Ten thousand keys; what lies beyond comes to light once those before it are deleted. */
const PAGES_MAX = 100;

const KeyId = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/);
const Seconds = z.number().int().nonnegative();

// Shapes as in the API reference and the types of openai 7.57.0; fields that we do not use are let through.
const CreatedKey = z.object({
  id: KeyId,
  value: z.string().regex(/^[\x21-\x7e]{1,1024}$/),
  created_at: Seconds,
  expires_at: Seconds.nullish(),
});
const DeletedKey = z.object({ deleted: z.literal(true) });
const KeyPage = z.object({
  data: z.array(
    z.object({
      id: KeyId,
      name: z.string().nullish(),
      owner: z.object({ service_account: z.object({ id: z.string() }).nullish() }),
    }),
  ),
  has_more: z.boolean(),
});
type ListedKey = z.infer<typeof KeyPage>["data"][number];

/** Where the Admin API lists a project's keys. */
function keysPath(project: string): string {
  return `/organization/projects/${encodeURIComponent(project)}/api_keys`;
}

/**
 * Asks the Admin API for one of the project's keys, once: that shows whether it knows project and admin key, and makes
 * nothing. Throws CREDENTIAL_UNAVAILABLE, CREDENTIAL_REFUSED.
 */
export async function assertAdminAnswers(config: ServiceAccount, clock: Clock): Promise<void> {
  const ask = createAdminRequests({ url: config.adminUrl, adminKey: config.adminKey, clock });
  const query = new URLSearchParams({ limit: "1", owner_project_access: "any" });
  const path = `${keysPath(config.project)}?${query.toString()}`;
  if ((await ask({ method: "GET", path, tries: 1 }, KeyPage)) === null) {
    throw new AppError("CREDENTIAL_REFUSED", "OpenAI's Admin API knows no such project");
  }
}

/**
 * A key of an OpenAI service account for every attempt. It is deleted when the attempt ends, expires by itself if
 * nobody does, and carries its attempt in its name, so that a sweeper finds what a crash or a lost answer left.
 * OpenAI's own caches may honour a deleted key a little longer.
 */
export function createServiceAccountIssuer(
  config: ServiceAccount,
  deps: { clock: Clock; log: Logger; wait?: Wait },
): Issuer {
  const { clock, log } = deps;
  const ask = createAdminRequests({ url: config.adminUrl, adminKey: config.adminKey, ...deps });
  const keys = keysPath(config.project);
  const ownKeys = `/organization/projects/${encodeURIComponent(config.project)}/service_accounts/${encodeURIComponent(config.serviceAccount)}/api_keys`;

  /** Before keys that could not be deleted are tried again, by their id. */
  const pauses = new Map<string, Pause>();

  async function issue({ run, epoch, seconds }: Borrower): Promise<Credential> {
    const lifeSeconds = Math.min(config.keySeconds, Math.max(0, Math.ceil(seconds)) + GRACE_SECONDS);
    const name = keyNameOf(run, epoch);
    const body = { name, scopes: config.scopes, expires_in_seconds: lifeSeconds };
    const from = clock.now();
    const made = await ask({ method: "POST", path: ownKeys, body, tries: ISSUE_TRIES }, CreatedKey);
    if (made === null) {
      throw new AppError("CREDENTIAL_REFUSED", "OpenAI's Admin API knows no such project or service account");
    }
    const revoke = createRevoke(ask, `${keys}/${made.id}`);
    // Their two times against each other, so that it does not matter whether their clock is ours.
    const givenSeconds = (made.expires_at ?? Number.POSITIVE_INFINITY) - made.created_at;
    if (!Number.isFinite(givenSeconds) || givenSeconds <= 0) {
      await revoke();
      throw new AppError("CREDENTIAL_REFUSED", "OpenAI's Admin API made a key that does not expire as it was told");
    }
    log.info({ run, epoch, key: made.id }, "a model key was made");
    const secret = new Secret(made.value);
    return {
      secret,
      headers: () => ({ authorization: `Bearer ${secret.reveal()}` }),
      expiresAt: from + Math.min(lifeSeconds, givenSeconds) * 1000,
      revoke,
    };
  }

  async function sweep(isLive: IsLive): Promise<number> {
    let count = 0;
    let fault: { error: unknown } | null = null;
    const listed = await list();
    forgetPauses(new Set(listed.map(({ id }) => id)));
    for (const { id, name, owner } of listed) {
      const attempt = owner.service_account?.id === config.serviceAccount ? attemptOf(name ?? "") : null;
      const isPaused = clock.now() < (pauses.get(id)?.until ?? 0);
      if (attempt === null || isPaused || (await isLive(attempt.run, attempt.epoch))) {
        continue;
      }
      try {
        await createRevoke(ask, `${keys}/${id}`)();
        log.warn({ ...attempt, key: id }, "a model key that was left over is deleted");
        count += 1;
      } catch (error) {
        // One that resists does not keep the others alive, and is complained of as often as its pause grows.
        const { pause, isLonger } = nextPause(pauses.get(id) ?? null, clock.now());
        pauses.set(id, pause);
        fault ??= isLonger ? { error } : null;
      }
    }
    if (fault !== null) {
      throw fault.error;
    }
    return count;
  }

  function forgetPauses(present: ReadonlySet<string>): void {
    for (const id of pauses.keys()) {
      if (!present.has(id)) {
        pauses.delete(id);
      }
    }
  }

  /** All of the project's, since there is no listing by service account. */
  async function list(): Promise<ListedKey[]> {
    const listed: ListedKey[] = [];
    for (let page = 0, after = ""; page < PAGES_MAX; page++) {
      // Without a word about access the listing may leave out keys that work.
      const query = new URLSearchParams({ limit: String(PAGE_KEYS), owner_project_access: "any" });
      if (after !== "") {
        query.set("after", after);
      }
      const found = await ask({ method: "GET", path: `${keys}?${query.toString()}`, tries: ISSUE_TRIES }, KeyPage);
      if (found === null) {
        throw new AppError("CREDENTIAL_REFUSED", "OpenAI's Admin API knows no such project");
      }
      listed.push(...found.data);
      after = found.data.at(-1)?.id ?? "";
      if (!found.has_more || after === "") {
        break;
      }
    }
    return listed;
  }

  return { makesAnother: true, issue, sweep };
}

/** A key that is not there is as good as deleted. */
function createRevoke(ask: AskAdmin, path: string): () => Promise<void> {
  let isRevoked = false;
  return async () => {
    if (!isRevoked) {
      await ask({ method: "DELETE", path, tries: REVOKE_TRIES }, DeletedKey);
      isRevoked = true;
    }
  };
}
