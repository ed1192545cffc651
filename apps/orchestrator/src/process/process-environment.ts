/**
 * The environment of a process that we start: where programs are, and which authorities this host's operator trusts beside
 * the usual ones (a file's path; GitHub Enterprise Server and Redis may have certificates of the operator's own). No secret
 * ever: an environment can be read by whoever may read a process.
 */
export function processEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const { PATH = "/usr/sbin:/usr/bin:/sbin:/bin", HOME = "/", NODE_EXTRA_CA_CERTS: authorities = "" } = env;
  return { PATH, HOME, ...(authorities === "" ? {} : { NODE_EXTRA_CA_CERTS: authorities }) };
}
