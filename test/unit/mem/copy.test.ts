import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { COPY_MODULE } from '../../../vmm/mem/copy.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';

test('bytes are moved as if all were read first, also to where the source overlaps', () => {
  const ram = new GuestRam(0, 1 << 16);
  ram.u8.set([1, 2, 3, 4, 5], 0x1001);

  ram.copy(0x1003, 0x1001, 5);
  ram.copy(0x2000, 0x1003, 5);

  expect([...ram.u8.subarray(0x1001, 0x1008)]).toEqual([1, 2, 1, 2, 3, 4, 5]);
  expect([...ram.u8.subarray(0x2000, 0x2006)]).toEqual([1, 2, 3, 4, 5, 0]);
});

test('the module is what its text assembles to', async () => {
  const tools = await wabt();
  const source = readFileSync(new URL('../../../vmm/mem/copy.wat', import.meta.url), 'utf8');

  const { buffer } = tools.parseWat('copy.wat', source).toBinary({});

  expect([...buffer]).toEqual([...COPY_MODULE]);
});
