// Stands in for the agent in the image's own tests: prints what it finds, one JSON line per question, and ends. With
// mayfly.probe=hang among the kernel's parameters it does not end by itself.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

const asCodex = ["--reuid=1001", "--regid=1001", "--clear-groups", "--no-new-privs", "--bounding-set=-all"];

function tell(question, answer) {
  process.stdout.write(`probe ${JSON.stringify({ question, answer })}\n`);
}

function run(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  } catch (error) {
    return `failed: ${String(error.stderr ?? error.message).trim()}`;
  }
}

function codex(...command) {
  return run("setpriv", ...asCodex, "--", ...command);
}

function read(path) {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    return `failed: ${error.code}`;
  }
}

function collect(items, answer) {
  return Object.fromEntries(items.map((item) => [item, answer(item)]));
}

function owner(path) {
  const { uid, gid, mode } = statSync(path);
  return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
}

function isThere(program) {
  return !run("sh", "-c", 'command -v "$1"', "sh", program).startsWith("failed");
}

function probe() {
  tell("uptime", read("/proc/uptime"));
  tell("codex id", codex("id"));
  tell("account", run("grep", "^codex:", "/etc/passwd", "/etc/shadow"));
  tell("set-id files", run("find", "/", "-xdev", "-perm", "/6000"));
  tell(
    "unwanted programs",
    ["apt", "apt-get", "cron", "doas", "python3", "ssh", "sshd", "sudo", "systemctl"].filter(isThere),
  );
  tell("codex version", codex("/opt/codex/bin/codex", "--version"));
  tell("codex files", run("find", "/opt/codex", "-type", "f").split("\n").toSorted());
  tell("user namespace", codex("unshare", "-Urn", "id", "-u"));
  const sandbox = ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"];
  tell("bwrap", codex("/opt/codex/codex-resources/bwrap", ...sandbox, "true"));
  tell("controllers", read("/sys/fs/cgroup/cgroup.subtree_control"));
  tell("processes seen by codex", codex("ps", "-o", "comm").split("\n").slice(1));
  tell("process 1 as codex", codex("cat", "/proc/1/cmdline"));
  tell(
    "owners",
    collect(["/work", "/home/codex", "/home/codex/tmp", "/opt/mayfly", "/opt/mayfly/agent.mjs", "/tmp"], owner),
  );
  tell("work is writable", codex("sh", "-c", "echo yes > /work/x && cat /work/x"));
  tell("agent is writable", codex("touch", "/opt/mayfly/agent.mjs"));
  const kernel = ["modules_disabled", "yama/ptrace_scope", "kptr_restrict", "dmesg_restrict", "perf_event_paranoid"];
  kernel.push("unprivileged_bpf_disabled", "kexec_load_disabled", "core_pattern");
  const sysctls = [...kernel.map((name) => `kernel/${name}`), "fs/suid_dumpable", "vm/unprivileged_userfaultfd"];
  tell(
    "sysctls",
    collect(sysctls, (name) => read(`/proc/sys/${name}`)),
  );
  tell("mounts", read("/proc/mounts").split("\n"));
  tell(
    "addresses",
    [...run("ip", "-4", "addr").matchAll(/inet (\S+)/g)].map(([, address]) => address),
  );
  tell(
    "gateways",
    read("/proc/net/route")
      .split("\n")
      .slice(1)
      .map((line) => line.split("\t")[2]),
  );
  tell("resolv.conf", read("/etc/resolv.conf"));
  tell("hostname", read("/proc/sys/kernel/hostname"));
  tell("environment", process.env);
}

if (read("/proc/cmdline").includes("mayfly.probe=hang")) {
  setInterval(() => {}, 60_000);
} else {
  probe();
}
