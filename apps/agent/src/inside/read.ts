// Runs as Codex's user, confined: reads one file that hostile code may have put there, and says on stdout what it found.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

type Found = { state: "present"; text: string } | { state: "withheld"; why: string };

const [path = "", bytesMaxText = ""] = process.argv.slice(-2);
process.stdout.write(JSON.stringify(read(path, Number(bytesMaxText))));

function read(path: string, bytesMax: number): Found {
  let file: number;
  try {
    // A symbolic link is refused, and a FIFO does not make us wait.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return withheld(whyNotOpened((error as NodeJS.ErrnoException).code));
  }
  try {
    return readOpen(file, bytesMax);
  } catch {
    return withheld("unreadable");
  } finally {
    closeSync(file);
  }
}

function readOpen(file: number, bytesMax: number): Found {
  const stat = fstatSync(file);
  // A second name could belong to a file that its owner would not hand out.
  if (!stat.isFile() || stat.nlink !== 1) {
    return withheld("not_a_regular_file");
  }
  if (stat.size > bytesMax) {
    return withheld("too_big");
  }
  const buffer = Buffer.alloc(bytesMax + 1);
  let size = 0;
  for (let taken = -1; taken !== 0 && size <= bytesMax; size += taken) {
    taken = readSync(file, buffer, size, buffer.length - size, null);
  }
  if (size > bytesMax) {
    return withheld("too_big");
  }
  // The CLI leaves an empty file behind when it has nothing to say.
  if (size === 0) {
    return withheld("absent");
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(buffer.subarray(0, size));
    return { state: "present", text };
  } catch {
    return withheld("not_utf8");
  }
}

function whyNotOpened(code: string | undefined): string {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "absent";
    // A symbolic link; a socket.
    case "ELOOP":
    case "ENXIO":
      return "not_a_regular_file";
    default:
      return "unreadable";
  }
}

function withheld(why: string): Found {
  return { state: "withheld", why };
}
