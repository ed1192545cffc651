/** Runs tasks of one key one after another, and those of different keys side by side. */
export interface KeyedQueue<Key> {
  /** Resolves or rejects as the task does. A task that fails does not stop the next. */
  run<T>(key: Key, task: () => Promise<T>): Promise<T>;
}

export function createKeyedQueue<Key>(): KeyedQueue<Key> {
  const tails = new Map<Key, Promise<unknown>>();

  return {
    async run(key, task) {
      const before = tails.get(key) ?? Promise.resolve();
      const mine = before.then(task, task);
      tails.set(key, mine);
      try {
        return await mine;
      } finally {
        if (tails.get(key) === mine) {
          tails.delete(key);
        }
      }
    },
  };
}
