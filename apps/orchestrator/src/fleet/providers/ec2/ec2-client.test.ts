import { describe, expect, it } from "vitest";
import { read, saidBy } from "./ec2-client.ts";
import { createTestTime } from "./testing.fixture.ts";

const missing = Object.assign(new Error("Could not load credentials from any providers"), {
  name: "CredentialsProviderError",
});

describe("a host without credentials", () => {
  it("is told what to give it", async () => {
    const { pause } = createTestTime();
    await expect(read("instances", pause, () => Promise.reject(missing))).rejects.toMatchObject({
      code: "PROVIDER_UNAVAILABLE",
      message: expect.stringContaining(
        "no AWS credentials: give the host a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
      ),
    });
  });

  it("is the only one that is told so", () => {
    expect(saidBy(Object.assign(new Error("not you"), { name: "UnauthorizedOperation" }))).toBe(
      "UnauthorizedOperation: not you",
    );
  });
});
