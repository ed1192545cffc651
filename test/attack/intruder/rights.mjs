// Ways to more rights than one has, and whether they work.
import { readFileSync } from "node:fs";
import { run } from "./common.mjs";

/** Names of the ways that worked, and of the controls they all rest on. */
export function rights() {
  const worked = Object.entries(ways).filter(([, [command, args]]) => run(command, args).status === 0);
  const setuid = run("find", ["/", "-xdev", "-type", "f", "-perm", "/6000"]).stdout ?? "";
  return {
    tried: Object.keys(ways).length,
    worked: worked.map(([name]) => name),
    controls: {
      namespaces: run(...asRoot("true")).status,
      perl: run("perl", ["-e", "exit(syscall(39) > 0 ? 0 : 1)"]).status,
      busybox: run("/bin/busybox", ["true"]).status,
      find: run("find", ["/bin/busybox", "-type", "f"]).status,
    },
    setuid: setuid.split("\n").filter((line) => line !== ""),
    fileCapabilities: fileCapabilities(),
  };
}

export function status() {
  const text = readFileSync("/proc/self/status", "utf8");
  const field = (name) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1]?.trim() ?? "";
  const names = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"];
  return Object.fromEntries(names.map((name) => [name, field(name)]));
}

const asRoot = (script) => [
  "unshare",
  ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "bash", "-c", script],
];
const ways = {
  sudo: ["sudo", ["-n", "id"]],
  su: ["su", ["-c", "id"]],
  doas: ["doas", ["-n", "id"]],
  pkexec: ["pkexec", ["id"]],
  newuidmap: ["newuidmap", [String(process.pid), "0", "0", "1"]],
  docker: ["docker", ["ps"]],
  systemctl: ["systemctl", ["status"]],
  crontab: ["crontab", ["-l"]],
  at: ["at", ["now"]],
  loginctl: ["loginctl", ["enable-linger"]],
  // setuid, setgid, setgroups and capset on this processor.
  setuid: ["perl", ["-e", "exit(syscall(105, 0) == 0 ? 0 : 1)"]],
  setgid: ["perl", ["-e", "exit(syscall(106, 0) == 0 ? 0 : 1)"]],
  setgroups: ["perl", ["-e", "exit(syscall(116, 0, 0) == 0 ? 0 : 1)"]],
  capset: [
    "perl",
    ["-e", 'my $h = pack("LL", 0x20080522, 0); my $d = pack("L6", (~0) x 6); exit(syscall(126, $h, $d) == 0 ? 0 : 1)'],
  ],
  chroot: ["chroot", ["/", "id"]],
  dmesg: ["dmesg", []],
  reboot: ["/bin/busybox", ["poweroff", "-f"]],
  insmod: ["/bin/busybox", ["insmod", "/modules/virtio_net.ko"]],
  enterInit: ["/bin/busybox", ["nsenter", "-t", "1", "-n", "-m", "true"]],
  enterChannelNetwork: ["/bin/busybox", ["nsenter", "--net=/proc/1/ns/net", "true"]],
  disk: asRoot("mount -t erofs /dev/vda /mnt || cat /dev/vda > /dev/null"),
  shadow: asRoot("cat /etc/shadow /root/source.pack"),
  remountProc: asRoot('mount -t proc proc /mnt && [ "$(ls -d /mnt/[0-9]* | wc -l)" -gt 8 ]'),
  bindAgent: asRoot("echo '// changed' >> /opt/mayfly/agent.mjs"),
  remountRoot: asRoot("mount -o remount,rw / && touch /opt/mayfly/agent.mjs"),
  sysctl: asRoot("echo 0 > /proc/sys/kernel/yama/ptrace_scope"),
  device: asRoot("mknod /tmp/mem c 1 1 && cat /tmp/mem > /dev/null"),
  owner: asRoot("cp /bin/busybox /tmp/root && chown 12345 /tmp/root"),
  cgroup: asRoot("echo 0 > /sys/fs/cgroup/cgroup.procs"),
  freeMemory: asRoot("echo max > /sys/fs/cgroup/codex/memory.max"),
  reachChannel: asRoot("exec 3<>/dev/tcp/10.0.2.2/8080"),
  enterRelayNetwork: ["/bin/busybox", ["nsenter", "--net=/run/mayfly/codex.net", "true"]],
};

/** What the kernel says of a module, which is none: EPERM where nobody may load any. 175 is init_module on this processor. */
export function modules() {
  const errors = { 1: "EPERM", 8: "ENOEXEC" };
  const script = 'my $m = "no module"; my $p = ""; exit(syscall(175, $m, length $m, $p) == 0 ? 0 : $!)';
  const { status: code } = run("perl", ["-e", script]);
  return errors[code] ?? `exit code ${code}`;
}

/** Programs of the image with capabilities of their own. 192 is lgetxattr on this processor. */
function fileCapabilities() {
  const script = `
    use File::Find;
    find({ no_chdir => 1, wanted => sub {
      return if -l $_ || !-f _;
      my ($path, $name, $room) = ($_, "security.capability", " " x 64);
      print "$path\\n" if syscall(192, $path, $name, $room, 64) > 0;
    } }, grep { -d } "/usr/bin", "/usr/sbin", "/usr/local", "/opt", "/usr/libexec");`;
  const { stdout, status: code } = run("perl", ["-e", script]);
  return code === 0 ? (stdout ?? "").split("\n").filter((line) => line !== "") : ["the search failed"];
}
