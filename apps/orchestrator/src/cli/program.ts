import { Command } from "commander";
import { runProcess } from "../process/processes.ts";
import type { FleetSweepFlags } from "./fleet-commands.ts";
import { imageBuild, imageLock, imageVerify } from "./image.ts";
import { receiptShow, receiptVerify } from "./receipt-commands.ts";
import { runCancel, runList, runView } from "./run-commands.ts";
import { runLocal } from "./run-local.ts";
import { serve } from "./serve.ts";
import type { Terminal } from "./terminal.ts";

/** Flags that several commands share. */
interface StateFlags {
  readonly config?: string;
  readonly state?: string;
}

/**
 * The command line: `mayfly <noun> <verb>`. Data goes to standard output, talk to standard error. Exit codes: 0 done,
 * 1 it went wrong, 2 a mistake in what was typed or set, 4 a credential is missing.
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
    .addHelpText("after", "\nSettings: docs/reference/configuration.md. Prints its addresses as one JSON line.")
    .action((flags: StateFlags) => doing(serve(terminal, flags)));

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
  withState(run.command("cancel").description("end a run and destroy its machine"))
    .argument("<run>", "its id")
    .option("--json", "print JSON")
    .action((id: string, flags: StateFlags & { json?: boolean }) => doing(runCancel(terminal, id, flags)));

  const receipt = program.command("receipt").description("receipts: the signed record of each run");
  withState(receipt.command("show").description("a run's receipt as it is stored"))
    .argument("<run>", "its id")
    .addHelpText("after", "\nNeeds no running service. To keep one: mayfly receipt show RUN > receipt.json")
    .action((id: string, flags: StateFlags) => doing(receiptShow(terminal, id, flags)));
  withState(receipt.command("verify").description("whether the service signed this receipt as it is"))
    .argument("<receipt>", "a file, or the id of a run")
    .option("--keys <folder>", "the service's public keys; else receipt-keys in the state folder")
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
    .option("--frozen", "refuse anything the lock file does not name")
    .option("--json", "print JSON")
    .action((flags: { frozen?: boolean; json?: boolean }) => doing(imageBuild(terminal, flags)));
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

  // Not for people: how the supervisor starts the parts of a service.
  program
    .command("process", { hidden: true })
    .argument("<name>")
    .action((name: Parameters<typeof runProcess>[1]) => doing(runProcess(terminal, name)));

  await program.parseAsync(argv, { from: "user" });
  return code;
}
