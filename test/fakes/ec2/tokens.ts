import { badValue, Ec2Refusal } from "./refusal.ts";
import type { World } from "./world.ts";

/**
 * Carries out an idempotent call: the same client token with the same parameters gets the first answer again, with other
 * parameters a refusal. A refused call is not remembered.
 */
export function once<T extends object>(
  world: World,
  action: string,
  input: { ClientToken?: string | undefined },
  perform: () => T,
): T {
  const { ClientToken: token, ...rest } = input;
  if (token === undefined) {
    return perform();
  }
  // 1 to 64 ASCII characters (EC2 API Reference, "Ensuring idempotency").
  if (!/^[\x20-\x7e]{1,64}$/.test(token)) {
    throw badValue("ClientToken", token, "It must be 1 to 64 ASCII characters.");
  }
  const key = `${action} ${token}`;
  const wanted = canonical(rest);
  const known = world.answered.get(key);
  if (known !== undefined && known.input !== wanted) {
    const why = "The specified client token was used before with other parameters.";
    throw new Ec2Refusal("IdempotentParameterMismatch", why);
  }
  const answer = (known?.answer as T | undefined) ?? perform();
  world.answered.set(key, { input: wanted, answer });
  return answer;
}

/** Equal for equal inputs, in whatever order their members came. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, held: unknown) =>
    held !== null && typeof held === "object" && !Array.isArray(held)
      ? Object.fromEntries(Object.entries(held).sort(([left], [right]) => (left < right ? -1 : 1)))
      : held,
  );
}
