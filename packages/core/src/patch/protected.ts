import { matchesAnyFolded, matchesGlob } from "../glob.ts";
import { foldPath } from "./path.ts";

/** Whatever lies below a folder of one of these names, wherever it is: what runs by itself, or tells machines what to do. */
const FOLDERS = [
  ".github",
  ".codex",
  ".claude",
  ".cursor",
  ".agents",
  ".vscode",
  ".idea",
  ".devcontainer",
  ".husky",
  ".circleci",
  ".buildkite",
  ".githooks",
  ".yarn",
  ".cargo",
];

/** Files of these names, wherever they are; `*` stands for any characters. */
const NAMES = [
  // Instructions for machines, and owners.
  "agents.md agents.override.md claude.md gemini.md .cursorrules .mcp.json codeowners",
  // What builds and checks.
  "action.yml action.yaml dockerfile* *.dockerfile containerfile* docker-compose* compose.yml compose.yaml makefile",
  "gnumakefile *.mk justfile taskfile.yml taskfile.yaml jenkinsfile .gitlab-ci.yml .travis.yml azure-pipelines.yml",
  "tox.ini noxfile.py conftest.py build.rs cmakelists.txt .pre-commit* .envrc .bazelrc workspace module.bazel",
  // What git reads.
  ".gitattributes .gitmodules .gitconfig .lfsconfig .mailmap",
  // What says which code is fetched.
  ".npmrc .yarnrc* bunfig.toml .pnpmfile.cjs pnpm-workspace.yaml package.json package-lock.json npm-shrinkwrap.json",
  "yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.json deno.lock pyproject.toml setup.py setup.cfg requirements*.txt",
  "pipfile pipfile.lock poetry.lock uv.lock pdm.lock cargo.toml cargo.lock go.mod go.sum go.work go.work.sum gemfile",
  "gemfile.lock *.gemspec composer.json composer.lock pom.xml build.gradle* settings.gradle* gradle.properties",
  "gradlew gradlew.bat gradle-wrapper.* mvnw mvnw.cmd mix.exs mix.lock *.csproj *.fsproj directory.build.* nuget.config",
  "packages.lock.json pubspec.yaml pubspec.lock package.swift package.resolved flake.nix flake.lock",
].flatMap((line) => line.split(" "));

/** Shell scripts below folders of these names run in builds. */
const SCRIPT_FOLDERS = ["ci", ".ci"];

/** True for workflows, which no setting gives away: GitHub runs them with the repository's secrets. */
export function isWorkflow(path: string): boolean {
  return `${foldPath(path)}/`.startsWith(".github/workflows/");
}

/**
 * True if a patch may not touch this path.
 *
 * @param allowed What the operator gives free: patterns of whole paths, in which `*` stands for any characters but `/`.
 */
export function isProtected(path: string, allowed: readonly string[]): boolean {
  if (isWorkflow(path)) {
    return true;
  }
  if (allowed.some((pattern) => matchesGlob(pattern, path))) {
    return false;
  }
  const parts = foldPath(path).split("/");
  const folders = parts.slice(0, -1);
  const name = parts.at(-1) ?? "";
  const isScript = name.endsWith(".sh") && folders.some((folder) => SCRIPT_FOLDERS.includes(folder));
  return isScript || parts.some((part) => FOLDERS.includes(part)) || matchesAnyFolded(NAMES, name);
}
