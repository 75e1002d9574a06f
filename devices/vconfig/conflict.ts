import type { FleetDevice } from './fleet.ts';
import { type ByteRange, merged, overlaps } from './ranges.ts';

/** Why a capability finds no place: the fewest devices whose bytes, with what is placed already, leave none. */
export interface Conflict {
  readonly key: string;
  readonly length: number;
  readonly area: ByteRange;
  /** Empty where the space is full without any device's hidden registers. */
  readonly devices: readonly { readonly device: FleetDevice; readonly ranges: readonly ByteRange[] }[];
  /** Bytes of the area that the layout itself takes. */
  readonly layout: readonly ByteRange[];
}

export interface Placing {
  readonly key: string;
  readonly length: number;
  readonly area: ByteRange;
  /** Places it may start at: one, where it is decided. */
  readonly candidates: readonly number[];
  /** Taken by the layout. */
  readonly layout: readonly ByteRange[];
}

/** Sets of up to this many devices are searched exhaustively; beyond, a small set is found, not proven the smallest. */
const EXHAUSTIVE = 3;

export function conflictOf(placing: Placing, devices: readonly FleetDevice[]): Conflict {
  const { key, length, area, candidates } = placing;
  const extent = (start: number): ByteRange => ({ start, end: start + length });
  const open = candidates.filter((start) => !placing.layout.some((range) => overlaps(range, extent(start))));
  // Devices that block the same candidates are one for this question.
  const groups = new Map<string, { device: FleetDevice; blocks: ReadonlySet<number> }>();
  for (const device of devices) {
    const blocks = new Set(
      open.filter((start) => device.blocked.some((range) => overlaps(range, extent(start)))),
    );
    if (blocks.size === 0) continue;
    const signature = [...blocks].join();
    if (!groups.has(signature)) groups.set(signature, { device, blocks });
  }
  const chosen = open.length === 0 ? [] : cover(open, [...groups.values()]);
  return {
    key,
    length,
    area,
    devices: chosen.map(({ device }) => ({
      device,
      ranges: device.blocked.filter((range) => overlaps(range, area)),
    })),
    layout: merged(placing.layout.filter((range) => overlaps(range, area))),
  };
}

interface Blocker {
  readonly device: FleetDevice;
  readonly blocks: ReadonlySet<number>;
}

/** The smallest set that blocks every candidate. */
function cover(open: readonly number[], blockers: readonly Blocker[]): readonly Blocker[] {
  for (let size = 1; size <= EXHAUSTIVE; size++) {
    const found = exact(open, blockers, size);
    if (found !== undefined) return found;
  }
  return greedy(open, blockers);
}

/** Branches on the first candidate that is not blocked yet: one of its blockers must be in the set. */
function exact(
  open: readonly number[],
  blockers: readonly Blocker[],
  size: number,
): readonly Blocker[] | undefined {
  const [first] = open;
  if (first === undefined) return [];
  if (size === 0) return undefined;
  for (const blocker of blockers) {
    if (!blocker.blocks.has(first)) continue;
    const rest = exact(
      open.filter((start) => !blocker.blocks.has(start)),
      blockers,
      size - 1,
    );
    if (rest !== undefined) return [blocker, ...rest];
  }
  return undefined;
}

function greedy(open: readonly number[], blockers: readonly Blocker[]): readonly Blocker[] {
  const chosen: Blocker[] = [];
  let left = [...open];
  while (left.length > 0) {
    const count = (one: Blocker) => left.filter((start) => one.blocks.has(start)).length;
    const best = blockers.reduce((a, b) => (count(b) > count(a) ? b : a));
    chosen.push(best);
    left = left.filter((start) => !best.blocks.has(start));
  }
  // One that became superfluous goes, one at a time.
  for (const one of [...chosen]) {
    const others = chosen.filter((other) => other !== one);
    if (open.every((start) => others.some(({ blocks }) => blocks.has(start))))
      chosen.splice(chosen.indexOf(one), 1);
  }
  return chosen;
}
