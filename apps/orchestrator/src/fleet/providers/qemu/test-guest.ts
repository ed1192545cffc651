import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";

/** What a test asks a guest to do, as its root. */
type GuestCommand =
  | { readonly type: "connect"; readonly host: string; readonly port: number }
  | { readonly type: "run"; readonly argv: readonly string[] };

/** The broker's end of a machine whose image carries `guestAgent`. */
export interface Guest {
  /** Resolves with the command's outcome in a few words. Waits for the guest to boot and to come back. */
  ask(command: GuestCommand): Promise<string>;
  close(): Promise<void>;
}

/**
 * An agent for tests: it tells the outcome of its last command, ends its half of the connection, waits for the next
 * command however long that takes, and begins again.
 */
export const guestAgent = `
import { execFile } from "node:child_process";
import { connect } from "node:net";
import { text } from "node:stream/consumers";

let outcome = "booted";
for (;;) {
  try {
    const socket = connect({ host: "10.0.2.2", port: 8080, allowHalfOpen: true });
    socket.end(outcome);
    const command = JSON.parse(await text(socket));
    outcome = command.type === "connect" ? await dial(command) : await run(command.argv);
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function dial({ host, port }) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.setTimeout(3000, () => resolve("silence"));
    socket.once("connect", () => resolve("connected"));
    socket.once("error", (error) => resolve(error.code));
  });
}

function run([program, ...args]) {
  return new Promise((resolve) => {
    execFile(program, args, (error, stdout, stderr) => resolve(error === null ? stdout || "done" : "failed: " + stderr));
  });
}
`;

/** Listens on a machine's channel as the broker would. */
export async function listenToGuest(socketPath: string): Promise<Guest> {
  const questions: { command: GuestCommand; resolve: (outcome: string) => void }[] = [];
  let waiting: ((command: GuestCommand) => void) | null = null;
  let asked: ((outcome: string) => void) | null = null;

  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    // Cut off by close() before it had said anything, it is not heard.
    void hear(socket).catch(() => null);
  });

  async function hear(socket: Socket): Promise<void> {
    const outcome = await text(socket);
    asked?.(outcome);
    asked = null;
    waiting = (command) => socket.end(JSON.stringify(command));
    next();
  }

  function next(): void {
    const question = waiting === null ? undefined : questions.shift();
    if (question !== undefined) {
      asked = question.resolve;
      waiting?.(question.command);
      waiting = null;
    }
  }

  await rm(socketPath, { force: true });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  await chmod(socketPath, 0o666);
  const open = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  return {
    ask: (command) =>
      new Promise((resolve) => {
        questions.push({ command, resolve });
        next();
      }),
    async close() {
      for (const socket of open) {
        socket.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
