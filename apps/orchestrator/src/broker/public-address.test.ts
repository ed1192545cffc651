import { describe, expect, it } from "vitest";
import { isPublicAddress, resolvePublic } from "./public-address.ts";

describe("an address that a name of outside may lead to", () => {
  it.each(["1.1.1.1", "9.255.255.255", "11.0.0.1", "172.15.0.1", "172.32.0.1", "223.255.255.255", "2606:4700::1111"])(
    "%s is one",
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  it.each([
    ["this network", "0.0.0.0"],
    ["a network of a company", "10.1.2.3"],
    ["a provider's own", "100.64.0.1"],
    ["this host", "127.0.0.1"],
    ["the cloud's metadata service", "169.254.169.254"],
    ["a network of a company", "172.16.0.1"],
    ["a network of a company", "172.31.255.255"],
    ["a network at home", "192.168.1.1"],
    ["documentation", "192.0.2.1"],
    ["measurement", "198.18.0.1"],
    ["everybody who listens", "224.0.0.1"],
    ["everybody", "255.255.255.255"],
    ["this host", "::1"],
    ["none", "::"],
    ["this host in another form", "::ffff:127.0.0.1"],
    ["the metadata service in another form", "::ffff:a9fe:a9fe"],
    ["a company through a translator", "64:ff9b::a00:1"],
    ["a link", "fe80::1"],
    ["a network of a company", "fd00::1"],
    ["the metadata service", "fd00:ec2::254"],
    ["a tunnel to a company", "2002:a00:1::"],
    ["a tunnel", "2001::1"],
    ["documentation", "2001:db8::1"],
    ["everybody who listens", "ff02::1"],
  ])("not %s: %s", (_what, address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it("is none for a name that leads to this host", async () => {
    expect(await resolvePublic("localhost")).toBeNull();
  });
});
