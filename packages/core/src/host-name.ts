/** The exact name of a host as a certificate has it: lower case, at least two labels, no trailing dot, and no address. */
const HOST = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names in other scripts come in their ASCII form, `xn--…`. */
export function isHostName(text: string): boolean {
  return HOST.test(text);
}
