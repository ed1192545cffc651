import { rebuildModelRequest } from "@mayfly/core";
import { beforeAll, describe, expect, it } from "vitest";
import { policyFor, readRequest, rebuiltPath, requestNames } from "./fixtures.ts";
import { mutateRequests } from "./mutations.ts";
import { objectionsTo } from "./oracle.ts";

const CASES = 2_000;
const SEED = 169;

describe.each(requestNames)("the recorded request of $model, turn $turn", (name) => {
  it("is rebuilt to what is written down", async () => {
    const result = rebuildModelRequest(await readRequest(name), policyFor(name.model));
    const text = result.ok ? JSON.stringify(JSON.parse(result.body), null, 2) : JSON.stringify(result);
    await expect(`${text}\n`).toMatchFileSnapshot(rebuiltPath(name));
  });

  it("keeps every word of the conversation and of the tools", async () => {
    const body = await readRequest(name);
    const result = rebuildModelRequest(body, policyFor(name.model));
    const sent = JSON.parse(body) as Record<string, unknown>;
    const rebuilt = JSON.parse(result.ok ? result.body : "{}") as Record<string, unknown>;
    // The one thing left out of the conversation is a null.
    const withoutNulls: unknown = JSON.parse(body.replaceAll(/\s*"content": null,/g, ""));
    expect(rebuilt["input"]).toEqual((withoutNulls as Record<string, unknown>)["input"]);
    expect(rebuilt["tools"]).toEqual(sent["tools"]);
    expect(result.ok && objectionsTo(result.body, policyFor(name.model))).toEqual([]);
  });

  it("is not changed by rebuilding it again", async () => {
    const once = rebuildModelRequest(await readRequest(name), policyFor(name.model));
    const body = once.ok ? once.body : "";
    expect(rebuildModelRequest(body, policyFor(name.model))).toEqual({ ...once, body });
  });
});

describe("recorded requests with changes at random places", () => {
  const bodies: string[] = [];
  beforeAll(async () => {
    bodies.push(...(await Promise.all(requestNames.map(readRequest))));
  });

  it(`are refused, or rebuilt to what an independent list allows (${CASES} of them)`, () => {
    let accepted = 0;
    for (const { text, changes } of mutateRequests({ bodies, seed: SEED, cases: CASES })) {
      const policy = policyFor(text.includes('"model":"gpt-5.5"') ? "gpt-5.5" : "gpt-6.1-sol");
      const result = rebuildModelRequest(text, policy);
      accepted += result.ok ? 1 : 0;
      // A refusal says where in words of ours: nothing that was put in comes out again.
      const objections = result.ok
        ? objectionsTo(result.body, policy)
        : [result.at].filter((at) => !/^[a-z_]+(?:\[\d+\])*(?:\.[a-z_]+(?:\[\d+\])*)*$/.test(at));
      const again = result.ok ? rebuildModelRequest(result.body, policy) : result;
      expect({ changes, objections, again }).toEqual({ changes, objections: [], again: result });
    }
    // Neither "everything is refused" nor "nothing is" would say anything.
    expect(accepted).toBeGreaterThan(CASES / 20);
    expect(accepted).toBeLessThan(CASES / 2);
  });

  it("come out the same for the same seed, and otherwise for another", () => {
    const texts = (seed: number) => [...mutateRequests({ bodies, seed, cases: 20 })].map(({ text }) => text);
    expect(texts(1)).toEqual(texts(1));
    expect(texts(1)).not.toEqual(texts(2));
  });
});

describe("the independent list", () => {
  it("objects to what the rules are there to stop", async () => {
    const [name = { model: "gpt-5.5", turn: 1 }] = requestNames;
    const result = rebuildModelRequest(await readRequest(name), policyFor(name.model));
    const good = JSON.parse(result.ok ? result.body : "{}") as Record<string, unknown>;
    const spoilt = {
      ...good,
      store: true,
      conversation: "conv_1",
      tools: [{ type: "web_search" }],
      input: [
        { type: "message", role: "user", content: [{ type: "input_image", image_url: "https://example.com/a.png" }] },
      ],
    };
    expect(objectionsTo(JSON.stringify(spoilt), policyFor(name.model))).toEqual([
      "store is not false",
      "input[].content[].image_url leads to https://example.com/a.png",
      "input[].content[].image_url is no image",
      "tools[].type is web_search",
      "conversation is not on the list",
    ]);
  });
});
