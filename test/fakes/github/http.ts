/** What routes take and return, and the refusals they throw. */
import type { IncomingMessage } from "node:http";
import type { Repository, TokenRecord, World } from "./world.ts";

/** GitHub refuses larger bodies; blobs of 40 MB in base64 are the largest it takes. */
const REQUEST_BODY_BYTES_MAX = 60_000_000;
/** GitHub's page size when none is asked for, and its ceiling. */
const PER_PAGE_DEFAULT = 30;
const PER_PAGE_MAX = 100;

export interface Context {
  readonly world: World;
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly body: unknown;
  /** Present on every route that needs an installation token. */
  readonly token: TokenRecord | undefined;
  /** The repository the path names, already found to be covered by the token. */
  readonly repository: Repository;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes instead of JSON; outside the contract check. */
  readonly raw?: { readonly type: string; readonly bytes: Buffer | string };
}

/** A refusal in GitHub's own JSON shape. */
export class GitHubRefusal extends Error {
  readonly status: number;
  readonly errors: readonly unknown[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    more: { errors?: readonly unknown[]; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.errors = more.errors;
    this.headers = more.headers ?? {};
  }

  toReply(): Reply {
    const body = {
      message: this.message,
      ...(this.errors === undefined ? {} : { errors: this.errors }),
      documentation_url: "https://docs.github.com/rest",
      status: String(this.status),
    };
    return { status: this.status, headers: this.headers, body };
  }
}

export function notFound(): GitHubRefusal {
  return new GitHubRefusal(404, "Not Found");
}

export function invalid(resource: string, field: string, message: string): GitHubRefusal {
  return new GitHubRefusal(422, "Validation Failed", { errors: [{ resource, code: "custom", field, message }] });
}

/** The body of a request; refuses more than GitHub takes. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > REQUEST_BODY_BYTES_MAX) {
      throw new GitHubRefusal(413, "Payload too large");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A refusal thrown by the handler becomes its answer. */
export async function refusalAsReply(handle: () => Reply | Promise<Reply>): Promise<Reply> {
  try {
    return await handle();
  } catch (error) {
    if (error instanceof GitHubRefusal) {
      return error.toReply();
    }
    throw error;
  }
}

/** A path as people write it; as sent where its escapes are broken. */
export function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The page the query asks for, with GitHub's Link header. */
export function page<T>(context: Context, items: readonly T[]): { items: T[]; headers: Record<string, string> } {
  const perPage = Math.min(PER_PAGE_MAX, positive(context.query.get("per_page")) ?? PER_PAGE_DEFAULT);
  const number = positive(context.query.get("page")) ?? 1;
  const last = Math.max(1, Math.ceil(items.length / perPage));
  const links: string[] = [];
  const link = (to: number, relation: string): void => {
    const url = new URL(context.target, context.world.url);
    url.searchParams.set("page", String(to));
    links.push(`<${url.href}>; rel="${relation}"`);
  };
  if (number > 1) {
    link(number - 1, "prev");
  }
  if (number < last) {
    link(number + 1, "next");
  }
  if (number < last) {
    link(last, "last");
  }
  if (number > 1) {
    link(1, "first");
  }
  const shown = items.slice((number - 1) * perPage, number * perPage);
  return { items: shown, headers: links.length > 0 ? { link: links.join(", ") } : {} };
}

export function positive(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

export function stringIn(body: unknown, field: string): string | undefined {
  const value = fieldIn(body, field);
  return typeof value === "string" ? value : undefined;
}

export function fieldIn(body: unknown, field: string): unknown {
  return typeof body === "object" && body !== null ? (body as Record<string, unknown>)[field] : undefined;
}
