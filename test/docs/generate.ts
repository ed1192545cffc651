import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { generatedFiles } from "./references.ts";

/** `npm run docs`: writes the pages of docs/reference that come from the code. */
const root = fileURLToPath(new URL("../..", import.meta.url));

for (const { path, text } of generatedFiles()) {
  writeFileSync(`${root}/${path}`, text);
  process.stdout.write(`${path}\n`);
}
