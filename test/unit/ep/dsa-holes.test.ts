import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DsaRig, WITH_RECORD } from '../../kit/dsa-rig.ts';
import { runs } from '../../kit/runs.ts';

const BLOCK = 2;
/** Memory that descriptors work on: pages 10h to 1Fh. */
const FROM = 0x10000;
const BYTES = 0x10000;

const address = fc.integer({ min: FROM, max: FROM + BYTES - 0x4001 });
const aligned = address.map((a) => a & ~7);
const size = fc.integer({ min: 1, max: 0x3000 });
const flags = WITH_RECORD | BLOCK;

const descriptor = fc.oneof(
  fc.record({ op: fc.constant(3), src: address, dst: address, size }),
  fc.record({ op: fc.constant(4), src: fc.nat(), dst: address, size }),
  fc.record({ op: fc.constant(6), src: address, dst: fc.nat(), size }),
  fc.record({ op: fc.constant(5), src: address, dst: address, size }),
  fc.record({ op: fc.constantFrom(0x10, 0x11), src: address, dst: address, size }),
  fc.record({ op: fc.constant(0x20), dst: address, size }),
  fc
    .record({
      op: fc.constant(7),
      src: aligned,
      dst: aligned,
      size: size.map((n) => (n + 7) & ~7),
      at: aligned,
    })
    .map(({ at, ...rest }) => ({ ...rest, rest: [at, 0, 800] })),
  fc
    .record({ op: fc.constant(9), src: address, dst: address, size, page: fc.integer({ min: 0, max: 11 }) })
    .map(({ page, ...rest }) => ({ ...rest, rest: [FROM + page * 0x1000 + (rest.dst & 0xfff)] })),
);
type Descriptor = typeof descriptor extends fc.Arbitrary<infer T> ? T : never;

function rigWith(fill: Uint8Array): DsaRig {
  const rig = new DsaRig();
  rig.rig.ram.u8.set(fill, FROM);
  rig.start({ blockOnFault: true });
  return rig;
}

function contents(rig: DsaRig) {
  const { ram } = rig.rig;
  return { record: rig.record(), memory: Buffer.from(ram.u8.slice(FROM, FROM + BYTES)).toString('latin1') };
}

/** Every page there from the start. */
function whole(d: Descriptor, fill: Uint8Array) {
  const rig = rigWith(fill);
  rig.mapAll();
  rig.submit({ ...d, flags });
  return contents(rig);
}

/** Every page brought in when it is asked for, but those of `present`. */
function byHoles(d: Descriptor, fill: Uint8Array, present: readonly number[]) {
  const rig = rigWith(fill);
  for (const page of present) rig.map(FROM + page * 4096);
  rig.submit({ ...d, flags });
  for (let group = 0; rig.pageRequests.length > group; group++) {
    const [, at] = /^page request ([0-9a-f]+)/.exec(rig.pageRequests[group]!)!;
    rig.map(Number.parseInt(at!, 16) & -4096);
    rig.respond(group);
  }
  return contents(rig);
}

test('a descriptor whose pages come one after the other does what it does with all of them there', () => {
  fc.assert(
    fc.property(
      descriptor,
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 8 }),
      (d, pattern, present) => {
        const fill = new Uint8Array(BYTES).map((_, i) => pattern[i % pattern.length]!);

        expect(byHoles(d, fill, present)).toEqual(whole(d, fill));
      },
    ),
    { numRuns: runs(50) },
  );
});
