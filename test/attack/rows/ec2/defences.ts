import type { Defence } from "../../defences.ts";

const EC2 = "apps/orchestrator/src/fleet/providers/ec2";
const ENROLMENT = "packages/core/src/enrolment.ts";
const AUTHORITY = "apps/orchestrator/src/broker/enrolment/authority.ts";

/** Defences that there are only where machines are instances on EC2. */
export const ec2Defences: readonly Defence[] = [
  {
    row: "T15",
    name: "the refusal of launch templates with a metadata service",
    file: `${EC2}/template-slips.ts`,
    find: 'endpoint !== "disabled",',
    replace: 'endpoint === "",',
  },
  {
    row: "T15",
    name: "the look at the address from which a certificate is shown",
    file: ENROLMENT,
    find: 'return machine.enrolled.address === shown.address ? "good" : "ADDRESS_WRONG";',
    replace: 'return "good";',
  },
  {
    row: "T15",
    name: "the look at who signed a certificate",
    file: AUTHORITY,
    find: "if (!isSignedWith(certificate, publicKey)) {",
    replace: "if (!isSignedWith(certificate, publicKey) && now < 0) {",
  },
  {
    row: "T15",
    name: "the end of a machine for which a second key is shown",
    file: "packages/core/src/machine.ts",
    find: 'return isSame ? machine : destroying(machine, "enrolled_twice", now);',
    replace: 'return isSame || now > 0 ? machine : destroying(machine, "enrolled_twice", now);',
  },
  {
    row: "T16",
    name: "the look for the resolver of a network on EC2",
    file: `${EC2}/network-looks.ts`,
    find: "if (support?.Value !== false) {",
    replace: "if (support?.Value === undefined) {",
  },
  {
    row: "T27",
    name: "the end of an ended machine's certificate at the door",
    file: ENROLMENT,
    find: 'machine === null || machine.phase === "destroying" || machine.phase === "gone" || now >= machine.deadline',
    replace: "machine === null || now >= machine.deadline",
  },
  {
    row: "T27",
    name: "the sweep by tags on EC2",
    file: `${EC2}/sweep.ts`,
    find: "return now >= deadline + GRACE_MS;",
    replace: "return now < 0;",
  },
  {
    row: "T27",
    name: "terminating an instance before it is called gone",
    file: `${EC2}/destroy.ts`,
    find: "if (instanceId === null) {",
    replace: 'if (instanceId !== "") {',
  },
  {
    row: "T28",
    name: "the token by which EC2 knows a launch again",
    file: `${EC2}/launch-request.ts`,
    find: "update(JSON.stringify(request))",
    replace: "update(JSON.stringify(request) + performance.now())",
  },
  {
    row: "T40",
    name: "the look at what an AMI was made from",
    file: `${EC2}/template-slips.ts`,
    find: "if (digest === wanted) {",
    replace: "if (digest !== null) {",
  },
];
