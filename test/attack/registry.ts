import type { Row } from "./row.ts";
import { joinParts } from "./row-parts.ts";
import { machineRows } from "./rows/machine/rows.ts";
import { hiddenText } from "./rows/t02-hidden-text.ts";
import { whoMayStart } from "./rows/t05-who-may-start.ts";
import { forks } from "./rows/t06-forks.ts";
import { terminalCommands } from "./rows/t22-terminal-commands.ts";
import { liveMarkdown } from "./rows/t23-live-markdown.ts";
import { commandsInNames } from "./rows/t03-commands-in-names.ts";
import { disguisedSecrets } from "./rows/t26-disguised-secrets.ts";
import { plantedInstructions } from "./rows/t01-planted-instructions.ts";
import { headMoves } from "./rows/t04-head-moves.ts";
import { answersThatStartRuns } from "./rows/t25-answers-that-start-runs.ts";
import { publishedTwice } from "./rows/t29-published-twice.ts";
import { missingPolicy } from "./rows/t39-missing-policy.ts";
import { tokens } from "./rows/t38-tokens.ts";
import { supplyChain } from "./rows/t40-supply-chain.ts";
import { setUpsWayOut } from "./rows/t41-set-ups-way-out.ts";
import { smuggledRequests } from "./rows/t18-smuggled-requests.ts";
import { modelFeatures } from "./rows/t17-model-features.ts";
import { forgedWebhooks } from "./rows/t07-forged-webhooks.ts";
import { hostileFrames } from "./rows/t34-hostile-frames.ts";
import { keysBesideMachines, keysInProcesses } from "./rows/t37-keys-in-processes.ts";
import { denialOfWallet } from "./rows/t19-denial-of-wallet.ts";
import { answersOfGit, namesAndPlaces } from "./rows/t10-t11-answers.ts";
import { gitAsProgram, waysOutOfTheFolder } from "./rows/t10-t11-hostile-source.ts";
import { lostReplies } from "./rows/t28-lost-replies.ts";
import { storms } from "./rows/t08-storms.ts";
import { maliciousPatches } from "./rows/t24-malicious-patches.ts";
import { ec2Rows } from "./rows/ec2/rows.ts";
import { untriedRows } from "./rows/untried.ts";

/** Every part of every row: an attack may be tried in several ways, of which some need less than others. */
export const parts: readonly Row[] = [
  hiddenText,
  whoMayStart,
  forks,
  terminalCommands,
  liveMarkdown,
  commandsInNames,
  disguisedSecrets,
  plantedInstructions,
  headMoves,
  answersThatStartRuns,
  publishedTwice,
  missingPolicy,
  tokens,
  supplyChain,
  setUpsWayOut,
  smuggledRequests,
  modelFeatures,
  forgedWebhooks,
  hostileFrames,
  keysInProcesses,
  keysBesideMachines,
  denialOfWallet,
  gitAsProgram,
  answersOfGit,
  waysOutOfTheFolder,
  namesAndPlaces,
  lostReplies,
  storms,
  maliciousPatches,
  ...ec2Rows,
  ...machineRows,
];

const ROWS = 41;
/** All of them, in order. */
export const rows: readonly Row[] = Array.from({ length: ROWS }, (_, index) => {
  const id = `T${String(index + 1).padStart(2, "0")}`;
  return joinParts([...parts, ...untriedRows].filter((part) => part.id === id));
});
