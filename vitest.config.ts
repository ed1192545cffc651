import { defineConfig } from "vitest/config";

/** Tests that boot machines or drive the whole service: two files at a time, since two emulated machines fill a small host. */
const machineTests = ["**/*.vm.test.ts", "test/{e2e,fault}/**/*.test.ts", "test/attack/{host,machine}.test.ts"];
const everywhere = ["**/node_modules/**", "**/dist/**"];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: [...everywhere, ...machineTests],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "machine",
          include: machineTests,
          exclude: everywhere,
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
