import fc from 'fast-check';
import { expect, test } from 'vitest';
import { wasiExitStatus } from '../../../vmm/vcpu/wasi/wasi.ts';
import { BASE, END, guest, SIGNATURES } from './fixture.ts';

const LARGEST_ERRNO = 76;

const i32 = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: BASE, max: END }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 12 }) },
  fc.integer({ min: END - 16, max: END + 16 }),
  fc.integer({ min: BASE - 16, max: BASE + 16 }),
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.constantFrom(-1, 0x7fffffff, -0x80000000),
);
const i64 = fc.oneof(
  fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  fc.bigInt({ min: -4n, max: 70000n }),
);

const anyCall = fc
  .constantFrom(...Object.keys(SIGNATURES))
  .chain((name) =>
    fc.tuple(
      fc.constant(name),
      fc.tuple(
        ...[...SIGNATURES[name]!].map((type): fc.Arbitrary<number | bigint> => (type === 'i' ? i32 : i64)),
      ),
    ),
  );

/** RAM full of small numbers, names and pointers into itself, so that random pointers find plausible structures. */
function litter(u8: Uint8Array, seed: number): void {
  const view = new DataView(u8.buffer);
  let x = seed | 1;
  for (let at = BASE; at < END; at += 4) {
    x = Math.imul(x, 1664525) + 1013904223;
    const kind = (x >>> 28) & 3;
    view.setUint32(
      at,
      kind === 0 ? x >>> 24 : kind === 1 ? BASE + ((x >>> 8) & 0xffff) : kind === 2 ? 0x2f612e61 : 0,
      true,
    );
  }
}

test('no call with any arguments throws, leaves RAM, or writes unseen', async () => {
  const hooks = { runs: 0, ok: 0 };
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(anyCall, { maxLength: 60 }), async (seed, calls) => {
      const g = await guest({
        args: ['x', 'é'],
        env: { A: 'b' },
        files: new Map([['a', Buffer.from('file')]]),
      });
      litter(g.memory.u8, seed);
      g.memory.u8.fill(0xee, 0, BASE).fill(0xee, END);
      const before = g.memory.u8.slice();
      for (const [name, args] of calls) {
        let errno = 0;
        try {
          errno = g.call(name, ...args);
        } catch (error) {
          expect(wasiExitStatus(error), `${name}(${args}): ${error}`).toBeDefined();
        }
        hooks.runs++;
        if (errno === 0) hooks.ok++;
        expect(Number.isInteger(errno) && errno >= 0 && errno <= LARGEST_ERRNO, `${name} -> ${errno}`).toBe(
          true,
        );
      }
      for (const [address, bytes] of g.memory.writes)
        before.set(g.memory.u8.subarray(address, address + bytes), address);
      expect(Buffer.compare(before, g.memory.u8), 'a byte changed that was not reported').toBe(0);
      expect(g.memory.u8.subarray(0, BASE).every((byte) => byte === 0xee)).toBe(true);
      expect(g.memory.u8.subarray(END).every((byte) => byte === 0xee)).toBe(true);
    }),
    { numRuns: 300 },
  );
  // The property must not be vacuous: a good part of the calls succeeds.
  expect(hooks.ok).toBeGreaterThan(hooks.runs / 20);
});
