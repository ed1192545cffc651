/**
 * Shell text that turns the machine off, first in the ordinary way and then by the kernel's emergency switch. Fixed; it
 * needs root. Process 1 does the same as soon as the agent has ended, so this is for when the agent cannot end.
 */
export const POWER_OFF_SCRIPT = "/bin/busybox poweroff -f; /bin/busybox sleep 5; echo b > /proc/sysrq-trigger";
