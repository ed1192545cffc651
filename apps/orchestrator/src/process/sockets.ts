/** Where the processes of a service find each other, below its state folder. */
export const sockets = {
  /** The broker takes the service's commands. Its folder is the broker's; the service's group may pass. */
  broker: (stateDir: string) => `${stateDir}/broker/broker.sock`,
  /** The signer takes the service's questions. The folder lets in nobody but these two. */
  signer: (stateDir: string) => `${stateDir}/signer-door/signer.sock`,
  /** The service gives the broker a run for a machine that asks. */
  dispatch: (stateDir: string) => `${stateDir}/dispatch.sock`,
} as const;
