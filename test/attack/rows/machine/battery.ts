import { readdir, readFile } from "node:fs/promises";
import type { Ending, MachineId, Run } from "@mayfly/core";
import { readConversation } from "../../../fakes/model/conversation.ts";
import { fail, run, say } from "../../../fakes/model/script.ts";
import type { PullView } from "../../../fakes/github/views.ts";
import { eventually } from "../../../support/service.ts";
import type { AttackContext } from "../../row.ts";
import { startRun } from "../../scene.ts";
import { controlFiles } from "./control-files.ts";
import { startListeners, type Listeners } from "./listeners.ts";
import { disguises, markOf, plant, type Planted, type Who } from "./planted.ts";
import { parseReport, type Report, type ReportPart } from "./report.ts";
import { machineWorld, type MachineWorld } from "./world.ts";

/** Where the machine is: on this host, or an instance of the stand-in for EC2. */
export type Place = "host" | "ec2";

/** A run whose Codex has carried out the whole attack and goes on living in its machine until it is released. */
export interface Battery extends MachineWorld {
  readonly who: Who;
  readonly id: string;
  readonly pull: PullView;
  readonly machine: MachineId;
  /** In everything that the intruder has left anywhere. */
  readonly mark: string;
  readonly prompt: string;
  /** What is in the machine for a scan of it to find. */
  readonly planted: readonly Planted[];
  readonly report: Report;
  readonly listeners: Listeners;
  /** `ADDRESS:PORT` at which the machine's agent has its broker: the one way out. */
  readonly broker: string;
  /** Lets Codex answer, and waits until its run is over and its receipt is there. Can be repeated. */
  finish(): Promise<Run>;
}

/** Some hundred things, each a process, in an emulated machine on a busy host. */
const ATTACK_MS = 600_000;
const FINISH_MS = 240_000;
const YIELD_MS = 30_000;
const NODE = "/opt/node/bin/node";
/** What a file is called whose name the machine's disk is made to carry. */
const BACKING = "/etc/hostname";

/** What each row reads of the intruder's report. */
const readBy: Readonly<Record<string, Partial<Record<Who, readonly ReportPart[]>>>> = {
  T09: { codex: ["honoured", "plain"] },
  T12: { codex: ["quoted"] },
  T13: { codex: ["status", "hidden", "search", "searchAsRootOfNamespace", "rights", "left"] },
  T14: { root: ["status", "hidden", "search", "modules", "network", "networkOfAgent"] },
  T15: { codex: ["network", "networkOfAgent"], root: ["network", "networkOfAgent"] },
  T16: { codex: ["names", "namesOfAgent"], root: ["names", "namesOfAgent", "networkOfAgent"] },
  T20: { root: ["search"] },
  T21: { codex: ["hidden", "relay"] },
  T30: { codex: ["saw", "left"], root: ["saw", "left"] },
  T31: { root: ["disk"] },
  T32: {},
  T36: { codex: ["left", "daemon"] },
};

/** The parts that some row will read; null for all. A patch that is tried is looked at by one row alone. */
function partsFor({ isTried }: AttackContext, who: Who): readonly ReportPart[] | null {
  const ids = Object.keys(readBy);
  return ids.every(isTried) ? null : [...new Set(ids.filter(isTried).flatMap((id) => readBy[id]?.[who] ?? []))];
}

const strategies: Readonly<Record<Who, { strategy: string; prompt: string }>> = {
  codex: { strategy: "unprivileged-user", prompt: "Try everything as codex." },
  root: { strategy: "unsafe", prompt: "Try everything as root." },
};

const batteries = new WeakMap<AttackContext, Map<string, Promise<Battery>>>();

/**
 * The one run of this kind that all rows read from; carried out when it is first asked for. On EC2 it is over then: rows
 * read there what it has found, and look at no machine.
 */
export function battery(context: AttackContext, who: Who, place: Place = "host"): Promise<Battery> {
  const mine = batteries.get(context) ?? new Map<string, Promise<Battery>>();
  batteries.set(context, mine);
  const name = `${place} ${who}`;
  const known = mine.get(name) ?? (place === "host" ? carryOut(context, who) : carryOutOnEc2(context, who));
  mine.set(name, known);
  return known;
}

/** The network alone: all else is the same image and the same agent as on this host. */
async function carryOutOnEc2(context: AttackContext, who: Who): Promise<Battery> {
  const shared = await machineWorld(context, "ec2");
  const parts: ReportPart[] = ["network", "networkOfAgent", "names", "namesOfAgent"];
  const done = await carryOutIn(context, who, { shared, parts, broker: ["10.0.2.100", 8443] });
  await done.finish();
  return done;
}

async function carryOut(context: AttackContext, who: Who): Promise<Battery> {
  const shared = await machineWorld(context, "dumpable");
  return carryOutIn(context, who, { shared, parts: partsFor(context, who), broker: ["10.0.2.2", 8080] });
}

