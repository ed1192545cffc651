import { limits } from "@mayfly/core/limits";
import { EventBatch } from "@mayfly/core/protocol";
import type { AgentEvent } from "@mayfly/core/protocol";
import { describe, expect, it } from "vitest";
import { createEventBuffer } from "./events.ts";

function note(text: string): AgentEvent {
  return { type: "note", text };
}

describe("createEventBuffer", () => {
  it("offers the same batch again until it is taken", () => {
    const buffer = createEventBuffer();
    buffer.push(note("a"));
    buffer.push(note("b"));
    expect(buffer.batch()).toEqual({ first: 0, events: [note("a"), note("b")] });
    expect(buffer.batch()?.first).toBe(0);
    buffer.taken(1);
    expect(buffer.batch()).toEqual({ first: 1, events: [note("b")] });
    buffer.taken(2);
    expect(buffer.batch()).toBeNull();
  });

  it("numbers on without gaps", () => {
    const buffer = createEventBuffer();
    buffer.push(note("a"));
    buffer.taken(1);
    buffer.push(note("b"));
    expect(buffer.batch()).toEqual({ first: 1, events: [note("b")] });
  });

  it("ignores numbers that make no sense", () => {
    const buffer = createEventBuffer();
    buffer.push(note("a"));
    for (const next of [-1, 0, 2, 1_000]) {
      buffer.taken(next);
    }
    expect(buffer.batch()).toEqual({ first: 0, events: [note("a")] });
  });

  it("keeps each batch within the protocol's bounds", () => {
    const buffer = createEventBuffer();
    // Each such character takes six in JSON.
    const line = "\u0001".repeat(limits.eventBytesMax);
    for (let index = 0; index < 30; index += 1) {
      buffer.push({ type: "codex", line });
    }
    let seen = 0;
    for (let batch = buffer.batch(); batch !== null; batch = buffer.batch()) {
      expect(EventBatch.safeParse(batch).success).toBe(true);
      expect(JSON.stringify(batch).length).toBeLessThanOrEqual(limits.eventBatchBytesMax);
      seen += batch.events.length;
      buffer.taken(batch.first + batch.events.length);
    }
    expect(seen).toBe(30);
  });

  it("drops what it cannot hold and says how much, once there is room", () => {
    const buffer = createEventBuffer();
    for (let index = 0; index < 2_005; index += 1) {
      buffer.push(note(String(index)));
    }
    buffer.taken(2_000);
    buffer.push(note("after"));
    const batch = buffer.batch();
    expect(batch?.first).toBe(2_000);
    expect(batch?.events[0]).toMatchObject({ text: expect.stringContaining("5 events were dropped") });
    expect(batch?.events[1]).toEqual(note("after"));
  });

  it("drops by size as well as by number", () => {
    const buffer = createEventBuffer();
    const line = "x".repeat(limits.eventBytesMax);
    for (let index = 0; index < 400; index += 1) {
      buffer.push({ type: "codex", line });
    }
    let bytes = 0;
    for (let batch = buffer.batch(); batch !== null; batch = buffer.batch()) {
      bytes += JSON.stringify(batch).length;
      buffer.taken(batch.first + batch.events.length);
    }
    expect(bytes).toBeLessThan(9 * 1024 * 1024);
    expect(bytes).toBeGreaterThan(7 * 1024 * 1024);
  });
});
