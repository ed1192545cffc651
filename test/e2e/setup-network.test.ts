import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { Conversation } from "../fakes/model/conversation.ts";
import { run, say, type Turn } from "../fakes/model/script.ts";
import type { PullView } from "../fakes/github/views.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, endingOf, label, leave, openPull, published, RUN_MS } from "./scene.ts";

const HOST = "packages.example.com";
const OTHER = "elsewhere.example.com";
const DEPENDENCY = "a dependency, fetched by set-up";
/** The certificate of the server in this test is nobody's. */
const FETCH = `process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    fetch("https://${HOST}/dependency", { method: "POST", body: "x".repeat(2000) })
      .then((answer) => answer.text())
      .then((text) => require("fs").writeFileSync("/tmp/dependency", text));`;
/** The first line of what the proxy answers: fetch keeps it to itself. */
const CONNECT = `require("net").connect(8081, "127.0.0.1")
      .on("data", (said) => require("fs").writeFileSync("/tmp/elsewhere", String(said).split("\\r\\n")[0]))
      .end("CONNECT ${OTHER}:443 HTTP/1.1\\r\\nhost: ${OTHER}:443\\r\\n\\r\\n");`;
const TASK = `---
timeout: 10m
sandbox: danger-full-access
network: [${HOST}]
setup:
  - |
    node -e '${FETCH}'
  - |
    node -e '${CONNECT}'
---
Build it, then say what you found.
`;
/** What Codex does with what set-up left, and tries for itself. */
const LOOK = [
  "cat /tmp/dependency; echo",
  "cat /tmp/elsewhere; echo",
  'echo "proxy: $HTTPS_PROXY$https_proxy"',
  `node -e 'require("net").connect(8081, "127.0.0.1").on("connect", () => console.log("a proxy listens")).on("error", (error) => console.log("no proxy:", error.code))'`,
].join("; ");

let folder: string;
let outside: Server;
const asked: string[] = [];
let world: TestWorld;
let pull: PullView;
let view: RunView;
let seen = "";

function script(conversation: Conversation): Turn {
  if (conversation.step === 0) {
    return run(LOOK);
  }
  seen = conversation.output;
  return say("Built.");
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-outside-"));
  const { server } = await loadDoorKeys(folder, Date.now());
  outside = createServer({ key: server.key, cert: server.certificate }, (incoming, outgoing) => {
    let size = 0;
    incoming.on("data", (chunk: Buffer) => void (size += chunk.length));
    incoming.on("end", () => {
      asked.push(`${incoming.headers.host ?? ""} ${size}`);
      outgoing.end(DEPENDENCY);
    });
  });
  outside.listen(0, "127.0.0.1");
  await once(outside, "listening");
  const { port } = outside.address() as AddressInfo;
  world = await startWorld({
    script,
    environment: { MAYFLY_MACHINES_MAX: "1", MAYFLY_SETUP_HOSTS: `${HOST}=127.0.0.1:${port}` },
  });
  pull = await openPull(world, { name: "fetches", task: TASK });
  view = await ended(world, await label(world, pull), RUN_MS);
}, 2 * RUN_MS);

afterAll(async () => {
  outside.closeAllConnections();
  outside.close();
  await rm(folder, { recursive: true, force: true });
  await leave(world);
});

describe("a run whose set-up reaches a host", () => {
  it("has what was fetched when Codex starts, and Codex has no way out", () => {
    expect(endingOf(view)).toEqual({ outcome: "succeeded", code: "answered", detail: "" });
    expect(seen).toContain(DEPENDENCY);
    expect(seen).toContain("proxy: \n");
    expect(seen).toContain("no proxy: ECONNREFUSED");
  });

  it("reached the host that task and operator name, and no other, and was told why", () => {
    expect(asked).toEqual([`${HOST} 2000`]);
    expect(seen).toContain(`HTTP/1.1 403 the task's \`network\` does not name this host; it names ${HOST}`);
  });

  it("has the connection on its receipt, and the pull request says how much left", () => {
    const receipt = view.receipt as { setupConnections?: readonly { host: string; end: object | null }[] } | null;
    expect(receipt?.setupConnections).toMatchObject([{ host: HOST, epoch: 1, end: {} }]);
    const { comment } = published(world, pull, view.run.id);
    expect(comment.body).toMatch(/- Set-up reached `packages\.example\.com`: 1 connection, [2-9],\d{3} bytes sent, /);
  });

  it("is refused on a pull request from a fork, before there is a machine", async () => {
    const fork = await openPull(world, {
      name: "fetches-for-a-fork",
      task: TASK,
      fork: "stranger",
      pushedAt: Date.now() - 10 * 60_000,
    });
    const refused = await ended(world, await label(world, fork));
    expect(endingOf(refused)).toMatchObject({ outcome: "refused", code: "not_allowed" });
    expect(published(world, fork, refused.run.id).comment.body).toContain("never run on a fork's pull request");
  });
});