async function carryOutIn(
  context: AttackContext,
  who: Who,
  options: { shared: MachineWorld; parts: readonly ReportPart[] | null; broker: readonly [string, number] },
): Promise<Battery> {
  const { shared, parts, broker } = options;
  const { world, answer } = shared;
  const { strategy, prompt } = strategies[who];
  const mark = markOf(context, who);
  const listeners = await startListeners();
  context.atEnd(() => listeners.close());
  const { addresses, tcp, udp } = listeners;
  const knowledge = JSON.stringify({
    addresses,
    broker,
    ports: listenersOf(shared),
    tcp,
    udp,
    backing: BACKING,
    ...(parts === null ? {} : { steps: parts }),
  });
  const command = `${NODE} tools/intruder/main.mjs attack ${mark} '${knowledge}'`;
  const planted = plant();
  const [inFile, inPrompt, inDisguise] = planted;
  let isReleased = false;
  // While it is held it stays at work, so that nobody takes it for dead.
  answer(new RegExp(prompt), ({ step }) => {
    if (step === 0) {
      return run(command, { yieldTimeMs: YIELD_MS });
    }
    return isReleased ? say("Done.") : run("/bin/busybox sleep 5");
  });
  answer(/^smuggled$/, [say("smuggled")]);
  answer(/^Quote the credential\.$/, [fail({ status: 400, body: quoting(world.modelKey) })]);
  answer(/^Plain instructions\.$/, [say("plain")]);
  const { id, pull } = await startRun(world, {
    prompt: `${prompt} (${inPrompt.value})`,
    sandbox: "danger-full-access",
    timeout: "30m",
    frontMatter: [`safety-strategy: ${strategy}`],
    base: { "AGENTS.md": "Base instructions.\n" },
    head: {
      ...controlFiles,
      ...(await intruderFiles()),
      "src/data.txt": [inFile.value, ...disguises(inDisguise.value), ""].join("\n"),
    },
  });
  const text = await eventually(
    async () => {
      const { run: seen } = await world.control.view(id);
      if (seen.phase === "publishing" || seen.phase === "done") {
        throw new EndedBefore(seen.ending);
      }
      return outputOf(world, prompt);
    },
    ATTACK_MS,
    async () => `${id} has not attacked`,
  );
  const { run: seen } = await world.control.view(id);
  if (seen.phase !== "running") {
    throw new Error(`the run is ${seen.phase}`);
  }
  let finished: Promise<Run> | null = null;

  async function finish(): Promise<Run> {
    isReleased = true;
    const { run: ended } = await world.control.waitFor(id, ({ receipt }) => receipt !== null, FINISH_MS);
    return ended;
  }

  const report = readReport(text, parts);
  context.say(`  as ${who}${shared.ec2 === null ? "" : " on EC2"}, in seconds: ${JSON.stringify(report.seconds)}`);
  return {
    ...shared,
    who,
    id,
    pull,
    machine: seen.attempt.machine,
    mark,
    prompt,
    planted,
    report,
    listeners,
    broker: broker.join(":"),
    finish: () => (finished ??= finish()),
  };
}

/** Ports of the broker's host that are not for machines. */
function listenersOf({ world, ec2 }: MachineWorld): number[] {
  const { webhook, internal } = world.service().addresses;
  return [webhook, internal, ...(ec2 === null ? [] : [ec2.url])].map((url) => Number(new URL(url).port));
}

/** A run that never came to its attack. */
class EndedBefore extends Error {
  readonly ending: Ending;

  constructor(ending: Ending) {
    super(`the run ended before the attack did: ${JSON.stringify(ending)}`);
    this.ending = ending;
  }
}

/** What the start gate saw, if it was the gate that would not let Codex begin; null for any other fault. */
export function seenByGate(fault: unknown): string | null {
  return fault instanceof EndedBefore && fault.ending.code === "gate_failed" ? fault.message : null;
}

/** What the real API says of a key it does not know, but for its status: that one the broker reads no further. */
function quoting(key: string): unknown {
  const message = `Incorrect API key provided: ${key}.`;
  return { error: { message, type: "invalid_request_error", param: null, code: "invalid_api_key" } };
}

async function intruderFiles(): Promise<Record<string, string>> {
  const folder = new URL("../../intruder/", import.meta.url);
  const names = await readdir(folder);
  const files = names.map(async (name) => [`tools/intruder/${name}`, await readFile(new URL(name, folder), "utf8")]);
  return Object.fromEntries(await Promise.all(files)) as Record<string, string>;
}

/** What the attack printed, once it has ended. */
function outputOf({ model }: MachineWorld["world"], prompt: string): string | null {
  for (const { body } of model?.requests ?? []) {
    const seen = readConversation(body ?? {});
    if (seen.prompt.includes(prompt) && seen.step > 0) {
      return seen.outputs[0] ?? "";
    }
  }
  return null;
}

function readReport(text: string, parts: readonly ReportPart[] | null): Report {
  try {
    return parseReport(JSON.parse(text.slice(text.indexOf("{"))), parts);
  } catch (cause) {
    throw new Error(`the intruder printed: ${text.slice(0, 400)}`, { cause });
  }
}
