import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it } from "vitest";
import { freePort } from "./free-port.ts";

it("gives ports that somebody can listen at, each once, and none that the system gives to connections", async () => {
  const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const ports = [];
  for (let left = 50; left > 0; left--) {
    ports.push(await freePort());
  }
  expect(new Set(ports).size).toBe(50);
  expect(Math.max(...ports)).toBeLessThan(Number(range.trim().split(/\s+/)[0]));
  const server = createServer().listen(ports[0], "127.0.0.1");
  await once(server, "listening");
  server.close();
  await once(server, "close");
});
