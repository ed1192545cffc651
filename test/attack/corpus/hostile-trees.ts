import { addCommit, addRawCommit, git } from "../../../apps/orchestrator/src/source/testing/repository.ts";

/** What becomes of a shape: our fetch refuses it, the machine's git cannot unpack it, or it lies there and does nothing. */
type Fate = "refused" | "stuck" | "inert";

/** A repository made to run something in whoever handles it; the shape of a published hole, with a trap for its load. */
export interface Shape {
  readonly what: string;
  readonly fate: readonly Fate[];
  /** Stores it on top of `base`, returns the commit. */
  commit(repository: string, base: string): Promise<string>;
}

const any: readonly Fate[] = ["refused", "stuck", "inert"];

/** @param trap A command that would leave a trace. */
export function hostileTrees(trap: string): Shape[] {
  const files = (what: string, content: Parameters<typeof addCommit>[1]): Shape => ({
    what,
    fate: ["inert"],
    commit: (repository, base) => addCommit(repository, content, [base]),
  });
  return [
    files("names like options and commands", {
      "--upload-pack=sentinel": "1",
      "$(touch sentinel)": "2",
      "`touch sentinel`": "3",
      "-c": "4",
      "new\nline": "5",
    }),
    files("attributes that name filters and drivers", {
      ".gitattributes": "* filter=lfs diff=trap merge=trap working-tree-encoding=UTF-16\n* export-subst ident\n",
      ".lfsconfig": `[lfs]\n\turl = ${trap}\n`,
      "big.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    }),
    files("an embedded bare repository", {
      "bare/HEAD": "ref: refs/heads/main\n",
      "bare/config": `[core]\n\tbare = true\n\tfsmonitor = ${trap}\n\thooksPath = hooks\n\tsshCommand = ${trap}\n`,
      "bare/objects/.keep": "",
      "bare/refs/.keep": "",
      "bare/hooks/post-checkout": { mode: "100755", content: `#!/bin/sh\n${trap}\n` },
      "bare/objects/info/alternates": "/etc\n",
    }),
    files("hooks, aliases and configuration of every tool", {
      ".githooks/pre-commit": { mode: "100755", content: `#!/bin/sh\n${trap}\n` },
      ".husky/post-checkout": { mode: "100755", content: `#!/bin/sh\n${trap}\n` },
      ".gitconfig": `[core]\n\tpager = ${trap}\n\tfsmonitor = ${trap}\n[alias]\n\tstatus = !${trap}\n`,
      config: `[include]\n\tpath = .gitconfig\n`,
    }),
    ...[
      "url = -u./sentinel",
      `url = ext::sh -c ${trap.replaceAll(" ", "% ")}`,
      "url = file:///etc",
      "url = https://example.com/x.git\n\tpath = ../../x",
      "url = https://example.com/x.git\n\tpath = -x",
      'url = https://example.com/x.git\n\tpath = "x\r"',
      `url = https://example.com/x.git\n\tpath = x\n\tupdate = !${trap}`,
    ].map((setting) => submodule(setting)),
    linked(".gitmodules", ["refused"]),
    linked(".gitattributes", any),
    {
      what: "a name of a megabyte",
      fate: ["stuck", "refused"],
      commit: async (repository, base) => {
        const id = await git(repository, ["hash-object", "-w", "--stdin"], "x");
        return addRawCommit(repository, [{ mode: "100644", name: "n".repeat(1_000_000), id }], base);
      },
    },
  ];
}

function submodule(setting: string): Shape {
  return {
    what: `a submodule with ${JSON.stringify(setting)}`,
    fate: any,
    async commit(repository, base) {
      const id = await git(repository, ["hash-object", "-w", "--stdin"], `[submodule "x"]\n\t${setting}\n`);
      const entries = [
        { mode: "100644", name: ".gitmodules", id },
        { mode: "160000", name: "x", id: base },
      ];
      return addRawCommit(repository, entries, base);
    },
  };
}

function linked(name: string, fate: readonly Fate[]): Shape {
  return {
    what: `${name} as a link`,
    fate,
    async commit(repository, base) {
      const id = await git(repository, ["hash-object", "-w", "--stdin"], "../../../etc/passwd");
      return addRawCommit(repository, [{ mode: "120000", name, id }], base);
    },
  };
}
