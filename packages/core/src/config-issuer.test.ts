import { describe, expect, it } from "vitest";
import { type ConfigProblem, parseConfig } from "./index.ts";

type Environment = Readonly<Record<string, string>>;

const account = {
  MAYFLY_MODEL_ISSUER: "openai-service-account",
  MAYFLY_MODEL_ADMIN_KEY: "sk-admin-hunter2",
  MAYFLY_MODEL_PROJECT: "proj_1",
  MAYFLY_MODEL_SERVICE_ACCOUNT: "svc_1",
  MAYFLY_MODEL_SCOPES: "api.responses.write, api.model.read",
};
const compatible = { MAYFLY_MODEL_ISSUER: "compatible", OPENAI_BASE_URL: "http://127.0.0.1:11434/v1" };

function issuer(environment: Environment, text?: string) {
  const parsed = parseConfig({ environment, ...(text === undefined ? {} : { file: { name: "config.yaml", text } }) });
  if (!parsed.ok) {
    throw new Error(JSON.stringify(parsed.problems));
  }
  return parsed.config.model.issuer;
}

function problems(environment: Environment, text?: string): readonly ConfigProblem[] {
  const parsed = parseConfig({ environment, ...(text === undefined ? {} : { file: { name: "config.yaml", text } }) });
  return parsed.ok ? [] : parsed.problems;
}

