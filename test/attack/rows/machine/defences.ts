import type { Defence } from "../../defences.ts";

const machineCommand = "apps/orchestrator/src/fleet/providers/qemu/machine-command.ts";

/** Defences that only a machine shows to be missing: each costs its row a boot, and most of them the whole attack. */
export const machineDefences: readonly Defence[] = [
  {
    row: "T09",
    name: "telling the CLI to read no instructions of the repository",
    file: "apps/agent/src/invocation.ts",
    find: '["project_doc_max_bytes", "0"]',
    replace: '["project_doc_max_bytes", "32768"]',
  },
  {
    row: "T15",
    name: "a network of its own for each machine",
    file: machineCommand,
    find: 'network: "none"',
    replace: 'network: "host"',
  },
  {
    row: "T20",
    name: "looking whose capability it is",
    file: "apps/orchestrator/src/broker/authorise.ts",
    find: "if (found === null || !matches(header, found.attempt.capabilityHash)) {",
    replace: "if (found === null) {",
  },
  {
    row: "T21",
    name: "refusing encoded calls at the relay",
    file: "apps/agent/src/relay.ts",
    find: 'incoming.headers["content-encoding"] !== undefined',
    replace: "false",
  },
  {
    row: "T31",
    name: "saying which format the disk has",
    file: machineCommand,
    find: "format=raw,if=none",
    replace: "if=none",
  },
  {
    row: "T32",
    name: "a filter for the emulator's system calls",
    file: machineCommand,
    find: '["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],',
    replace: "",
  },
  {
    row: "T33",
    name: "a limit for the console's file",
    file: machineCommand,
    find: "fileBytes: shape.debugDump ? addressSpaceMib * MIB : limits.consoleBytesMax",
    replace: "fileBytes: addressSpaceMib * MIB",
  },
  {
    row: "T36",
    name: "telling everybody when Codex was root",
    file: "packages/core/src/render/comment.ts",
    find: 'ranAsRoot(run) ? ["", asRootText] : []',
    replace: "[]",
  },
];
