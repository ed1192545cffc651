import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { limits, nothingSpent } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { finalAmounts, finalEvent, noBudgets, question } from "./model-gateway.fixture.ts";
import {
  answers,
  attemptLimit,
  codeIn,
  fails,
  opens,
  refusals,
  spent,
  useGateway,
} from "./model-gateway-suite.fixture.ts";

const { start, world } = useGateway();

describe("the budget of a model call", () => {
  it("is charged what the final event says, before the caller sees that event", async () => {
    const { model, opened } = opens();
    const { send } = await start(model);
    const [answer] = (await once(send(), "response")) as [IncomingMessage];
    const before = await spent(world());
    expect(before.requests).toBe(1);
    expect(before.outputTokens).toBe(limits.modelOutputTokensMax);
    await once(answer, "data");
    (await opened).write(finalEvent);
    await once(answer, "data");
    expect(await spent(world())).toEqual(finalAmounts);
    (await opened).end();
    answer.resume();
    await once(answer, "end");
    expect(await spent(world())).toEqual(finalAmounts);
  });

  it.each([
    ["the stream ends without usage", (outgoing: ServerResponse) => outgoing.end()],
    ["the stream is cut", (outgoing: ServerResponse) => outgoing.destroy()],
    ["the usage makes no sense", (outgoing: ServerResponse) => outgoing.end(finalEvent.replace("1000", "-1"))],
  ])("stays charged with the whole reservation when %s", async (_what, end) => {
    const { model, opened } = opens();
    const { ask } = await start(model);
    const answer = ask();
    end(await opened);
    await answer;
    const { requests, outputTokens, microUsd } = await spent(world());
    expect(requests).toBe(1);
    expect(outputTokens).toBe(limits.modelOutputTokensMax);
    expect(microUsd).toBeGreaterThan(limits.modelOutputTokensMax * 1_000);
  });

  it.each([
    ["no connection to the model", { upstreamUrl: "http://127.0.0.1:9/v1" }, fails(500, {}, {})],
    ["an error of the model", {}, fails(500, {}, { error: { message: "Broken." } })],
  ])("is charged a request and no token with %s", async (_what, options, model) => {
    const { ask } = await start(model, options);
    expect((await ask()).status).toBeGreaterThanOrEqual(500);
    expect(await spent(world())).toEqual({ ...nothingSpent, requests: 1 });
  });

  it.each([
    ["requests", { requests: 1 }, /attempt for model calls/],
    ["input tokens", { inputTokens: 1_000 }, /attempt for input tokens/],
    ["output tokens", { outputTokens: 20 }, /attempt for output tokens/],
    ["money", { microUsd: 26_400 }, /attempt for money is spent \(0\.03 US dollars\)/],
  ])(
    "ends calls once %s are used up, naming scope and kind, and is overshot by no further one",
    async (_k, limit, words) => {
      const { ask, asked } = await start(answers(), attemptLimit(limit));
      expect((await ask()).status).toBe(200);
      const answer = await ask();
      expect(answer.status).toBe(400);
      expect(codeIn(answer)).toBe("BUDGET_SPENT");
      expect(answer.text).toMatch(words);
      expect(asked).toHaveLength(1);
      expect(await refusals(world())).toEqual({ BUDGET_SPENT: 1 });
    },
  );

  it.each([
    ["output tokens of the attempt", { ...noBudgets, attempt: { ...noBudgets.attempt, outputTokens: 1_000 } }, 1_000],
    ["output tokens of the run", { ...noBudgets, run: { ...noBudgets.run, outputTokens: 500 } }, 500],
    ["money, at a tenth of a cent each", { ...noBudgets, run: { ...noBudgets.run, microUsd: 300_500 } }, 300],
    [
      "the less of two",
      {
        ...noBudgets,
        attempt: { ...noBudgets.attempt, outputTokens: 900 },
        run: { ...noBudgets.run, microUsd: 800_000 },
      },
      800,
    ],
    // A local run is on no repository.
    [
      "a day that is not this run's",
      { ...noBudgets, repository_day: { ...noBudgets.run, outputTokens: 100 } },
      limits.modelOutputTokensMax,
    ],
  ])("bounds the answer that is asked for: %s", async (_what, budgets, most) => {
    const { ask } = await start(answers(), { budgets });
    expect((await ask()).status).toBe(200);
    expect(mostAsked()).toEqual([most]);
  });

  it("bounds an answer by what is left after those before it, and lets a caller ask for less", async () => {
    const { ask } = await start(answers(), attemptLimit({ outputTokens: 1_000 }));
    await ask();
    await ask();
    await ask({ ...question, max_output_tokens: 100 });
    expect(mostAsked()).toEqual([1_000, 980, 100]);
  });

  it("is spent when less is left than the API takes as a bound", async () => {
    const { ask } = await start(answers(), attemptLimit({ outputTokens: 36 + 15 }));
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    const answer = await ask();
    expect(answer.status).toBe(400);
    expect(codeIn(answer)).toBe("BUDGET_SPENT");
    expect(answer.text).toMatch(/attempt for output tokens is spent \(51\)/);
    expect(mostAsked()).toEqual([51, 31]);
  });

  it("lets no two calls at once share what is left for one", async () => {
    const { model, opened } = opens();
    const { send, ask, asked } = await start(model, attemptLimit({ outputTokens: 100 }));
    const first = send();
    first.on("error", () => undefined);
    await opened;
    expect(codeIn(await ask())).toBe("BUDGET_SPENT");
    expect(asked).toHaveLength(1);
    first.destroy();
  });
});

/** The most that the model was told to answer, call by call. */
function mostAsked(): number[] {
  return world().asked.map(({ body }) => (JSON.parse(body) as { max_output_tokens: number }).max_output_tokens);
}
