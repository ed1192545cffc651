import { once } from "node:events";
import { chmod, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AppError, readStrictJson } from "@mayfly/core";
import { z } from "zod";

/** QEMU's answers are short; one that is longer did not come from QEMU as we know it. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** An answer is some levels deep and has some hundred names and values. A guest that has taken QEMU over writes others. */
const ANSWER_BOUNDS = { charsMax: ANSWER_BYTES_MAX, depthMax: 16, valuesMax: 4_096 } as const;

const messageSchema = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ return: z.unknown() }),
  z.object({ error: z.object({ desc: z.string() }) }),
  z.object({ event: z.string() }),
]);

type Execute = (command: string, args?: Readonly<Record<string, unknown>>) => Promise<unknown>;

/**
 * Waits until QEMU dials the socket in `folder` (it tries each second for as long as it lives), negotiates, and lets
 * `work` ask it. Nothing of it stays: each conversation has its own listener. Rejects with the signal's reason.
 */
export async function withQmp<Value>(
  options: { folder: string; signal: AbortSignal },
  work: (execute: Execute) => Promise<Value>,
): Promise<Value> {
  const { folder, signal } = options;
  const path = join(folder, "qmp.sock");
  await rm(path, { force: true });
  const server = createServer();
  server.maxConnections = 1;
  let socket: Socket | null = null;
  try {
    await once(server.listen(path), "listening", { signal });
    // Its folder lets only this machine's QEMU come here.
    await chmod(path, 0o666);
    [socket] = (await once(server, "connection", { signal })) as [Socket];
    const execute = converse(socket, signal);
    await execute("qmp_capabilities");
    return await work(execute);
  } finally {
    socket?.destroy();
    server.close();
    await rm(path, { force: true });
  }
}

/** Asks one question at a time. The greeting and events are passed over. */
function converse(socket: Socket, signal: AbortSignal): Execute {
  let received = 0;
  socket.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received > ANSWER_BYTES_MAX) {
      socket.destroy();
    }
  });
  socket.on("error", () => socket.destroy());
  signal.addEventListener("abort", () => socket.destroy(), { once: true });
  const reader = createInterface({ input: socket });
  // A destroyed socket has no end, for which the reader would wait for ever.
  socket.once("close", () => reader.close());
  const lines = reader[Symbol.asyncIterator]();
  return async (command, args) => {
    socket.write(`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) })}\n`);
    for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
      const message = parseMessage(line.value);
      if (message !== null && "error" in message) {
        throw new AppError("MACHINE_LAUNCH_FAILED", `QEMU refused ${command}: ${message.error.desc}`);
      }
      if (message !== null && "return" in message) {
        return message.return;
      }
    }
    signal.throwIfAborted();
    throw new AppError("MACHINE_LAUNCH_FAILED", `QEMU hung up during ${command}`);
  };
}

function parseMessage(line: string): z.infer<typeof messageSchema> | null {
  const read = readStrictJson(line, ANSWER_BOUNDS);
  return read.ok ? (messageSchema.safeParse(read.value).data ?? null) : null;
}
