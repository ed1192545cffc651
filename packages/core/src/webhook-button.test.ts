import { describe, expect, it } from "vitest";
import { triggerOf } from "./trigger.ts";
import { parseWebhook } from "./webhook.ts";

const options = { labels: ["codex-*"], appSlug: "mayfly" };
const body = {
  action: "requested_action",
  requested_action: { identifier: "apply_patch" },
  check_run: { id: 5, external_id: "run_01kq3v9d5e9876543210", head_sha: "a".repeat(40) },
  repository: { id: 7 },
  installation: { id: 3 },
  sender: { id: 9, login: "maintainer", type: "User" },
};

const heard = (other: object) => triggerOf(parseWebhook({ event: "check_run", body: { ...body, ...other } }), options);

describe("a button of a check run", () => {
  it("asks for the patch of the run that the check is of, in the name of whoever pressed it", () => {
    expect(heard({})).toEqual({
      kind: "apply",
      installation: 3,
      repositoryId: 7,
      actor: { id: 9, login: "maintainer", type: "User" },
      checkRunId: 5,
      externalId: "run_01kq3v9d5e9876543210",
    });
  });

  it("discards a patch, or runs the check's task again, by its name", () => {
    const pressed = (identifier: string) => heard({ requested_action: { identifier } });
    expect(pressed("discard_patch")).toMatchObject({ kind: "discard" });
    const check_run = { id: 5, external_id: "run_01kq3v9d5e0123456789", app: { slug: "mayfly" } };
    const repository = { id: 3, name: "app", owner: { login: "acme" }, default_branch: "main" };
    const again = { requested_action: { identifier: "run_again" }, check_run, repository };
    expect(heard(again)).toMatchObject({ kind: "rerun", of: check_run.external_id });
  });

  it("asks for nothing if it is another button, or Mayfly itself pressed it", () => {
    expect(heard({ requested_action: { identifier: "merge" } })).toMatchObject({ kind: "ignore" });
    expect(heard({ sender: { id: 1, login: "mayfly[bot]", type: "Bot" } })).toMatchObject({ kind: "ignore" });
  });

  it.each([
    ["no button", { requested_action: undefined }],
    ["no check", { check_run: undefined }],
    ["an id that is none", { check_run: { id: "5", external_id: "" } }],
    ["a name without end", { check_run: { id: 5, external_id: "x".repeat(10_000) } }],
    ["another event's part", { pull_request: {} }],
  ])("is not understood with %s", (_name, other) => {
    expect(parseWebhook({ event: "check_run", body: { ...body, ...other } })).toMatchObject({ kind: "invalid" });
  });
});
