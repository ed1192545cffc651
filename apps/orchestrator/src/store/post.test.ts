import type { AppError } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { connectForCommands, connectForQueue, waitUntilReady } from "./connection.ts";
import { type Desk, openDesk, type Posted } from "./post-desk.ts";
import { createPost, type Letter, type Post } from "./post.ts";
import { type Announced, createPresence, type Presence } from "./presence.ts";
import { startTestRedis, type TestRedis, until } from "./test-redis.fixture.ts";

/** Nobody has to answer for so long in a test that works. */
const PATIENT_MS = 60_000;

let server: TestRedis;
let prefix: string;
let presence: Presence;
let post: Post;
let ends: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

beforeEach(async () => {
  prefix = server.prefix();
  presence = createPresence({ redis: server.redis, prefix });
  const listening = connectForQueue(server.address);
  post = await createPost({ redis: server.redis, listening, prefix, presence });
  ends = [() => post.close()];
});
afterEach(async () => {
  for (const end of ends.toReversed()) {
    await end();
  }
});

const letter: Letter = {
  box: "worker",
  kind: "worker",
  method: "POST",
  path: "/claim",
  body: { machine: "one" },
  answerMs: PATIENT_MS,
};

type Serve = (question: Posted) => Promise<{ status: number; text: string }>;

/** A process that serves the box, and says that it is there. */
async function serve(name: string, answer: Serve, atOnce = 4): Promise<{ desk: Desk; announced: Announced }> {
  const announced = await presence.announce("worker", name);
  const desk = openDesk({
    redis: server.redis,
    taking: connectForQueue(server.address),
    prefix,
    box: "worker",
    name,
    atOnce,
    serve: answer,
  });
  ends.push(
    () => desk.close(),
    () => announced.leave(),
  );
  return { desk, announced };
}

const echo: Serve = async ({ method, path, body }) => ({
  status: 200,
  text: JSON.stringify({ method, path, body }),
});

function refusedAs(code: AppError["code"]): unknown {
  return expect.objectContaining({ name: "AppError", code });
}

