import { taskSchema } from "@mayfly/core";
import { Command, Option } from "commander";
import { runProcess } from "../process/processes.ts";
import { doctor, type DoctorFlags } from "./doctor/doctor.ts";
import type { FleetSweepFlags } from "./fleet-commands.ts";
import type { ImagePublishFlags } from "./image-publish.ts";
import { type FleetPinsFlags, fleetPins } from "./fleet-pins.ts";
import type { ImageDiskFlags } from "./image-disk.ts";
import { imageBuild, imageLock, imageVerify } from "./image.ts";
import { type ImagePruneFlags, imagePrune } from "./image-prune.ts";
import { receiptShow, receiptVerify } from "./receipt-commands.ts";
import { runCancel, runList, runRetry, runStart, runView } from "./run-commands.ts";
import { runLocal } from "./run-local.ts";
import { serve } from "./serve.ts";
import { taskCheck } from "./task-check.ts";
import { taskExplain, type TaskExplainFlags } from "./task-explain.ts";
import { readyTasks, taskInit } from "./task-init.ts";
import type { Terminal } from "./terminal.ts";
import type { VerifyEc2Flags } from "./verify-ec2.ts";

/** Flags that several commands share. */
interface StateFlags {
  readonly config?: string;
  readonly state?: string;
}

/**
 * The command line: `mayfly <noun> <verb>`. Data goes to standard output, talk to standard error. Exit codes: 0 done,
 * 1 it went wrong, 2 a mistake in what was typed or set, 3 a check of the doctor failed, 4 a credential is missing.
 *
 * @returns The exit code. Throws what commands throw, and CommanderError after usage was shown.
 */
