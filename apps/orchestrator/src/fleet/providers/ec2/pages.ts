import { AppError } from "@mayfly/core";
import { type Pause, read } from "./ec2-client.ts";

/** Far more than one account's images, route tables or machines of a fleet fill. */
const PAGES_MAX = 50;

/** One page of a listing, and the token of the next. */
interface Page<T> {
  readonly items: readonly T[] | undefined;
  readonly next: string | undefined;
}

/**
 * Reads a listing to its end: EC2 may cut a page anywhere, and with a filter may send an empty one before the end. Throws
 * PROVIDER_UNAVAILABLE when EC2 does not say, and for a listing of more than 50 pages.
 *
 * @param what What is read, for the message.
 */
export async function readPages<T>(
  what: string,
  pause: Pause,
  send: (token: string | undefined) => Promise<Page<T>>,
): Promise<T[]> {
  const found: T[] = [];
  let token: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const { items = [], next } = await read(what, pause, () => send(token));
    found.push(...items);
    if (next === undefined || next === "") {
      return found;
    }
    token = next;
  }
  throw new AppError("PROVIDER_UNAVAILABLE", `EC2 lists more than ${PAGES_MAX} pages of ${what}`);
}