describe("a question by post", () => {
  it("is answered by whoever serves the box, as it was asked", async () => {
    await serve("a", echo);
    const { status, text } = await post.send(letter);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual({ method: "POST", path: "/claim", body: { machine: "one" } });
    expect(await post.send({ ...letter, method: "GET", body: undefined })).toMatchObject({ status: 200 });
  });

  it("is taken once where two serve the box, and each of many gets its own answer", async () => {
    const taken: unknown[] = [];
    const counted: Serve = async (question) => {
      taken.push(question.body);
      return echo(question);
    };
    await serve("a", counted);
    await serve("b", counted);
    const numbers = Array.from({ length: 40 }, (_, index) => index);
    const answers = await Promise.all(numbers.map((body) => post.send({ ...letter, body: { body } })));
    expect(answers.map(({ text }) => (JSON.parse(text) as { body: unknown }).body)).toEqual(
      numbers.map((body) => ({ body })),
    );
    expect(taken).toHaveLength(40);
  });

  it("leaves nothing of its answer in Redis", async () => {
    await serve("a", async () => ({ status: 200, text: '"mfc_a-capability"' }));
    await post.send(letter);
    for (const key of await server.redis.keys(`${prefix}*`)) {
      const kind = await server.redis.type(key);
      expect([key, kind]).toEqual([`${prefix}beats:worker`, "hash"]);
    }
  });

  it(
    "is refused within seconds where nobody serves the box, and done by nobody later",
    { timeout: 30_000 },
    async () => {
      await expect(post.send(letter)).rejects.toEqual(refusedAs("SERVICE_NOT_RUNNING"));
      let done = 0;
      await serve("late", async () => ({ status: 200, text: String((done += 1)) }));
      await post.send(letter);
      expect(done).toBe(1);
    },
  );

  it("that is found too late is dropped, though the list still has it", async () => {
    const [seconds] = await server.redis.time();
    const stale = { id: "0", replies: `${prefix}somebody`, method: "POST", path: "/claim", body: {} };
    const somebody = connectForQueue(server.address);
    ends.push(() => somebody.disconnect());
    await somebody.subscribe(`${prefix}somebody`);
    await server.redis.rpush(`${prefix}post:box:worker`, `${Number(seconds) * 1000 - 1} ${JSON.stringify(stale)}`);
    const paths: string[] = [];
    await serve("a", async (question) => {
      paths.push(question.path);
      return echo(question);
    });
    await post.send({ ...letter, path: "/later" });
    expect(paths).toEqual(["/later"]);
  });

  it("is not done where nobody waits for the answer any more", async () => {
    const [seconds] = await server.redis.time();
    const left = { id: "0", replies: "nobody", method: "POST", path: "/claim", body: {} };
    await server.redis.rpush(`${prefix}post:box:worker`, `${(Number(seconds) + 60) * 1000} ${JSON.stringify(left)}`);
    const paths: string[] = [];
    await serve("a", async (question) => {
      paths.push(question.path);
      return echo(question);
    });
    await post.send({ ...letter, path: "/later" });
    expect(paths).toEqual(["/later"]);
  });

  it("costs nothing but itself where it is no question at all", async () => {
    const box = `${prefix}post:box:worker`;
    await server.redis.rpush(box, "", "99999999999999 {", '99999999999999 {"id":1}', "x y");
    await serve("a", echo);
    expect(await post.send(letter)).toMatchObject({ status: 200 });
  });

  it("is refused where it is too long, and an answer too long is none", async () => {
    await serve("a", async () => ({ status: 200, text: "x".repeat(2 * 1024 * 1024) }));
    await expect(post.send({ ...letter, body: "x".repeat(18 * 1024 * 1024) })).rejects.toEqual(
      refusedAs("INPUT_INVALID"),
    );
    expect(await post.send(letter)).toMatchObject({ status: 500 });
  });

  it("is refused where too many wait", async () => {
    await server.redis.rpush(`${prefix}post:box:worker`, ...Array.from({ length: 1_000 }, () => "x"));
    await expect(post.send(letter)).rejects.toEqual(refusedAs("STORE_UNAVAILABLE"));
  });

  it("is refused where what waits is too much in all, however few wait", async () => {
    const box = `${prefix}post:box:worker`;
    const megabytes = (count: number) => "x".repeat(count * 1024 * 1024);
    await server.redis.rpush(box, ...Array.from({ length: 4 }, () => megabytes(17)));
    await expect(post.send(letter)).rejects.toEqual(refusedAs("STORE_UNAVAILABLE"));
    await server.redis.lpop(box);
    await serve("a", echo);
    expect(await post.send(letter)).toMatchObject({ status: 200 });
  });

  it("is refused when its server dies over it, well before the answer's time", { timeout: 40_000 }, async () => {
    // Says that it is there, takes a question, and never speaks again.
    const dying = connectForCommands(server.address);
    await waitUntilReady(dying, 10_000);
    const announced = await createPresence({ redis: dying, prefix }).announce("worker", "dying");
    const desk = openDesk({
      redis: dying,
      taking: connectForQueue(server.address),
      prefix,
      box: "worker",
      name: "dying",
      atOnce: 1,
      serve: async () => {
        dying.disconnect();
        return new Promise(() => undefined);
      },
    });
    ends.push(
      () => desk.close(),
      () => announced.leave(),
    );
    await expect(post.send(letter)).rejects.toEqual(refusedAs("SERVICE_NOT_RUNNING"));
  });

  it("waits for its turn where as many are under way as may be", async () => {
    let most = 0;
    let underWay = 0;
    const gate = Promise.withResolvers<void>();
    await serve(
      "a",
      async (question) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await gate.promise;
        underWay -= 1;
        return echo(question);
      },
      2,
    );
    const asked = Array.from({ length: 6 }, () => post.send(letter));
    await until(() => underWay === 2);
    gate.resolve();
    await Promise.all(asked);
    expect(most).toBe(2);
  });

  it("is another server's once the first takes no more", async () => {
    const first = await serve("a", async () => ({ status: 200, text: '"a"' }));
    expect(await post.send(letter)).toMatchObject({ text: '"a"' });
    await first.desk.close();
    await first.announced.leave();
    await serve("b", async () => ({ status: 200, text: '"b"' }));
    expect(await post.send(letter)).toMatchObject({ text: '"b"' });
    expect(await presence.present("worker")).toEqual(["b"]);
  });
});

describe("one that cannot say that it is there", () => {
  it("is told to act alone before the others count it as gone", { timeout: 40_000 }, async () => {
    const cut = connectForCommands(server.address);
    await waitUntilReady(cut, 10_000);
    const told = Promise.withResolvers<void>();
    const announced = await createPresence({ redis: cut, prefix }).announce("worker", "cut", {
      onAlone: () => told.resolve(),
    });
    ends.push(() => announced.leave());
    cut.disconnect();
    await told.promise;
    expect(await presence.present("worker")).toEqual(["cut"]);
    await until(async () => (await presence.present("worker")).length === 0);
  });
});
