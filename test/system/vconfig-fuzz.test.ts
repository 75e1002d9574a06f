import { expect, test } from 'vitest';
import { dissect, ownership } from '../../devices/vconfig/space.ts';
import { Rng } from '../../vmm/core/rng.ts';

const SPACES = 1_000_000;
const BYTES = 4096;
/** Changes from one space to the next: bytes anywhere, and headers that are likely to be met on the way of a chain. */
const NOISE = 24;
const HEADERS = 12;

/** Each space is the one before with a few dwords changed, so that long chains, loops and overlaps come about. */
test('a million random config spaces: extents lie inside, and every byte has one owner', {
  timeout: 280_000,
}, () => {
  const rng = new Rng(7);
  const below = (n: number) => rng.next() % n;
  const space = new Uint8Array(BYTES);
  const view = new DataView(space.buffer);
  let found = 0;
  let wrong = 0;

  for (let i = 0; i < SPACES; i++) {
    for (let k = 0; k < NOISE; k++) space[below(BYTES)] = below(256);
    for (let k = 0; k < HEADERS; k++) {
      const [at, next] = [0x100 + 4 * below(960), 0x100 + 4 * below(1000)];
      view.setUint32(at, ((next << 20) | (1 << 16) | below(0x34)) >>> 0, true);
    }
    const bytes = below(4) === 0 ? space.subarray(0, 256) : space;
    const anatomy = dissect(bytes);
    for (const { offset, length } of anatomy.capabilities) if (offset + length > bytes.length) wrong++;
    let at = 0;
    for (const { start, end } of ownership(bytes, anatomy)) {
      if (start !== at || end <= start) wrong++;
      at = end;
    }
    if (at !== bytes.length) wrong++;
    found += anatomy.capabilities.length;
  }

  expect(wrong).toBe(0);
  expect(found).toBeGreaterThan(SPACES);
});
