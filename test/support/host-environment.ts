/** How this host's npm comes to its registry: an image is built with it where none is cached yet. */
const OF_NPM = ["NODE_EXTRA_CA_CERTS", "npm_config_globalconfig", "npm_config_userconfig"];

/** What a program of ours is started with in a test beside its settings: where programs and npm's settings are, and no more. */
export function hostEnvironment(): Record<string, string> {
  const { PATH = "/usr/bin:/bin", HOME = "/" } = process.env;
  const ofNpm = OF_NPM.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { PATH, HOME, ...Object.fromEntries(ofNpm) };
}
