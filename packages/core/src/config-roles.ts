import { z } from "zod";

/** What a host of a service can be; any number of hosts can be each. */
export const roles = ["intake", "worker", "broker", "web"] as const;
export type Role = (typeof roles)[number];
export const Role = z.enum(roles);

/** Whatever this host is not, another one must be. */
export function isWhole(own: readonly Role[]): boolean {
  return roles.every((role) => own.includes(role));
}

/** Reports roles that cannot be where they are put. */
export function checkRoles(
  data: {
    readonly roles: readonly Role[];
    readonly redis_url: string | null;
    readonly shared_dir: string | null;
    readonly fleet: { readonly provider: string };
  },
  environmentOf: (key: string) => string,
  report: (key: string, message: string) => void,
): void {
  const { roles: own, fleet } = data;
  const named = (key: string): string => `${key} (${environmentOf(key)})`;
  const has = (role: Role): boolean => own.includes(role);
  if (isWhole(own)) {
    return;
  }
  if (data.redis_url === null) {
    report("roles", `roles on several hosts need a Redis that all of them reach: set ${named("redis_url")}`);
  }
  const isApart = has("worker") !== has("broker");
  if (fleet.provider === "qemu" && isApart) {
    const missing = has("worker") ? "broker" : "worker";
    report(
      "roles",
      `with the provider qemu worker and broker must be on one host, which the machines are on: add ${missing}`,
    );
  }
  if (data.shared_dir === null && (isApart || (has("web") && !has("worker")))) {
    report("roles", `these roles need a folder that they share with other hosts: set ${named("shared_dir")}`);
  }
}
