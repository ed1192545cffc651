// The relay for model calls: everything but a proper call, and everything that could stop it or take its place.
import { connect, createServer } from "node:net";
import { HELPER_MS, TRY_MS } from "./common.mjs";

const PORT = 8080;
/** Most of what it takes at once: all of it would only starve the run that is ours. */
const CONNECTIONS = 24;
/** An error of the broker is some hundred characters. */
const QUOTED_CHARS_MAX = 2_000;

/** The first line that the relay answers to each of these. */
export async function relay(mark) {
  const body = JSON.stringify({
    model: "gpt-5.5",
    input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "smuggled" }] }],
    stream: true,
    store: false,
  });
  const post = (target, ...headers) =>
    [
      `POST ${target} HTTP/1.1`,
      "host: relay",
      "connection: close",
      ...headers,
      `content-length: ${body.length}`,
      "",
      body,
    ].join("\r\n");
  const json = "content-type: application/json";
  const refused = {
    "GET /v1/responses": "GET /v1/responses HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "GET /shutdown": "GET /shutdown HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "POST /shutdown": post("/shutdown", json),
    "GET /v1/models": "GET /v1/models HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "POST /v1/key": post("/v1/key", json),
    "POST /v1/claim": post("/v1/claim", json),
    "POST /v1/result": post("/v1/result", json),
    "POST /v1/freeze": post("/v1/freeze", json),
    "GET /v1/source": "GET /v1/source HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "POST /v1/files": post("/v1/files", json),
    query: post("/v1/responses?key=1", json),
    slash: post("/v1/responses/", json),
    dots: post("/v1/../v1/responses", json),
    encoded: post("/v1/%72esponses", json),
    absolute: post("http://10.0.2.2:8080/v1/responses", json),
    elsewhere: post("http://api.example.com/v1/responses", json),
    connect: "CONNECT 10.0.2.2:8080 HTTP/1.1\r\nhost: 10.0.2.2\r\n\r\n",
    gzip: post("/v1/responses", json, "content-encoding: gzip"),
    twoLengths: post("/v1/responses", json, "content-length: 1"),
    twoFramings: post("/v1/responses", json, "transfer-encoding: chunked"),
    noHttp: "\u0016\u0003\u0001\u0000\u0000",
  };
  const answers = {};
  for (const [name, text] of Object.entries(refused)) {
    answers[name] = await say(text);
  }
  const smuggled = [
    `authorization: Bearer ${mark}`,
    `openai-organization: ${mark}`,
    `openai-project: ${mark}`,
    `x-api-key: ${mark}`,
    `cookie: ${mark}`,
    `user-agent: ${mark}`,
    `x-forwarded-host: ${mark}`,
    `accept: ${mark}`,
  ];
  return {
    answers,
    replaced: await replace(),
    crowded: await crowd(),
    smuggled: await say(post("/v1/responses", json, ...smuggled)),
  };
}

/** What the machine hears where the model's answer is an error that quotes the credential. */
export async function quoted() {
  const input = [{ type: "message", role: "user", content: [{ type: "input_text", text: "Quote the credential." }] }];
  const body = JSON.stringify({ model: "gpt-5.5", input, stream: true, store: false });
  const head = "POST /v1/responses HTTP/1.1\r\nhost: relay\r\nconnection: close\r\ncontent-type: application/json";
  return (await hear(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)).slice(0, QUOTED_CHARS_MAX);
}

async function say(text) {
  return (await hear(text)).split("\r\n")[0];
}

function hear(text) {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: PORT, timeout: HELPER_MS });
    let said = "";
    socket.on("data", (data) => (said += data.toString("latin1")));
    socket.on("timeout", () => socket.destroy());
    socket.on("error", (error) => (said ||= error.code));
    socket.on("close", () => resolve(said));
    socket.write(text, "latin1");
  });
}

/** Addresses on which somebody could answer in the relay's place. */
async function replace() {
  const taken = [];
  for (const host of ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"]) {
    for (const reusePort of [false, true]) {
      const outcome = await listen({ host, port: PORT, reusePort, ipv6Only: false });
      if (outcome === "listening") {
        taken.push(`${host}${reusePort ? " shared" : ""}`);
      }
    }
  }
  return taken;
}

function listen(options) {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.on("error", (error) => resolve(error.code));
    server.listen(options, () => server.close(() => resolve("listening")));
  });
}

/** Holds connections with half of a request's head on each, and lets go again. */
async function crowd() {
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    const socket = connect({ host: "127.0.0.1", port: PORT });
    socket.on("error", () => {});
    socket.write("POST /v1/responses HTTP/1.1\r\nhost: rel");
    return socket;
  });
  await new Promise((resolve) => setTimeout(resolve, TRY_MS / 2));
  for (const socket of sockets) {
    socket.destroy();
  }
  await new Promise((resolve) => setTimeout(resolve, TRY_MS / 4));
  return CONNECTIONS;
}
