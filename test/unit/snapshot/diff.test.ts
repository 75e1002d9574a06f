import { describe, expect, test } from 'vitest';
import { diffSnapshots } from '../../../vmm/machine/snapshot-diff.ts';
import type { Snapshot } from '../../../vmm/state/container.ts';
import { encodePages } from '../../../vmm/state/container-pages.ts';
import type { Json } from '../../../vmm/state/schema.ts';

const PAGE = 4096;

function snapshot(body: Json, files: Record<string, Uint8Array> = {}, version = 1): Snapshot {
  const units = new Map([['edu0', { kind: 'edu', version, body }]]);
  return { program: '1', config: { memory: 8 }, units, files: new Map(Object.entries(files)) };
}

function ram(...filled: number[]): Uint8Array {
  const memory = new Uint8Array(8 * PAGE);
  for (const page of filled) memory.fill(page + 1, page * PAGE, (page + 1) * PAGE);
  return encodePages(memory, 0, 8 * PAGE);
}

describe('two snapshots', () => {
  test('that are the same do not differ', () => {
    const files = { 'ram.bin': ram(1, 2), 'guest.wasm': Uint8Array.of(1) };
    expect(
      diffSnapshots(snapshot({ a: [1, { b: 2 }] }, files), snapshot({ a: [1, { b: 2 }] }, files)),
    ).toEqual([]);
  });

  test('differ leaf by leaf', () => {
    const a = snapshot({ regs: { GSTS: '0x00000000', FSTS: '0x1' }, queue: [{ at: 1 }], on: true });
    const b = snapshot({
      regs: { GSTS: '0x80000000', FSTS: '0x1' },
      queue: [{ at: 1 }, { at: 2 }],
      on: null,
    });
    expect(diffSnapshots(a, b)).toEqual([
      { path: 'edu0.regs.GSTS', a: '0x00000000', b: '0x80000000' },
      { path: 'edu0.queue[1]', a: 'absent', b: '{"at":2}' },
      { path: 'edu0.on', a: 'true', b: 'null' },
    ]);
  });

  test('differ in their machine, and in units that one lacks or has in another version', () => {
    const a = snapshot({});
    const b = { ...snapshot({}, {}, 2), config: { memory: 16 } };
    b.units = new Map([...b.units, ['rng', { kind: 'rng', version: 1, body: {} }]]);
    expect(diffSnapshots(a, b)).toEqual([
      { path: 'config.memory', a: '8', b: '16' },
      { path: 'edu0', a: 'edu version 1', b: 'edu version 2' },
      { path: 'rng', a: 'absent', b: 'rng version 1' },
    ]);
  });

  test('differ in ranges of pages of RAM', () => {
    const differences = diffSnapshots(
      snapshot({}, { 'ram.bin': ram(1, 2, 5) }),
      snapshot({}, { 'ram.bin': ram(5, 7) }),
    );
    expect(differences).toEqual([
      { path: 'ram 0x1000..0x2fff', a: expect.stringMatching(/^crc32 0x[0-9a-f]{8}$/), b: 'zero' },
      { path: 'ram 0x7000..0x7fff', a: 'zero', b: expect.stringMatching(/^crc32 0x[0-9a-f]{8}$/) },
    ]);
  });

  test('differ in files by their length and checksum; RAM of other sizes is a file too', () => {
    const other = encodePages(new Uint8Array(PAGE), 0, PAGE);
    const differences = diffSnapshots(
      snapshot({}, { 'ram.bin': ram(), 'guest.wasm': Uint8Array.of(1, 2, 3, 4) }),
      snapshot({}, { 'ram.bin': other }),
    );
    expect(differences.map((d) => d.path)).toEqual(['ram.bin', 'guest.wasm']);
    expect(differences[1]).toMatchObject({ a: '4 bytes, crc32 0xb63cfbcd', b: 'absent' });
  });

  test('long values are cut', () => {
    const [difference] = diffSnapshots(snapshot({ text: 'x'.repeat(500) }), snapshot({ text: '' }));
    expect(difference!.a).toBe(`${'x'.repeat(120)}... (500 characters)`);
  });
});
