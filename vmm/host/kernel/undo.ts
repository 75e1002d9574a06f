/**
 * Runs `work`; where it refuses (or fails), the steps it noted are undone, the last first, and nothing of it stays.
 * What fails half-way in a kernel must leave no object, pin or mapping behind.
 */
export function transact<T>(work: (undo: (step: () => void) => void) => T): T {
  const steps: (() => void)[] = [];
  try {
    return work((step) => steps.push(step));
  } catch (cause) {
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) step();
    throw cause;
  }
}
