import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Refusal } from "../model/refusal.ts";
import { createFakeKeys, type FakeKey, type FakeKeys, type NewKey } from "./keys.ts";
import { missing, type Place, readCall, type Wanted } from "./requests.ts";

/** What goes wrong with one call. It still has to be a good call: a bad one is refused first. */
type Fault =
  /** Refused for now, without effect. */
  | { readonly kind: "limit"; readonly retryAfter: string | null }
  | { readonly kind: "fail"; readonly status: number }
  /** It has its effect, and the line breaks before the answer. */
  | { readonly kind: "lose-answer" }
  /** It has its effect, and the answer waits for `resume`. */
  | { readonly kind: "hold" }
  /** The key is made as if nothing had been said about its life. */
  | { readonly kind: "forget-expiry" }
  /** The answer is another body. */
  | { readonly kind: "answer"; readonly body: string };

interface RecordedCall {
  readonly method: string;
  readonly target: string;
  /** Null while nothing has been answered. */
  status: number | null;
}

export interface FakeOpenAiAdmin extends Pick<FakeKeys, "isGood" | "present"> {
  /** The Admin API's address: ends in `/v1`. */
  readonly url: string;
  /** Every key ever made, oldest first. */
  readonly keys: readonly FakeKey[];
  readonly calls: readonly RecordedCall[];
  /** Every call that was refused because the real API would have refused it. */
  readonly violations: readonly string[];
  /** The next calls with this method go wrong, one fault each, in this order. */
  misbehave(method: "GET" | "POST" | "DELETE", ...faults: Fault[]): void;
  /** Lets go of all answers that are held back. */
  resume(): void;
  /** Resolves once that many calls have come in all. */
  whenCalled(count: number): Promise<void>;
  /** A key that somebody else made. */
  add(key: Pick<NewKey, "name" | "serviceAccount" | "access">): FakeKey;
  /** Can be repeated. */
  close(): Promise<void>;
}

/** A create call is a few hundred bytes. */
const BODY_CHARS_MAX = 64 * 1024;

/**
 * A stand-in for OpenAI's Admin API where it makes, lists and deletes a project's keys: HTTP on a free loopback port.
 * It refuses what the reference does not allow. `clock` gives epoch milliseconds.
 */
