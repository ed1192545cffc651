/**
 * At most one step at a time for each id. A wake-up that comes meanwhile is not lost: the step is taken once more
 * after the one at work, since that one may have looked too early.
 */
export function singleFlight<Id extends string>(step: (id: Id) => Promise<void>): (id: Id) => Promise<void> {
  const busy = new Map<Id, { again: boolean }>();
  return async (id) => {
    const already = busy.get(id);
    if (already !== undefined) {
      already.again = true;
      return;
    }
    const mine = { again: true };
    busy.set(id, mine);
    let fault: { error: unknown } | null = null;
    while (mine.again) {
      mine.again = false;
      fault = await step(id).then(
        () => null,
        (error: unknown) => ({ error }),
      );
    }
    busy.delete(id);
    if (fault !== null) {
      throw fault.error;
    }
  };
}
