import type { RunId } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { buildBrokerControl } from "./control-server.ts";

const run = "run_0123456789abcdefghjk" as RunId;
const standing = "sk-operator-0123456789";
const ofRun = "sk-made-for-this-run-0123";
const ofAnother = "sk-made-for-another-0123";

const control = buildBrokerControl({
  channels: { ensureOpen: async () => undefined, ensureClosed: async () => undefined },
  secrets: (of) => (of === run ? [standing, ofRun] : [standing, ofRun, ofAnother]),
});

async function find(payload: object): Promise<{ status: number; body: unknown }> {
  const { statusCode, json } = await control.inject({ method: "POST", url: "/find-secrets", payload });
  return { status: statusCode, body: json() };
}

describe("the broker, asked whether texts hold a credential", () => {
  const texts = [`one ${standing}`, `two ${btoa(ofRun)}`, `three ${ofAnother}`];
  const hit = (form: string) => ({ kind: "known value", form });

  it("looks for those of the run that said them, and for the operator's own", async () => {
    expect(await find({ texts, run })).toMatchObject({ body: { found: [hit("as it is"), hit("base64")] } });
  });

  it("looks for all it knows where no run is named", async () => {
    const found = [hit("as it is"), hit("base64"), hit("as it is")];
    expect(await find({ texts })).toMatchObject({ body: { found } });
  });

  it("looks through as many texts as the longest review and the widest patch have", async () => {
    const many = Array.from({ length: 900 }, (_, number) => `text ${number}`);
    expect(await find({ texts: [...many, texts[0]], run })).toMatchObject({ body: { found: [hit("as it is")] } });
  });

  it.each([{ texts, run: "run_1" }, { texts, run: null }, { texts, other: 1 }, { texts: [1] }])(
    "looks for nothing where it is asked in another way",
    async (payload) => {
      expect((await find(payload)).status).toBeGreaterThanOrEqual(400);
    },
  );
});
