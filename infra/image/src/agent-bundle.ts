export { bundleAgent } from "@mayfly/agent/bundle";