export async function createFakeOpenAiAdmin(options: Place & { clock?: () => number }): Promise<FakeOpenAiAdmin> {
  const keys = createFakeKeys(options.clock ?? Date.now);
  const calls: RecordedCall[] = [];
  const violations: string[] = [];
  const faults = new Map<string, Fault[]>();
  const held = new Set<() => void>();
  const waiting = new Set<{ count: number; resolve: () => void }>();
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "", url: target = "", headers } = incoming;
    const text = await readText(incoming);
    const call: RecordedCall = { method, target, status: null };
    calls.push(call);
    for (const waiter of waiting) {
      if (waiter.count <= calls.length) {
        waiting.delete(waiter);
        waiter.resolve();
      }
    }
    const wanted = readCall({ method, target, headers, text }, options);
    if ("message" in wanted) {
      violations.push(`${wanted.status} ${method} ${target}: ${wanted.message}`);
      send(call, outgoing, wanted.status, errorOf(wanted));
    } else {
      play(call, outgoing, wanted, faults.get(method)?.shift() ?? null);
    }
  }

  function play(call: RecordedCall, outgoing: ServerResponse, wanted: Wanted, fault: Fault | null): void {
    if (fault?.kind === "limit") {
      const refused = { status: 429, message: "Rate limit reached.", param: null, code: "rate_limit_exceeded" };
      send(call, outgoing, 429, errorOf(refused), fault.retryAfter === null ? {} : { "retry-after": fault.retryAfter });
      return;
    }
    if (fault?.kind === "fail") {
      const refused = { status: fault.status, message: "The server had an error.", param: null, code: null };
      send(call, outgoing, fault.status, errorOf(refused));
      return;
    }
    const { status, body } = perform(wanted, fault?.kind === "forget-expiry");
    const answer = fault?.kind === "answer" ? fault.body : body;
    if (fault?.kind === "lose-answer") {
      outgoing.destroy();
    } else if (fault?.kind === "hold") {
      held.add(() => send(call, outgoing, status, answer));
    } else {
      send(call, outgoing, status, answer);
    }
  }

  function perform(wanted: Wanted, forgetsExpiry: boolean): { status: number; body: unknown } {
    if (wanted.kind === "create") {
      const key = keys.make(forgetsExpiry ? { ...wanted.key, seconds: null } : wanted.key);
      return { status: 200, body: createdShape(key) };
    }
    if (wanted.kind === "list") {
      return listPage(
        keys.present().filter(({ access }) => wanted.access.includes(access)),
        wanted,
      );
    }
    const key = keys.present().find(({ id }) => id === wanted.id);
    if (key === undefined) {
      return { status: 404, body: errorOf(missing("API key", wanted.id)) };
    }
    key.isDeleted = true;
    return { status: 200, body: { object: "organization.project.api_key.deleted", id: key.id, deleted: true } };
  }

  return {
    url: `http://127.0.0.1:${port}/v1`,
    keys: keys.all,
    calls,
    violations,
    isGood: keys.isGood,
    present: keys.present,
    misbehave: (method, ...more) => void faults.set(method, [...(faults.get(method) ?? []), ...more]),
    resume() {
      for (const letGo of held) {
        letGo();
      }
      held.clear();
    },
    async whenCalled(count) {
      if (calls.length < count) {
        await new Promise<void>((resolve) => waiting.add({ count, resolve }));
      }
    },
    add: (key) => keys.make({ ...key, scopes: null, seconds: null }),
    async close() {
      if (server.listening) {
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
      }
    },
  };
}

function createdShape(key: FakeKey): Record<string, unknown> {
  const { id, name, value, createdAt, expiresAt } = key;
  const object = "organization.project.service_account.api_key";
  return { object, id, name, value, created_at: createdAt, expires_at: expiresAt };
}

function listedShape(key: FakeKey): Record<string, unknown> {
  const { id, name, value, serviceAccount, access, createdAt, expiresAt } = key;
  const person = { id: "user_1", name: "A person", email: "person@example.com", role: "member", created_at: 1 };
  const account = { id: serviceAccount, name: "Mayfly", role: "member", created_at: 1 };
  return {
    object: "organization.project.api_key",
    id,
    name,
    redacted_value: `${value.slice(0, 8)}***${value.slice(-3)}`,
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: null,
    owner_project_access: access,
    owner:
      serviceAccount === null ? { type: "user", user: person } : { type: "service_account", service_account: account },
  };
}

function listPage(
  present: readonly FakeKey[],
  { after, limit }: { after: string | null; limit: number },
): { status: number; body: unknown } {
  const at = after === null ? -1 : present.findIndex(({ id }) => id === after);
  if (after !== null && at === -1) {
    return { status: 404, body: errorOf(missing("API key", after)) };
  }
  const data = present.slice(at + 1, at + 1 + limit);
  return {
    status: 200,
    body: {
      object: "list",
      data: data.map(listedShape),
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: at + 1 + limit < present.length,
    },
  };
}

function errorOf({ message, param, code }: Refusal): unknown {
  return { error: { message, type: "invalid_request_error", param, code } };
}

function send(
  call: RecordedCall,
  outgoing: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  call.status = status;
  outgoing.writeHead(status, { "content-type": "application/json", ...headers });
  outgoing.end(typeof body === "string" ? body : JSON.stringify(body));
}

async function readText(incoming: IncomingMessage): Promise<string> {
  let text = "";
  try {
    for await (const chunk of incoming.setEncoding("utf8") as AsyncIterable<string>) {
      text = text.length > BODY_CHARS_MAX ? text : text + chunk;
    }
  } catch {
    // The client left while sending: the answer goes nowhere.
  }
  return text;
}
