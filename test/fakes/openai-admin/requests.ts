import type { IncomingHttpHeaders } from "node:http";
import { isRecord } from "../model/json.ts";
import { isKind, type Kind, quoted, refusal, type Refusal, wrongType, wrongValue } from "../model/refusal.ts";
import type { Access, NewKey } from "./keys.ts";

export interface AdminCall {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** What a call asks for, once nothing speaks against it. */
export type Wanted =
  | { readonly kind: "create"; readonly key: NewKey }
  | { readonly kind: "list"; readonly after: string | null; readonly limit: number; readonly access: readonly Access[] }
  | { readonly kind: "delete"; readonly id: string };

export interface Place {
  readonly adminKey: string;
  readonly project: string;
  readonly serviceAccounts: readonly string[];
}

// The reference: 1 second to 365 days.
const EXPIRES_SECONDS_MAX = 31_536_000;
const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 100;
const accesses: Readonly<Record<string, readonly Access[]>> = {
  active: ["active"],
  inactive: ["inactive"],
  any: ["active", "inactive"],
};
const base = "/v1/organization/projects";

/** What the Admin API would take from this call, or why it would not. */
export function readCall(call: AdminCall, place: Place): Wanted | Refusal {
  const { method, headers, target } = call;
  const sent = headers.authorization ?? "";
  if (sent !== `Bearer ${place.adminKey}`) {
    // The real one quotes the ends of a key that it refuses.
    const shown = sent.replace(/^Bearer /, "");
    const ends = `${shown.slice(0, 8)}********${shown.slice(-4)}`;
    return refusal(`Incorrect API key provided: ${ends}.`, null, "invalid_api_key", 401);
  }
  const { pathname, searchParams } = new URL(target, "http://localhost");
  const [project, ...rest] = pathname.startsWith(`${base}/`) ? pathname.slice(base.length + 1).split("/") : [];
  if (project === undefined) {
    return refusal(`Invalid URL (${method} ${pathname})`, null, null, 404);
  }
  if (project !== place.project) {
    return missing("project", project);
  }
  if (rest[0] === "service_accounts" && rest[2] === "api_keys" && rest.length === 3) {
    const account = rest[1] ?? "";
    return method === "POST" ? readCreate(call, account, place) : wrongMethod(method);
  }
  if (rest[0] !== "api_keys" || rest.length > 2) {
    return refusal(`Invalid URL (${method} ${pathname})`, null, null, 404);
  }
  if (rest[1] === undefined) {
    return method === "GET" ? readList(searchParams) : wrongMethod(method);
  }
  return method === "DELETE" ? { kind: "delete", id: rest[1] } : wrongMethod(method);
}

function readCreate({ headers, text }: AdminCall, account: string, place: Place): Wanted | Refusal {
  if (!place.serviceAccounts.includes(account)) {
    return missing("service account", account);
  }
  if (headers["content-type"] !== "application/json") {
    return refusal("The body must be sent as application/json.", null, null, 415);
  }
  const body = parsed(text);
  if (!isRecord(body)) {
    return refusal("We could not parse the JSON body of your request.", null, null);
  }
  const { name = "Secret key", scopes = null, expires_in_seconds: seconds = null } = body;
  return (
    checkBody(body) ?? {
      kind: "create",
      key: {
        name: name as string,
        serviceAccount: account,
        // An empty list restricts nothing.
        scopes: scopes === null || (scopes as string[]).length === 0 ? null : (scopes as string[]),
        seconds: seconds as number | null,
      },
    }
  );
}

const kinds: Readonly<Record<string, Kind>> = { name: "string", scopes: "array", expires_in_seconds: "integer" };

function checkBody(body: Record<string, unknown>): Refusal | null {
  for (const [field, value] of Object.entries(body)) {
    const kind = kinds[field];
    if (kind === undefined) {
      return refusal(`Unknown parameter: '${quoted(field)}'.`, field, "unknown_parameter");
    }
    if (!isKind(value, kind) && !(field === "expires_in_seconds" && value === null)) {
      return wrongType(field, [kind], value);
    }
  }
  const { name, scopes, expires_in_seconds: seconds } = body;
  if (name === "") {
    return refusal("Invalid 'name': it must not be empty.", "name", "string_too_short");
  }
  if (Array.isArray(scopes) && !scopes.every((scope) => typeof scope === "string" && scope !== "")) {
    return refusal("Invalid 'scopes': every scope must be a text.", "scopes", "invalid_type");
  }
  if (typeof seconds === "number" && (seconds < 1 || seconds > EXPIRES_SECONDS_MAX)) {
    return refusal(
      `Invalid 'expires_in_seconds': it must be from 1 to ${EXPIRES_SECONDS_MAX}.`,
      "expires_in_seconds",
      "integer_out_of_range",
    );
  }
  return null;
}

function readList(query: URLSearchParams): Wanted | Refusal {
  for (const name of query.keys()) {
    if (!["after", "limit", "owner_project_access"].includes(name)) {
      return refusal(`Unknown parameter: '${quoted(name)}'.`, name, "unknown_parameter");
    }
  }
  const limitText = query.get("limit") ?? String(LIMIT_DEFAULT);
  const limit = /^[0-9]{1,4}$/.test(limitText) ? Number(limitText) : 0;
  if (limit < 1 || limit > LIMIT_MAX) {
    return refusal(`Invalid 'limit': it must be from 1 to ${LIMIT_MAX}.`, "limit", "integer_out_of_range");
  }
  // Without it the real one leaves out some keys that work; which, the reference does not say.
  const owner = query.get("owner_project_access") ?? "active";
  const access = accesses[owner];
  if (access === undefined) {
    return wrongValue("owner_project_access", owner, Object.keys(accesses));
  }
  return { kind: "list", after: query.get("after"), limit, access };
}

export function missing(what: string, id: string): Refusal {
  return refusal(`No such ${what}: ${quoted(id)}.`, null, "not_found", 404);
}

function wrongMethod(method: string): Refusal {
  return refusal(`Not allowed to ${method} on this URL.`, null, "method_not_supported", 405);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
