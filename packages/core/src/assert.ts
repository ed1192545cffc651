/** Fails the build when a union has a case that a switch forgets, and the process if one arrives all the same. */
export function assertNever(value: never): never {
  throw new Error(`unexpected case: ${JSON.stringify(value)}`);
}
