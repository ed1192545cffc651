import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { Server } from "node:net";
import { places } from "./places.ts";

// Both helpers do one thing and end; this is for a machine that crawls.
const HELPER_MS = 60_000;

/**
 * Makes Codex's network: a namespace of its own with nothing in it but loopback. It lives as long as the machine, held
 * by `file`.
 */
export async function createNetwork(file: string): Promise<void> {
  await writeFile(file, "");
  const child = spawn("/usr/bin/unshare", [`--net=${file}`, places.busybox, "ip", "link", "set", "lo", "up"], {
    env: {},
    stdio: "ignore",
    timeout: HELPER_MS,
    killSignal: "SIGKILL",
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) {
    throw new Error(`the network for Codex could not be made: unshare ended with ${code}`);
  }
}

/**
 * A socket that listens on loopback inside that network, though it belongs to this process: a helper opens it there and
 * hands it over. So nothing that Codex could end, starve or replace stands between it and the agent.
 */
export async function listenInside(options: { network: string; port: number; helper: string }): Promise<Server> {
  const { network, port, helper } = options;
  const args = ["nsenter", `--net=${network}`, places.node, "--eval", helper, "--", String(port)];
  const child = spawn(places.busybox, args, {
    env: {},
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    timeout: HELPER_MS,
    killSignal: "SIGKILL",
  });
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  let listener: Server | null = null;
  child.on("message", (_message, handle) => {
    if (handle instanceof Server) {
      listener = handle;
      child.disconnect();
    }
  });
  child.on("error", reject);
  // Only once the helper has ended is the socket ours alone: till then it would take every other connection.
  child.on("exit", (code) => {
    if (listener !== null && code === 0) {
      resolve(listener);
    } else {
      reject(new Error(`nothing listens for Codex: the helper ended with ${code}`));
    }
  });
  return promise;
}
