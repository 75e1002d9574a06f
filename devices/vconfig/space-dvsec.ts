import { read16, read32 } from './capability-table.ts';
import type { ByteRange } from './ranges.ts';
import { type Anatomy, dissect } from './space.ts';

/**
 * How a device tells what of its configuration space is free, instead of a list in every VMM: two DVSECs. No id for them is
 * assigned by the PCI-SIG; these are tsvmm's, under the vendor id that emulators use by custom.
 *
 * Free space: from byte 0Ah a count of ranges (16 bits), then for each start and end (exclusive), 16 bits each: bytes that hide no
 * register. Wrapped registers: the same list, of bytes outside of any capability that do hold registers.
 */
export const SPACE_DVSEC = { vendor: 0x1234, free: 0x5643, wrapped: 0x5657, revision: 1 } as const;
const LIST_AT = 10;

export interface DeclaredSpace {
  /** `undefined`: the device does not say. */
  readonly free: readonly ByteRange[] | undefined;
  readonly wrapped: readonly ByteRange[] | undefined;
}

/** What a device declares of itself. */
export function declaredSpace(space: Uint8Array, anatomy: Anatomy = dissect(space)): DeclaredSpace {
  return {
    free: listOf(space, anatomy, SPACE_DVSEC.free),
    wrapped: listOf(space, anatomy, SPACE_DVSEC.wrapped),
  };
}

function listOf(space: Uint8Array, anatomy: Anatomy, id: number): ByteRange[] | undefined {
  const found = anatomy.capabilities.find(
    ({ kind, offset }) =>
      kind.key === 'dvsec' &&
      read16(space, offset + 4) === SPACE_DVSEC.vendor &&
      ((read32(space, offset + 4) >>> 16) & 0xf) === SPACE_DVSEC.revision &&
      read16(space, offset + 8) === id,
  );
  if (found === undefined) return undefined;
  const room = Math.max(0, Math.floor((found.length - LIST_AT - 2) / 4));
  const count = Math.min(read16(space, found.offset + LIST_AT), room);
  return Array.from({ length: count }, (_, index) => {
    const at = found.offset + LIST_AT + 2 + 4 * index;
    return { start: read16(space, at), end: Math.min(read16(space, at + 2), space.length) };
  }).filter(({ start, end }) => start < end);
}

/** The body of such a DVSEC, with its header's next pointer 0. */
export function spaceDvsec(id: number, ranges: readonly ByteRange[]): Uint8Array {
  const length = (LIST_AT + 2 + 4 * ranges.length + 3) & ~3;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0023 | (1 << 16), true);
  view.setUint32(4, SPACE_DVSEC.vendor | (SPACE_DVSEC.revision << 16) | (length << 20), true);
  view.setUint16(8, id, true);
  view.setUint16(LIST_AT, ranges.length, true);
  ranges.forEach(({ start, end }, index) => {
    view.setUint16(LIST_AT + 2 + 4 * index, start, true);
    view.setUint16(LIST_AT + 4 + 4 * index, end, true);
  });
  return bytes;
}