export async function createProgram(terminal: Terminal, argv: readonly string[]): Promise<number> {
  let code = 0;
  const doing = (work: Promise<number>) => work.then((exit) => void (code = exit));
  const program = new Command("mayfly")
    .description("Runs OpenAI Codex on pull requests, each run on a virtual machine that exists for that run alone.")
    .exitOverride()
    .configureOutput({ writeOut: terminal.stdout, writeErr: terminal.stderr })
    .showHelpAfterError("(mayfly --help lists the commands)");
  const withState = (command: Command) =>
    command
      .option("--config <file>", "settings file (YAML); the environment counts over it")
      .option("--state <folder>", "state folder; else MAYFLY_STATE_DIR or the default");

  withState(program.command("serve").description("take webhooks and run Codex on labelled pull requests"))
    .option("--roles <names>", "what this host is: intake, worker, broker, web, with commas; else MAYFLY_ROLES or all")
    .addHelpText(
      "after",
      "\nSettings: docs/reference/configuration.md. Several hosts: docs/operations/roles.md.\nPrints its addresses as one JSON line.",
    )
    .action((flags: StateFlags & { roles?: string }) => doing(serve(terminal, flags)));

  withState(program.command("doctor").description("say what is wrong with this host and its settings, and the fix"))
    .option("--roles <names>", "what this host is, as for serve; else MAYFLY_ROLES or all")
    .option("--json", "print one JSON document instead")
    .addHelpText(
      "after",
      "\nLooks at Node, the settings, folders, Redis, the GitHub App, machines and the model's endpoint. Changes nothing but one\nsmall key in Redis, which it removes, and spends no money: safe while a service is at work. Run it as whoever starts\nmayfly serve. Ends with 0 when no check failed, with 3 when one did, with 2 when it could not be asked.",
    )
    .action((flags: DoctorFlags) => doing(doctor(terminal, flags)));

  const run = program.command("run").description("runs: one task on one commit each").exitOverride();
  run
    .command("local")
    .description("run Codex on a local folder in a disposable machine; prints its answer and its patch")
    .argument("[path]", "the folder", ".")
    .requiredOption("--prompt <text>", "what Codex shall do")
    .option("--model <name>", "the model; else MAYFLY_MODEL or the default")
    .option("--effort <level>", "the model's reasoning effort")
    .option("--sandbox <mode>", "read-only, workspace-write or danger-full-access", "workspace-write")
    .option(
      "--safety-strategy <name>",
      "unprivileged-user, drop-sudo, read-only, or unsafe where settings allow it",
      "unprivileged-user",
    )
    .option("--timeout <time>", "how long Codex may take, such as 90s or 30m", "30m")
    .option("--json", "print one JSON document instead")
    .addHelpText(
      "after",
      "\nNeeds OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint). The key never enters the machine.\nWithout KVM it needs MAYFLY_ALLOW_EMULATION=true, which is for code you trust.",
    )
    .action((path: string, flags: Parameters<typeof runLocal>[2]) => doing(runLocal(terminal, path, flags)));
  withState(run.command("list").description("the newest runs of the service on this host"))
    .option("--json", "print JSON")
    .action((flags: StateFlags & { json?: boolean }) => doing(runList(terminal, flags)));
  withState(run.command("view").description("one run: its steps, its receipt, what Codex did"))
    .argument("<run>", "its id")
    .option("--json", "print JSON")
    .action((id: string, flags: StateFlags & { json?: boolean }) => doing(runView(terminal, id, flags)));
  withState(run.command("start").description("start a task on a pull request, as the operator"))
    .requiredOption("--pr <address>", "the pull request's address, or OWNER/NAME#NUMBER")
    .requiredOption("--task <label>", "the task, by its label")
    .option("--instructions <text>", "what is asked for beyond the task, up to 2,000 characters")
    .option("--key <key>", "given again it starts no second run; else one is made up")
    .option("--json", "print one JSON document instead")
    .addHelpText(
      "after",
      "\nThe task file, the operator's ceiling and every cap hold as for a label; nobody's role on GitHub is asked for, and the\nrun says that the operator started it. Prints the run's id. Ends with 1 when none was started or it was refused.",
    )
    .action((flags: Parameters<typeof runStart>[1]) => doing(runStart(terminal, flags)));
  withState(run.command("retry").description("have a run that has ended again, on the same commit, as the operator"))
    .argument("<run>", "its id")
    .option("--json", "print one JSON document instead")
    .addHelpText(
      "after",
      "\nFor a commit that is still the head. Given again it starts no second run: what came of it can be had again in its turn.\nPrints the new run's id. Ends with 1 when none was started or it was refused.",
    )
    .action((id: string, flags: StateFlags & { json?: boolean }) => doing(runRetry(terminal, id, flags)));
  withState(run.command("cancel").description("end a run and destroy its machine"))
    .argument("<run>", "its id")
    .option("--json", "print JSON")
    .action((id: string, flags: StateFlags & { json?: boolean }) => doing(runCancel(terminal, id, flags)));

  const task = program.command("task").description("task files: what a label stands for").exitOverride();
  task
    .command("check")
    .description("read task files as a run would, and name every mistake with its line and column")
    .argument("<files...>", "the files, such as .github/codex/labels/review.md")
    .option("--config <file>", "the service's settings (YAML): name also what they and MAYFLY_ variables do not allow")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nOptions: docs/reference/tasks.md. Needs neither the service nor the network. Knows the operator's limits\nonly with --config. Ends with 1 when a file has a mistake.",
    )
    .action((files: string[], flags: { json?: boolean; config?: string }) => doing(taskCheck(terminal, files, flags)));
  task
    .command("explain")
    .description("what a run of a task would be: its options and where they come from, what is refused, its prompt")
    .argument("<file>", "the task file")
    .option("--label <name>", "the label; else the file's name without .md")
    .option("--config <file>", "the service's settings (YAML); else MAYFLY_CONFIG; the environment counts over it")
    .option("--pr <address>", "show the prompt for this pull request: its address, or OWNER/NAME#NUMBER")
    .option("--fork", "for a made-up pull request from a fork")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nRuns nothing. Without --pr it asks nobody, and the prompt is for a pull request that is made up, in a repository\nwithout AGENTS.md. With it, GitHub is asked with your token in GITHUB_TOKEN or GH_TOKEN, which private repositories\nneed; nothing is written there. Ends with 1 when a run would be refused.",
    )
    .action((file: string, flags: TaskExplainFlags) => doing(taskExplain(terminal, file, flags)));
  task
    .command("init")
    .description("copy ready tasks into a repository, and say what will happen and what to do next")
    .argument("[folder]", "the repository's root", ".")
    .addOption(new Option("--task <names...>", "which of them; all if none is named").choices(readyTasks))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nWrites .github/codex/labels/<task>.md. A file that is there is left as it is. Asks nobody, and commits nothing.",
    )
    .action((folder: string, flags: { task?: string[]; json?: boolean }) => doing(taskInit(terminal, folder, flags)));
  task
    .command("schema")
    .description("print the JSON Schema of a task file's options, for editors and other programs")
    .action(() => terminal.stdout(`${JSON.stringify(taskSchema, null, 2)}\n`));

  const receipt = program.command("receipt").description("receipts: the signed record of each run");
  withState(receipt.command("show").description("a run's receipt as it is stored"))
    .argument("<run>", "its id")
    .addHelpText("after", "\nNeeds no running service. To keep one: mayfly receipt show RUN > receipt.json")
    .action((id: string, flags: StateFlags) => doing(receiptShow(terminal, id, flags)));
  withState(receipt.command("verify").description("whether the service signed this receipt as it is"))
    .argument("<receipt>", "a file, or the id of a run")
    .option("--keys <folder>", "the service's public keys; else receipt-keys in the shared folder")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nNeeds neither the service nor the network. Ends with 0 only for a good receipt, with 1 for any other.",
    )
    .action((name: string, flags: StateFlags & { keys?: string; json?: boolean }) =>
      doing(receiptVerify(terminal, name, flags)),
    );

  const image = program.command("image").description("the machine image");
  image
    .command("build")
    .description("build the image unless it is there")
    .addOption(new Option("--for <place>", "where machines are").choices(["qemu", "ec2"]).default("qemu"))
    .option("--broker <addresses>", "for EC2: where machines find the broker, such as 10.0.1.10:8443,10.0.2.10:8443")
    .option("--pins <pins>", "for EC2: the broker's pins, as mayfly fleet pins prints them")
    .option("--out <file>", "for EC2: write the disk there; else it stays in the cache")
    .option("--frozen", "refuse anything the lock file does not name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nFor EC2 it prints the digest for fleet.ec2.image_digest, the disk's bytes and its file.")
    .action((flags: ImageDiskFlags & { for: "qemu" | "ec2" }) => doing(imageBuild(terminal, flags)));
  image
    .command("verify")
    .description("hash every byte of the image and compare it with its digest")
    .option("--json", "print JSON")
    .action((flags: { json?: boolean }) => doing(imageVerify(terminal, flags)));
  image
    .command("lock")
    .description("write the archive's current package versions to the lock file")
    .option("--json", "print JSON")
    .action((flags: { json?: boolean }) => doing(imageLock(terminal, flags)));

  image
    .command("prune")
    .description("remove images, disks for EC2 and layers from the cache, but the newest by last use")
    .option("--keep <number>", "how many of each kind stay", "3")
    .option("--dry-run", "only say what would go")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nWhat a running service or command of this host uses stays however old it is. What goes is built again when it is asked for.",
    )
    .action((flags: ImagePruneFlags) => doing(imagePrune(terminal, flags)));

  image
    .command("publish")
    .description("make an AMI of a disk for EC2; the same disk is the same AMI")
    .argument("<file>", "the disk")
    .option("--config <file>", "settings file (YAML); the environment counts over it")
    .option("--region <region>", "the AWS region; else fleet.ec2.region")
    .option(
      "--name <name>",
      "whose image it is: the tag `mayfly:image`, and the beginning of its name; else fleet.ec2.name",
    )
    .option("--kms-key <arn>", "the key that the snapshot is encrypted with; else the account's own one for EBS")
    .option("--endpoint <url>", "EC2's address; else fleet.ec2.endpoint, or EC2's public one")
    .option("--ebs-endpoint <url>", "the EBS direct API's address; else its public one")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nPrints the AMI, its snapshot and the digest for fleet.ec2.image_digest. Stopped half-way nothing is registered, and\nthe same command goes on where it ended.",
    )
    .action(async (file: string, flags: ImagePublishFlags) => {
      // Only here, as for the fleet: it brings the AWS SDK.
      const { imagePublish } = await import("./image-publish.ts");
      await doing(imagePublish(terminal, file, flags));
    });

  const fleet = program.command("fleet").description("machines on EC2").exitOverride();
  fleet
    .command("sweep")
    .description("remove machines, volumes and network interfaces that outlived their deadline")
    .option("--config <file>", "settings file (YAML); the environment counts over it")
    .option("--name <fleet>", "the fleet's name; else fleet.ec2.name")
    .option("--region <region>", "its AWS region; else fleet.ec2.region")
    .option("--endpoint <url>", "EC2's address; else fleet.ec2.endpoint, or EC2's public one")
    .option("--dry-run", "only say what is overdue")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nGoes by EC2's tags alone: needs neither the service nor its store. Run it by the clock, under a role of its own.\nEnds with 1 when something could not be removed.",
    )
    .action(async (flags: FleetSweepFlags) => {
      // Only here: it brings the AWS SDK, which no other command needs.
      const { fleetSweep } = await import("./fleet-commands.ts");
      await doing(fleetSweep(terminal, flags));
    });

  withState(fleet.command("pins").description("print the pins of the broker's keys, which an image for EC2 is given"))
    .option("--json", "print JSON")
    .addHelpText("after", "\nMakes the keys where there are none. Needs no running service.")
    .action((flags: FleetPinsFlags) => doing(fleetPins(terminal, flags)));

  withState(
    program.command("verify-ec2").description("look at the AWS account, then live through one real small machine"),
  )
    .option(
      "--broker <addresses>",
      "where machines may go, such as 10.0.1.10:8443,10.0.2.10:8443; else any few addresses",
    )
    .option("--dry-run", "only look, and ask EC2 what it would allow")
    .option("--json", "print one JSON document instead")
    .addHelpText(
      "after",
      "\nLaunches one on-demand machine in the fleet NAME-verify and destroys it. Needs neither GitHub nor a model's key. Run it on\na host of the broker while no service is running: it opens the broker's door itself. Ends with 1 when a check failed.",
    )
    .action(async (flags: VerifyEc2Flags) => {
      const { verifyEc2 } = await import("./verify-ec2.ts");
      await doing(verifyEc2(terminal, flags));
    });

  // Not for people: how the supervisor starts the parts of a service.
  program
    .command("process", { hidden: true })
    .argument("<name>")
    .action((name: Parameters<typeof runProcess>[1]) => doing(runProcess(terminal, name)));

  await program.parseAsync(argv, { from: "user" });
  return code;
}
