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
    row: "T12",
    name: "words of our own for the model's errors",
    file: "apps/orchestrator/src/broker/upstream-error.ts",
    find: "{ message: words, type, param, code }",
    replace: "{ message, type, param, code }",
  },
  {
    row: "T13",
    name: "giving up new privileges, which the start gate looks for",
    file: "apps/agent/src/confinement.ts",
    find: '"--no-new-privs",',
    replace: "",
  },
  {
    row: "T13",
    name: "keeping /run to root",
    file: "infra/image/guest/init",
    find: "nr_inodes=20k,mode=0755 run",
    replace: "nr_inodes=20k,mode=0777 run",
  },
  {
    row: "T14",
    name: "sealing the kernel against modules",
    file: "infra/image/guest/init",
    find: "echo 1 > kernel/modules_disabled",
    replace: "",
  },
  {
    row: "T15",
    name: "a network of its own for each machine",
    file: machineCommand,
    find: 'network: "none"',
    replace: 'network: "host"',
  },
  {
    row: "T16",
    name: "a network that is empty where none is asked for",
    file: "apps/orchestrator/src/confine/confine.ts",
    find: 'network === "none" ? ["--unshare-net"] : []',
    replace: "[]",
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
    row: "T27",
    name: "destroying a machine before it is called gone",
    file: "apps/orchestrator/src/fleet/providers/qemu/destroy.ts",
    find: "  const giveUp = performance.now() + GONE_MS;\n",
    replace:
      '  if (uid !== null) {\n    return { at: deps.clock.now(), checks: [{ what: "nothing", absent: true }] };\n  }\n  const giveUp = performance.now() + GONE_MS;\n',
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
    row: "T35",
    name: "a limit for Codex's processes",
    file: "apps/agent/src/cgroup.ts",
    find: "const PIDS_MAX = 512;",
    replace: "const PIDS_MAX = 1_000_000;",
  },
  {
    row: "T36",
    name: "telling everybody when Codex was root",
    file: "packages/core/src/render/comment.ts",
    find: 'ranAsRoot(run) ? ["", asRootText] : []',
    replace: "[]",
  },
];
