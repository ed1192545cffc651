import type { Run } from "../run.ts";
import { count } from "./text.ts";

/** What a task's set-up had to do with one host, over all attempts. */
interface Reached {
  readonly host: string;
  readonly connections: number;
  /** What may have left at most: of a connection whose end nobody could write down, all that it was let send. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/**
 * The hosts that a set-up had connections to, in lines of plain text, in the order in which they were first asked for. A
 * task names a few, so there are no more.
 *
 * @param mark What is put around a host; Markdown wants a code span.
 */
export function renderReached(run: Run, mark: (host: string) => string): string[] {
  return reachedHosts(run).map(({ host, connections, sentBytes, receivedBytes }) => {
    const times = `${count(connections)} ${connections === 1 ? "connection" : "connections"}`;
    return `Set-up reached ${mark(host)}: ${times}, ${count(sentBytes)} bytes sent, ${count(receivedBytes)} received`;
  });
}

function reachedHosts({ setupConnections = [] }: Run): Reached[] {
  const hosts = [...new Set(setupConnections.map(({ host }) => host))];
  return hosts.map((host) => {
    const mine = setupConnections.filter((one) => one.host === host);
    return {
      host,
      connections: mine.length,
      sentBytes: mine.reduce((sum, { reservedBytes, end }) => sum + (end?.sentBytes ?? reservedBytes), 0),
      receivedBytes: mine.reduce((sum, { end }) => sum + (end?.receivedBytes ?? 0), 0),
    };
  });
}
