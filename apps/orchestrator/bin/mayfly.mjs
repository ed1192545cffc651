#!/usr/bin/env node
// `npx mayfly`: the command line, set up and run like `npm run mayfly`, whatever Node started this.
process.argv.splice(2, 0, "mayfly");
await import("../../../infra/setup/run.mjs");
