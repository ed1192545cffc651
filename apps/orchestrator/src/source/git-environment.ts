/** What a git of ours may be told from outside itself: this and nothing else. */
export interface GitSettings {
  /** The one protocol it may speak to another host; null for none. */
  readonly protocol: "https" | "http" | null;
  /** Whether a credential waits on file descriptor CREDENTIAL_FD. */
  readonly credential: boolean;
}

/** Where the credential helper finds what it hands to git. Not 0 to 2, which git uses itself. */
export const CREDENTIAL_FD = 3;

/**
 * Constant text, and the only shell in this folder: git runs its helpers by one. The descriptor is a stream that gives
 * its bytes once; `store` and `erase` are asked of every helper and answered by nothing.
 */
const CREDENTIAL_HELPER = `!f() { test "$1" = get && cat <&${CREDENTIAL_FD}; }; f`;

/**
 * The whole environment of a hardened git. Configuration comes by environment alone, which outranks every file, so that
 * a planted file can name no program: system and personal files are not read at all.
 */
export function gitEnvironment({ protocol, credential }: GitSettings): Record<string, string> {
  const settings: [string, string][] = [...CONSTANT_SETTINGS];
  if (protocol !== null) {
    settings.push([`protocol.${protocol}.allow`, "always"]);
  }
  if (credential) {
    settings.push(["credential.helper", CREDENTIAL_HELPER]);
  }
  const environment: Record<string, string> = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    // No such folder: no ~/.netrc for curl, no attributes or ignore files of a person.
    HOME: "/nonexistent",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_LAZY_FETCH: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_LITERAL_PATHSPECS: "1",
    GIT_CONFIG_COUNT: String(settings.length),
  };
  settings.forEach(([key, value], index) => {
    environment[`GIT_CONFIG_KEY_${index}`] = key;
    environment[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  return environment;
}

const CONSTANT_SETTINGS: readonly [string, string][] = [
  // Nothing is executed on behalf of a repository.
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.untrackedCache", "false"],
  ["core.alternateRefsCommand", "true"],
  ["core.sshCommand", "false"],
  ["core.gitProxy", ""],
  ["core.askPass", ""],
  ["core.pager", "cat"],
  ["core.editor", "false"],
  ["core.attributesFile", "/dev/null"],
  ["core.excludesFile", "/dev/null"],
  // An empty value forgets the helpers that were named before.
  ["credential.helper", ""],
  ["safe.bareRepository", "explicit"],
  // The folders are ours or named by the person who asks; ownership says nothing more. No file of theirs is obeyed.
  ["safe.directory", "*"],
  // Nothing is fetched but what was asked for, from where it was asked.
  ["protocol.allow", "never"],
  ["protocol.version", "2"],
  ["http.followRedirects", "false"],
  ["transfer.credentialsInUrl", "die"],
  ["transfer.bundleURI", "false"],
  ["fetch.uriProtocols", ""],
  ["fetch.recurseSubmodules", "false"],
  ["submodule.recurse", "false"],
  // What arrives is checked, kept as one pack, and nothing runs afterwards.
  ["transfer.fsckObjects", "true"],
  ["fetch.fsckObjects", "true"],
  ["fetch.unpackLimit", "1"],
  ["fetch.writeCommitGraph", "false"],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
  // Less than 1 kB/s for a minute is a server that does not want to answer.
  ["http.lowSpeedLimit", "1000"],
  ["http.lowSpeedTime", "60"],
  // Memory: larger files are streamed, and the address space is limited, so packs are mapped in small windows.
  ["core.bigFileThreshold", "32m"],
  ["core.packedGitWindowSize", "32m"],
  ["core.packedGitLimit", "256m"],
  ["pack.windowMemory", "128m"],
  ["pack.threads", "2"],
  ["index.threads", "1"],
];
