/** Who may run as which subordinate uids: offsets into the service user's range. Two at a time never share one. */
export const uidOffsets = {
  /** Fetching source: one for each fetch that runs at a time. */
  source: { first: 0, count: 256 },
  /** Boots that only ask what this host can do. */
  probe: { first: 256, count: 256 },
  /** Machines: the rest of the range. Wide, since services of one user with different state folders share it. */
  machines: { first: 1024 },
} as const;

/** The smallest usable range: enough above `machines.first` for every machine of a host. */
export const SUBORDINATE_IDS_MIN = 4096;
