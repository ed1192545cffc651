import { CreateFleetCommand } from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createProgram } from "../../../apps/orchestrator/src/cli/program.ts";
import { readPlan, requestOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/launch-request.ts";
import { createTestTerminal } from "../../support/test-terminal.ts";
import { type Ec2World, fleet, openEc2World } from "./ec2-world.ts";

/** Deadlines beside which the day of the test does not matter. */
const PAST = Date.parse("2001-01-01T00:00:00.000Z");
const FUTURE = Date.parse("2199-01-01T00:00:00.000Z");

let world: Ec2World;
let mayTerminate: boolean;

beforeEach(async () => {
  mayTerminate = true;
  world = await openEc2World({ authorize: ({ action }) => action !== "TerminateInstances" || mayTerminate });
  vi.stubEnv("AWS_ACCESS_KEY_ID", world.fake.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", world.fake.credentials.secretAccessKey);
  for (const deadline of [PAST, FUTURE]) {
    const launch = { ...world.intend(1), deadline };
    await world.ec2.send(new CreateFleetCommand(requestOf(launch, readPlan(launch.plan))));
  }
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await world.close();
});

async function sweep(...more: string[]): Promise<{ code: number; out: string; err: string }> {
  const { region, url } = world.fake;
  const { terminal, said } = createTestTerminal();
  const where = more.includes("--name") ? [] : ["--name", fleet, "--region", region];
  const code = await createProgram(terminal, ["fleet", "sweep", ...where, "--endpoint", url, ...more]);
  return { code, ...said() };
}

describe("mayfly fleet sweep", () => {
  it("removes what is overdue and says what it was", async () => {
    const [overdue] = world.fake.state.instances();
    const { code, out, err } = await sweep();
    expect(code).toBe(0);
    expect(out).toBe(`removed  ${overdue?.id}\n`);
    expect(err).toBe("6 things of this fleet, 1 overdue\n");
    expect(world.fake.state.left()).toEqual({ instances: 1, volumes: 1, interfaces: 1 });
  });

  it("only says what is overdue when it is asked for no more", async () => {
    const [overdue] = world.fake.state.instances();
    const { code, out } = await sweep("--dry-run");
    expect([code, out]).toEqual([0, `overdue  ${overdue?.id}\n`]);
    expect(world.fake.state.left().instances).toBe(2);
  });

  it("ends with 1 when something could not be removed", async () => {
    mayTerminate = false;
    const [overdue] = world.fake.state.instances();
    const { code, out } = await sweep("--json");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      overdue: [overdue?.id],
      removed: [],
      left: [{ id: overdue?.id, why: expect.stringContaining("UnauthorizedOperation") as unknown }],
    });
  });

  it("asks which fleet when neither flags nor settings name one", async () => {
    await expect(sweep("--name", fleet)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});
