/** An answer that EC2 gives instead of a result: its code, its words and its HTTP status. */
export class Ec2Refusal extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = "Ec2Refusal";
    this.code = code;
    this.status = status;
  }
}

/** Codes that mean the caller is wrong, whatever the state of the cloud: a good client never meets one. */
const clientFaults: ReadonlySet<string> = new Set([
  "AuthFailure",
  "IdempotentParameterMismatch",
  "InvalidAction",
  "InvalidFilter",
  "InvalidFleetConfig",
  "InvalidNextToken",
  "InvalidParameterCombination",
  "InvalidParameterValue",
  "MalformedQueryString",
  "MissingParameter",
  "NoSuchVersion",
  "NotModelled",
  "RequestExpired",
  "SignatureDoesNotMatch",
  "UnknownParameter",
]);

export function isClientFault(refusal: Ec2Refusal): boolean {
  return clientFaults.has(refusal.code);
}

export function badValue(path: string, value: string, why: string): Ec2Refusal {
  return new Ec2Refusal(
    "InvalidParameterValue",
    `Value (${value.slice(0, 100)}) for parameter ${path} is invalid. ${why}`,
  );
}

export function badCombination(message: string): Ec2Refusal {
  return new Ec2Refusal("InvalidParameterCombination", message);
}

/**
 * Refuses members that EC2 has and this stand-in does not act on: taking them silently would let a test pass that shows
 * nothing. `where` names the structure.
 */
export function onlyModelled(where: string, given: object | undefined, modelled: readonly string[]): void {
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value !== undefined && !modelled.includes(name)) {
      throw new Ec2Refusal("NotModelled", `The stand-in does not model ${where}.${name}.`, 501);
    }
  }
}
