import { describe, expect, it } from "vitest";
import type { SetupConnection } from "../setup-connection.ts";
import { renderComment } from "./comment.ts";
import { renderReceipt } from "./receipt.ts";
import { endedRun, endings, reportInput } from "./run.fixture.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 8);
const first: SetupConnection = {
  id: "con_1",
  epoch: 1,
  host: "packages.example.com",
  openedAt: AT,
  reservedBytes: 32_768,
  end: { at: AT + 1_000, sentBytes: 1_200, receivedBytes: 3_456_789, why: "closed" },
};
const run = {
  ...endedRun(endings.succeeded),
  setupConnections: [
    first,
    { ...first, id: "con_2", host: "files.example.com", end: null },
    { ...first, id: "con_3", openedAt: AT + 500 },
  ],
};

describe("what a set-up reached", () => {
  it("is told on the pull request by host, with what left and what came", () => {
    const comment = renderComment(run, reportInput("hi"));
    expect(comment).toContain(
      "- Set-up reached `packages.example.com`: 2 connections, 2,400 bytes sent, 6,913,578 received\n" +
        "- Set-up reached `files.example.com`: 1 connection, 32,768 bytes sent, 0 received\n",
    );
  });

  it("is not a word in the comment or the receipt of a run that reached nobody", () => {
    const none = endedRun(endings.succeeded);
    expect(renderComment(none, reportInput("hi"))).not.toContain("Set-up");
    expect(renderReceipt(none, reportInput("hi"))).not.toHaveProperty("setupConnections");
  });

  it("is on the receipt, connection by connection, and says where an end is not known", () => {
    const { setupConnections = [] } = renderReceipt(run, reportInput("hi"));
    expect(setupConnections.map(({ host, openedAt, end }) => [host, openedAt, end?.why ?? null])).toEqual([
      ["packages.example.com", "2026-01-02T03:04:08.000Z", "closed"],
      ["files.example.com", "2026-01-02T03:04:08.000Z", null],
      ["packages.example.com", "2026-01-02T03:04:08.500Z", "closed"],
    ]);
    expect(setupConnections[0]?.end).toEqual({ ...first.end, at: "2026-01-02T03:04:09.000Z" });
  });
});
