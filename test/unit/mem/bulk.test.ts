import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { BULK_MODULE } from '../../../vmm/mem/bulk.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';

test('bytes are moved as if all were read first, also to where the source overlaps', () => {
  const ram = new GuestRam(0, 1 << 16);
  ram.u8.set([1, 2, 3, 4, 5], 0x1001);

  ram.copy(0x1003, 0x1001, 5);
  ram.copy(0x2000, 0x1003, 5);

  expect([...ram.u8.subarray(0x1001, 0x1008)]).toEqual([1, 2, 1, 2, 3, 4, 5]);
  expect([...ram.u8.subarray(0x2000, 0x2006)]).toEqual([1, 2, 3, 4, 5, 0]);
});

test('zeros are skipped up to the quadword that holds something', () => {
  const ram = new GuestRam(0, 1 << 16);
  for (const at of [0x1000, 0x1017, 0x1044, 0x1ff8]) ram.u8[at] = 0x80;

  const found = [0x1000, 0x1008, 0x1018, 0x1048, 0x1040, 0x2000].map((at) => ram.skipZeros(at, 0x2000));

  expect(found).toEqual([0x1000, 0x1010, 0x1040, 0x1ff8, 0x1040, 0x2000]);
  expect(ram.skipZeros(0x1048, 0x1ff8)).toBe(0x1ff8);
});

test('the module is what its text assembles to', async () => {
  const tools = await wabt();
  const source = readFileSync(new URL('../../../vmm/mem/bulk.wat', import.meta.url), 'utf8');

  const { buffer } = tools.parseWat('bulk.wat', source).toBinary({});

  expect(Buffer.from(buffer).toString('base64')).toBe(BULK_MODULE);
});
