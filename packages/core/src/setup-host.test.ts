import { describe, expect, it } from "vitest";
import { parseSetupHost } from "./setup-host.ts";

describe("a host of policy.setup_hosts", () => {
  it.each([
    ["packages.example.com", { host: "packages.example.com", at: null }],
    ["xn--bcher-kva.example.com", { host: "xn--bcher-kva.example.com", at: null }],
    ["a.example=192.0.2.7", { host: "a.example", at: { address: "192.0.2.7", port: 443 } }],
    ["a.example=127.0.0.1:8443", { host: "a.example", at: { address: "127.0.0.1", port: 8443 } }],
  ])("%s says its name and where it is", (text, host) => {
    expect(parseSetupHost(text)).toEqual(host);
  });

  it.each([
    "",
    "localhost",
    "example",
    "*.example.com",
    "Packages.example.com",
    "packages.example.com.",
    "packages..example.com",
    "-a.example.com",
    "a-.example.com",
    "192.0.2.7",
    "[2001:db8::1]",
    "https://packages.example.com",
    "packages.example.com:443",
    "packages.example.com/path",
    "bücher.example.com",
    "a.example=",
    "a.example=b.example",
    "a.example=192.0.2.256",
    "a.example=192.0.2.7:0",
    "a.example=192.0.2.7:65536",
    "a.example=192.0.2.7=1",
    `${"a".repeat(64)}.example.com`,
    `${"a.".repeat(130)}com`,
  ])("%j is none", (text) => {
    expect(parseSetupHost(text)).toBeNull();
  });
});
