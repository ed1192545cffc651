import { describe, expect, it } from "vitest";
import { neededParameters, someParameters } from "./parameters.fixture.ts";
import { readParameters } from "./parameters.ts";

describe("parameters", () => {
  it("have a default unless only the operator can know them", () => {
    expect(someParameters()).toMatchObject({ name: "mayfly", replicas: 2, brokerPort: 8443, machinesMax: 20 });
  });

  it("name each that is missing", () => {
    const read = readParameters({});
    expect(read).toEqual({ ok: false, errors: Object.keys(neededParameters).map((name) => `${name}: is needed`) });
  });

  it.each([
    ["nmae: there is no such parameter", { nmae: "mayfly" }],
    ["name: must be up to 20 lower case letters, digits and hyphens, a letter first", { name: "May fly" }],
    ["region: must be a region such as eu-central-1", { region: "Frankfurt" }],
    ["machineImageId: must be the id of an image, such as ami-0123456789abcdef0", { machineImageId: "latest" }],
    ["machineImageDigest: must be sha256: and 64 hexadecimal digits", { machineImageDigest: "sha256:ab" }],
    ["machineCidr: must be an IPv4 network such as 10.64.0.0/20", { machineCidr: "10.96.0.1/20" }],
    ["machineCidr: must be a /20", { machineCidr: "10.96.0.0/16" }],
    ["machineCidr: must be another network than serviceCidr", { machineCidr: "10.64.0.0/20" }],
    ["machineInstanceTypes.0: must be an instance type such as m7i.large", { machineInstanceTypes: ["large"] }],
    [
      "machineInstanceTypes: 4 offerings in 1 zones, and 5 are needed",
      { machineZones: 1, machineInstanceTypes: ["m7i.large", "m7a.large", "m6i.large", "m6a.large"] },
    ],
    [
      "machinesMax: 1 zones have 507 addresses",
      { machineZones: 1, machinesMax: 600, machineInstanceTypes: ["a.a", "b.b", "c.c", "d.d", "e.e"] },
    ],
    ["certificateArn: must be a certificate of eu-west-1", { region: "eu-west-1" }],
    ["webhookSources.0: must be an IPv4 network such as 10.64.0.0/20", { webhookSources: ["github.com"] }],
  ])("refuse with: %s", (error, changes) => {
    expect(readParameters({ ...neededParameters, ...changes })).toEqual({ ok: false, errors: [error] });
  });

  it("refuse what is no object", () => {
    expect(readParameters(null).ok).toBe(false);
  });
});
