import { readFile } from "node:fs/promises";
import { verifyImage } from "@mayfly/image";
import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { battery, type Battery } from "./battery.ts";
import { type EmulatorFacts, emulatorFacts, NAMESPACES, statusOf } from "./emulator-facts.ts";
import { expectOnlyPlanted, imageOf, OTHER_MARK, scanOf } from "./memory.ts";

/** Every device of a machine, as QEMU's arguments make them, and no other. */
const devices = ["virtio-blk-device", "virtio-rng-device", "virtio-net-device"];
/** What QEMU may hold open: its console, its image, memory, sockets, and the kernel's event handles. */
const HARMLESS = /^(socket|pipe|anon_inode):|^\/dev\/(null|kvm|urandom|random)$|^\/memfd:/;

export const emulator: Row = {
  id: "T32",
  attack: "Whoever breaks out of the emulator finds a process to work with: its rights, its namespaces, its files.",
  needs: "machine",
  control: "the same looking sees this very process with its rights, its namespaces and its files",
  async run(context) {
    const tally = createTally();
    const here = await battery(context, "codex");
    const [facts, own] = [await emulatorFacts(here), await statusOf(process.pid)];
    const seen = facts.status;
    tally.expect(!seen("Uid").split(/\s+/).includes("0"), `uid ${seen("Uid")}`);
    tally.expect(new Set(seen("Uid").split(/\s+/)).size === 1, `several uids: ${seen("Uid")}`);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      tally.equal(seen(set), "0000000000000000", set);
    }
    tally.equal(seen("NoNewPrivs"), "1", "NoNewPrivs");
    tally.equal(seen("Seccomp"), "2", "Seccomp");
    // Where KVM works it keeps the group that may use it, and no other.
    const kvm = /^kvm:[^:]*:(\d+):/m.exec(await readFile("/etc/group", "utf8"))?.[1];
    const groups = seen("Groups")
      .split(/\s+/)
      .filter((gid) => gid !== "" && gid !== kvm);
    tally.equal(groups, [], "groups");
    tally.control(own("Seccomp") === "0" && own("Uid") !== seen("Uid"), "this process looks the same");
    tally.equal(facts.shared, [], "namespaces that it shares with the host");
    tally.control(facts.namespaces === NAMESPACES.length, `${facts.namespaces} namespaces were looked at`);
    expectFewFiles(tally, here, facts);
    expectKnownDevices(tally, facts);
    return tally.verdict("a stranger without rights, in namespaces of its own, with four files");
  },
};

export const disguisedDisk: Row = {
  id: "T31",
  attack: "Root in the machine writes the header of another disk format, whose content would be a file of the host.",
  needs: "machine",
  control: "the intruder is root and has tried every disk there is",
  async run(context) {
    const tally = createTally();
    const here = await battery(context, "root");
    const { disk } = here.report;
    tally.control(Object.keys(disk).includes("/dev/vda"), `it tried ${Object.keys(disk).join(", ")}`);
    for (const [device, outcome] of Object.entries(disk)) {
      tally.expect(outcome.startsWith("E"), `writing to ${device}: ${outcome}`);
    }
    const facts = await emulatorFacts(here);
    const drives = facts.argv.filter((word) => word.includes("file="));
    tally.equal(drives, ["id=root,file=/image/root.erofs,format=raw,if=none,readonly=on"], "the drives");
    expectFewFiles(tally, here, facts);
    await expectSameImage(tally, here);
    return tally.verdict("no disk can be written, and none is of a format that could be mistaken");
  },
};

export const residue: Row = {
  id: "T30",
  attack: "One run leaves its marks wherever it can write; the next looks for them everywhere, as root.",
  needs: "machine",
  control: "the first did write its marks, and the scan finds what the second run's own machine holds",
  undefended:
    "stands on what is not there: no place that two machines can write. One is not to be had by leaving something out; the image alone would need the drive's flag, the folder's binding and the file's owner to be others, all at once.",
  async run(context) {
    const tally = createTally();
    const first = await battery(context, "codex");
    const second = await battery(context, "root");
    tally.control(first.report.left.written.length > 0, "the first run wrote no mark");
    tally.equal(first.report.saw, [], "marks that the first run saw");
    tally.equal(second.report.saw, [], "marks that the second run saw");
    const scan = await scanOf(context, second);
    tally.equal(
      scan.inMemory.filter(({ name }) => name === OTHER_MARK),
      [],
      "marks of the first run in the second machine's memory",
    );
    expectOnlyPlanted(tally, scan, second);
    await expectSameImage(tally, first);
    return tally.verdict("no mark was seen, and every byte of the image is what it was");
  },
};

async function expectSameImage(tally: Tally, { world }: Battery): Promise<void> {
  const folder = imageOf(world);
  const verified = await verifyImage(folder);
  tally.expect(verified.ok, () => `the image has changed: ${JSON.stringify(verified)}`);
  tally.equal(verified.ok ? verified.image.digest : null, world.service().addresses.image, "the image's digest");
}

/** Regular files that it holds open: the image to read, its console to write, and nothing else of the host. */
function expectFewFiles(tally: Tally, { machine }: Battery, { files }: EmulatorFacts): void {
  tally.control(files.length > 5, `it holds ${files.length} files`);
  for (const { target, isWritable } of files) {
    const isImage = target.endsWith("/root.erofs") && !isWritable;
    const isConsole = target.endsWith(`/machines/${machine}/console.log`);
    tally.expect(
      target === "" || HARMLESS.test(target) || isImage || isConsole,
      `it holds ${target}${isWritable ? " to write" : ""} open`,
    );
  }
}

function expectKnownDevices(tally: Tally, { argv }: EmulatorFacts): void {
  const made = argv.flatMap((word, index) => (argv[index - 1] === "-device" ? [word.split(",")[0] ?? ""] : []));
  tally.equal(made, devices, "the machine's devices");
  for (const needed of ["-nodefaults", "-no-user-config", "-sandbox"]) {
    tally.expect(argv.includes(needed), `${needed} is missing`);
  }
  tally.equal(argv[argv.indexOf("-M") + 1], "microvm,pit=off,pic=off", "the machine's kind");
  tally.equal(argv[argv.indexOf("-netdev") + 1], "user,id=net,ipv6=off", "the machine's network");
}