describe("the issuer's settings", () => {
  it("name none when there is no key, so that commands without a model still work", () => {
    expect(issuer({})).toBeNull();
  });

  it("take a key alone for the operator's own", () => {
    expect(issuer({ OPENAI_API_KEY: "sk-hunter2" })).toMatchObject({
      kind: "static",
      key: expect.anything() as unknown,
    });
  });

  it("describe a service account, with defaults for the rest", () => {
    expect(issuer(account)).toMatchObject({
      kind: "openai-service-account",
      adminUrl: "https://api.openai.com/v1",
      project: "proj_1",
      serviceAccount: "svc_1",
      scopes: ["api.responses.write", "api.model.read"],
      keySeconds: 3_600,
    });
  });

  it("take another Admin API and another life", () => {
    const own = { ...account, MAYFLY_MODEL_ADMIN_URL: "https://eu.example.com/v1/", MAYFLY_MODEL_KEY_SECONDS: "600" };
    expect(issuer(own)).toMatchObject({ adminUrl: "https://eu.example.com/v1", keySeconds: 600 });
  });

  it("need no key for an endpoint that asks for none", () => {
    expect(issuer(compatible)).toEqual({
      kind: "compatible",
      key: null,
      header: "authorization",
      prefix: "Bearer ",
    });
  });

  it.each([
    ["a bearer key", {}, "", "authorization", "Bearer "],
    ["a header of its own, without a prefix", { MAYFLY_MODEL_HEADER: "Api-Key" }, "", "api-key", ""],
    ["a prefix of its own", { MAYFLY_MODEL_HEADER_PREFIX: "Token " }, "", "authorization", "Token "],
    ["a bare authorization", {}, 'model:\n  header_prefix: ""\n', "authorization", ""],
  ])("put the key of a compatible endpoint as %s", (_, more, text, header, prefix) => {
    expect(issuer({ ...compatible, OPENAI_API_KEY: "k", ...more }, text)).toMatchObject({ header, prefix });
  });

  it.each<[string, Environment, string, string]>([
    ["a key that no one uses", { ...account, OPENAI_API_KEY: "sk-x" }, "OPENAI_API_KEY", "static or compatible"],
    ["an Admin key without effect", { MAYFLY_MODEL_ADMIN_KEY: "sk-x" }, "MAYFLY_MODEL_ADMIN_KEY", "has no effect"],
    ["a project without effect", { MAYFLY_MODEL_PROJECT: "p" }, "MAYFLY_MODEL_PROJECT", "MAYFLY_MODEL_ISSUER"],
    ["an account without effect", { MAYFLY_MODEL_SERVICE_ACCOUNT: "s" }, "MAYFLY_MODEL_SERVICE_ACCOUNT", "no effect"],
    ["scopes without effect", { MAYFLY_MODEL_SCOPES: "a" }, "MAYFLY_MODEL_SCOPES", "no effect"],
    ["a life without effect", { MAYFLY_MODEL_KEY_SECONDS: "600" }, "MAYFLY_MODEL_KEY_SECONDS", "no effect"],
    [
      "an Admin API without effect",
      { MAYFLY_MODEL_ADMIN_URL: "https://a.example.com" },
      "MAYFLY_MODEL_ADMIN_URL",
      "no",
    ],
    ["a header without effect", { MAYFLY_MODEL_HEADER: "api-key" }, "MAYFLY_MODEL_HEADER", "to compatible, or remove"],
    ["a prefix without effect", { MAYFLY_MODEL_HEADER_PREFIX: "K " }, "MAYFLY_MODEL_HEADER_PREFIX", "no effect"],
    [
      "a header without a key",
      { ...compatible, MAYFLY_MODEL_HEADER: "api-key" },
      "MAYFLY_MODEL_HEADER",
      "OPENAI_API_KEY",
    ],
    ["an endpoint that is OpenAI's", { MAYFLY_MODEL_ISSUER: "compatible" }, "MAYFLY_MODEL_ISSUER", "OPENAI_BASE_URL"],
    ["a header of every call", { ...compatible, MAYFLY_MODEL_HEADER: "Host" }, "MAYFLY_MODEL_HEADER", "every call"],
    ["a header that is none", { ...compatible, MAYFLY_MODEL_HEADER: "a b" }, "MAYFLY_MODEL_HEADER", "name of a header"],
    ["an empty list of scopes", { ...account, MAYFLY_MODEL_SCOPES: "," }, "MAYFLY_MODEL_SCOPES", "for all of them"],
    ["too short a life", { ...account, MAYFLY_MODEL_KEY_SECONDS: "60" }, "MAYFLY_MODEL_KEY_SECONDS", "from 300 to"],
    ["too long a life", { ...account, MAYFLY_MODEL_KEY_SECONDS: "90000" }, "MAYFLY_MODEL_KEY_SECONDS", "to 86400"],
    [
      "an open way for the Admin key",
      { ...account, MAYFLY_MODEL_ADMIN_URL: "http://a.example.com" },
      "MAYFLY_MODEL_ADMIN_URL",
      "https",
    ],
    ["a path for a project", { ...account, MAYFLY_MODEL_PROJECT: "../x" }, "MAYFLY_MODEL_PROJECT", "must be an id"],
    ["another issuer", { MAYFLY_MODEL_ISSUER: "openai" }, "MAYFLY_MODEL_ISSUER", "must be static"],
  ])("refuse %s", (_, environment, place, message) => {
    expect(problems(environment)).toEqual([
      expect.objectContaining({ place, message: expect.stringContaining(message) as string }),
    ]);
  });

  it("name everything that a service account lacks, where the issuer stands", () => {
    const [problem, ...more] = problems({}, "model:\n  issuer: openai-service-account\n  scopes: [a]\n");
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ place: "config.yaml:2:3" });
    for (const name of ["MAYFLY_MODEL_ADMIN_KEY", "MAYFLY_MODEL_PROJECT", "MAYFLY_MODEL_SERVICE_ACCOUNT"]) {
      expect(problem?.message).toContain(name);
    }
    expect(problem?.message).not.toContain("SCOPES");
  });

  it.each(["OPENAI_API_KEY", "MAYFLY_MODEL_ADMIN_KEY"])("refuse a line break in %s without showing it", (name) => {
    const found = problems({ ...(name === "OPENAI_API_KEY" ? {} : account), [name]: "hunter2\nx" });
    expect(found).toMatchObject([{ place: name }]);
    expect(JSON.stringify(found)).not.toContain("hunter2");
  });

  it("show no key", () => {
    const shown = JSON.stringify([
      issuer(account),
      issuer({ OPENAI_API_KEY: "sk-hunter2" }),
      problems({ ...account, OPENAI_API_KEY: "sk-hunter2" }),
    ]);
    expect(shown).not.toContain("hunter2");
  });
});
