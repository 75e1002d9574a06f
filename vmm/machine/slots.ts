import { TsvmmError } from '../core/errors.ts';

/** A place on a bus. */
export interface Slot {
  readonly device: number;
  readonly fn: number;
}

/** `addr=`: device and function in hex, as QEMU writes it: `2`, `0x1f`, `02.0`. @throws TsvmmError */
export function parseSlot(text: string, id: string): Slot {
  const m = /^(?:0x)?([0-9a-f]{1,2})(?:\.([0-7]))?$/i.exec(text);
  const device = m === null ? 32 : Number.parseInt(m[1]!, 16);
  if (device > 31) {
    throw new TsvmmError({
      code: 'bad-slot',
      object: `${id}: addr`,
      why: `'${text}' is no slot and function`,
      mend: 'write the slot in hex (0 to 1f) and the function (0 to 7), such as addr=03.0',
    });
  }
  return { device, fn: Number(m![2] ?? 0) };
}

/** The first slot that is free for a device without addr=: on the root bus from 2 on, as QEMU has its VGA in slot 1. */
export function freeSlot(taken: ReadonlySet<number>, id: string): Slot {
  for (let device = 2; device < 32; device++) if (!taken.has(device)) return { device, fn: 0 };
  throw new TsvmmError({
    code: 'no-slot',
    object: id,
    why: 'no slot is free on the root bus',
    mend: 'put devices behind root ports (bus=) or share a slot (addr=DD.F)',
  });
}
