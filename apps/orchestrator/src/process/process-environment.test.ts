import { describe, expect, it } from "vitest";
import { processEnvironment } from "./process-environment.ts";

describe("the environment of our processes", () => {
  it("has no more than where programs are and whom the operator trusts", () => {
    const env = {
      PATH: "/bin",
      HOME: "/root",
      OPENAI_API_KEY: "sk-not-to-be-passed-on",
      MAYFLY_WEBHOOK_SECRET: "x",
      NODE_OPTIONS: "--inspect",
      NODE_EXTRA_CA_CERTS: "/etc/ssl/own.pem",
    };
    expect(processEnvironment(env)).toEqual({ PATH: "/bin", HOME: "/root", NODE_EXTRA_CA_CERTS: "/etc/ssl/own.pem" });
    expect(processEnvironment({})).toEqual({ PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/" });
  });
});
