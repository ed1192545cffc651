import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const rules = resolve(import.meta.dirname, "../../infra/systemd/aws/metadata.nft");
/** Network namespaces and rules are root's to make. Where builds are made this has to run. */
const canTry = process.getuid?.() === 0 || process.env["CI"] === "true";
const MS_MAX = 60_000;
/** Of the ranges that subordinate uids are given from. */
const SUBORDINATE = "100000";

/**
 * What the script prints, in a network of its own, where a listener answers at both addresses of the metadata service
 * and at another one. `asks USER` prints what that user gets from each.
 */
function inNamespace(script: string): { status: number | null; out: string } {
  const setUp = `
    set -eu
    ip link set lo up
    ip address add 169.254.169.254/32 dev lo
    ip address add fd00:ec2::254/128 dev lo nodad
    ip address add 10.1.2.3/32 dev lo
    socat -T5 TCP4-LISTEN:80,fork,reuseaddr SYSTEM:'echo answered' 2>/dev/null &
    socat -T5 TCP6-LISTEN:80,fork,reuseaddr,ipv6only=1 SYSTEM:'echo answered' 2>/dev/null &
    for tries in $(seq 200); do
      if ss -Hltn4 sport = 80 | grep -q . && ss -Hltn6 sport = 80 | grep -q .; then break; fi
      sleep 0.05
    done
    asks() {
      for at in TCP4:169.254.169.254:80 'TCP6:[fd00:ec2::254]:80' TCP4:10.1.2.3:80; do
        setpriv --reuid "$1" --regid nogroup --clear-groups socat -u "$at,connect-timeout=2" - 2>/dev/null || echo refused
      done | tr '\\n' ' '
      echo
    }
  `;
  // The namespace's first process ends all others with it.
  const { status, stdout } = spawnSync(
    "unshare",
    ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", setUp + script],
    { encoding: "utf8", timeout: MS_MAX },
  );
  return { status, out: stdout };
}

describe.skipIf(!canTry)("the metadata service of an AWS host", () => {
  it.each(["root", "mayfly", "mayfly-signer"])("answers %s", (user) => {
    const { out } = inNamespace(`nft -f ${rules}; asks ${user}`);
    expect(out).toBe("answered answered answered \n");
  });

  it.each(["mayfly-broker", "nobody", SUBORDINATE])("does not answer %s, whom others answer", (user) => {
    const { out } = inNamespace(`nft -f ${rules}; asks ${user}`);
    expect(out).toBe("refused refused answered \n");
  });

  it("answers everybody where the rules are not loaded", () => {
    expect(inNamespace("asks mayfly-broker").out).toBe("answered answered answered \n");
  });

  it("does not answer who is root in a user namespace of the broker's", () => {
    const asBroker = "setpriv --reuid mayfly-broker --regid nogroup --clear-groups unshare --user --map-root-user";
    const asks = "socat -u TCP4:169.254.169.254:80,connect-timeout=2 - 2>/dev/null || echo refused as $(id -u)";
    const { out } = inNamespace(`nft -f ${rules}; ${asBroker} sh -c '${asks}'`);
    expect(out).toBe("refused as 0\n");
  });

  it("is closed by rules that can be loaded again, and are there once", () => {
    const { status, out } = inNamespace(`nft -f ${rules}; nft -f ${rules}; nft list tables; asks mayfly-broker`);
    expect({ status, out }).toEqual({ status: 0, out: "table inet mayfly_metadata\nrefused refused answered \n" });
  });

  it("stays closed when rules cannot be loaded, since a user is missing", async () => {
    const bent = (await readFile(rules, "utf8")).replace('"mayfly-signer"', '"mayfly-stranger"');
    const loads = `nft -f - 2>/dev/null <<'RULES' || echo "not loaded"\n${bent}\nRULES\n`;
    const { out } = inNamespace(`nft -f ${rules}\n${loads}asks mayfly-broker`);
    expect(out).toBe("not loaded\nrefused refused answered \n");
  });
});

describe("the rules of the metadata service", () => {
  it("are loaded before anything of ours is started, and nothing is started without them", async () => {
    const unit = await readFile(join(rules, "../mayfly.service.d/aws.conf"), "utf8");
    const before = [...unit.matchAll(/^ExecStartPre=(.*)$/gm)].map(([, command]) => command);
    expect(before[0]).toBe("+/usr/sbin/nft -f /opt/mayfly/infra/systemd/aws/metadata.nft");
  });
});
