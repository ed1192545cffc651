import { access, constants } from "node:fs/promises";
import { isAppError } from "@mayfly/core";
import type { Image } from "@mayfly/image";
import { checkConfinement } from "../../confine/check-confinement.ts";
import { createConfine } from "../../confine/confine.ts";
import { readServiceUser } from "../../confine/service-user.ts";
import { detectAcceleration } from "../../fleet/providers/qemu/acceleration.ts";
import { fail, type Finding, ok, warn, wordsOf } from "./checklist.ts";

const MEND = "mend what the message names: mayfly serve needs the same";

/** What is tried as the user that machines are started by. */
export interface ProbeSettings {
  /** Null where none is built: then nothing is booted. */
  readonly image: Image | null;
  readonly allowEmulation: boolean;
}

export interface Probed {
  readonly confinement: Finding;
  readonly acceleration: Finding;
}

/** Runs a confined process, and boots the image's kernel for a moment where KVM is to be had. Leaves nothing. Never throws. */
export async function probeMachines({ image, allowEmulation }: ProbeSettings): Promise<Probed> {
  const confinement = await confinementFinding().catch((error: unknown) => fail(wordsOf(error), MEND));
  if (confinement.status === "fail") {
    return { confinement, acceleration: skipped("machines cannot be confined") };
  }
  if (image === null) {
    return { confinement, acceleration: skipped("there is no image to boot") };
  }
  const acceleration = await accelerationFinding(image, allowEmulation).catch((error: unknown) =>
    fail(wordsOf(error), MEND),
  );
  return { confinement, acceleration };
}

async function confinementFinding(): Promise<Finding> {
  const gaps = await checkConfinement();
  const [first, ...more] = gaps.map(({ fix }) => fix);
  return first === undefined
    ? ok("a confined process ran")
    : fail(`missing: ${gaps.map(({ missing }) => missing).join("; ")}`, first, ...more);
}

async function accelerationFinding(image: Image, allowEmulation: boolean): Promise<Finding> {
  const user = await readServiceUser();
  const confine = createConfine(user);
  const [why, fix] = await kvmWords(user.name);
  try {
    return (await detectAcceleration({ image, confine, allowEmulation })) === "kvm"
      ? ok("a machine boots with KVM")
      : warn(`machines are emulated, which is slow and for code you trust: ${why}`, fix);
  } catch (error) {
    if (isAppError(error, "ACCELERATION_MISSING")) {
      return fail(`no machine boots with KVM: ${why}`, fix, error.fix);
    }
    throw error;
  }
}

/** Why KVM would not work, and what to do about it. */
async function kvmWords(user: string): Promise<[why: string, fix: string]> {
  const isThere = await can(constants.F_OK);
  if (!isThere) {
    return [
      "there is no /dev/kvm",
      "turn virtualisation on in the firmware, or nested virtualisation at the cloud, and load kvm_intel or kvm_amd",
    ];
  }
  return (await can(constants.R_OK | constants.W_OK))
    ? [
        "/dev/kvm is there and no kernel runs with it",
        "use a host whose KVM works: a nested one may offer it and not run it",
      ]
    : [
        "the service's user may not open /dev/kvm",
        `chgrp kvm /dev/kvm && chmod 660 /dev/kvm && usermod --append --groups kvm ${user}`,
      ];
}

async function can(mode: number): Promise<boolean> {
  return access("/dev/kvm", mode).then(
    () => true,
    () => false,
  );
}

function skipped(seen: string): Finding {
  return { status: "skipped", seen, fixes: [] };
}
