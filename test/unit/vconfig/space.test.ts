import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CAPABILITY_KINDS } from '../../../devices/vconfig/capability-table.ts';
import { parseDump } from '../../../devices/vconfig/parse.ts';
import { describe as decoded, lspciText, mapSvg, mapText } from '../../../devices/vconfig/render.ts';
import { dissect, ownership } from '../../../devices/vconfig/space.ts';
import { vfioView } from '../../../devices/vconfig/vfio-view.ts';
import { buildSpace, type DeviceRegisters, REAL } from '../../kit/config-spaces.ts';
import { runs } from '../../kit/runs.ts';

const place = (device: DeviceRegisters) =>
  dissect(buildSpace(device).bytes).capabilities.map(({ key, offset, length }) => [key, offset, length]);
const chain = (bytes: Uint8Array) =>
  dissect(bytes).capabilities.map(({ key, offset }) => `${key}@${offset.toString(16)}`);

test('no two rows of the capability table have the same id or key', () => {
  const ids = CAPABILITY_KINDS.map(({ chain: which, id }) => `${which} ${id}`);
  const keys = CAPABILITY_KINDS.map(({ key }) => key);

  expect([new Set(ids).size, new Set(keys).size]).toEqual([ids.length, keys.length]);
});

describe('capabilities of real devices, with true extents', () => {
  test('Skylake graphics: PASID comes first', () => {
    expect(place(REAL.skylakeGpu)).toEqual([
      ['vendor', 0x40, 12],
      ['pcie', 0x70, 60],
      ['msi', 0xac, 10],
      ['pm', 0xd0, 8],
      ['pasid', 0x100, 8],
      ['ats', 0x200, 8],
      ['pri', 0x300, 16],
    ]);
  });

  test('DSA', () => {
    expect(place(REAL.dsa).slice(3)).toEqual([
      ['aer', 0x100, 44],
      ['ltr', 0x150, 8],
      ['tph', 0x160, 16],
      ['vc', 0x170, 40],
      ['dvsec.8086.0005', 0x200, 24],
      ['ats', 0x220, 8],
      ['pasid', 0x230, 8],
      ['pri', 0x240, 16],
    ]);
  });

  test('a chain that is not in the order of addresses', () => {
    expect(place(REAL.cxl).slice(3)).toEqual([
      ['aer', 0x100, 44],
      ['pasid', 0xb40, 8],
      ['ats', 0x6e0, 8],
      ['pri', 0xb20, 16],
      ['sriov', 0xb80, 64],
      ['vsec.0040', 0xd00, 76],
      ['dvsec.1e98.0000', 0xe00, 56],
      ['dsn', 0xe38, 12],
    ]);
  });

  test('a broken chain is told, byte by byte, and ends', () => {
    const { diagnoses } = dissect(buildSpace(REAL.broken).bytes);

    expect(diagnoses).toEqual([
      { offset: 0x100, why: 'the pointer 791h is not a multiple of 4: its low bits are ignored' },
      { offset: 0x790, why: 'an empty capability (id 0) is in the chain' },
      { offset: 0xd00, why: 'the pointer 791h is not a multiple of 4: its low bits are ignored' },
      { offset: 0xd00, why: 'the chain comes back to 790h' },
    ]);
  });
});

describe('chains that are wrong', () => {
  const standard = (...pointers: readonly (readonly [number, number])[]) => {
    const bytes = new Uint8Array(256);
    bytes[6] = 0x10;
    for (const [at, value] of pointers) bytes[at] = value;
    return dissect(bytes).diagnoses;
  };

  test.each([
    ['into the header', [[0x34, 0x20]], 'the chain points to 20h, into the header'],
    [
      'to itself',
      [
        [0x34, 0x40],
        [0x40, 1],
        [0x41, 0x40],
      ],
      'the chain comes back to 40h',
    ],
    [
      'to where nothing answers',
      [
        [0x34, 0x40],
        [0x40, 0xff],
      ],
      'the capability reads as ffh: the device did not answer',
    ],
    [
      'to an odd address',
      [
        [0x34, 0x42],
        [0x40, 1],
      ],
      'the pointer 42h is not a multiple of 4: its low bits are ignored',
    ],
  ] as const)('%s', (_, pointers, why) => {
    expect(standard(...pointers)[0]?.why).toBe(why);
  });

  test('a capability that would reach into the next is cut there', () => {
    const device = {
      ...REAL.dsa,
      first: 0x40,
      standard: [[0x40, 0x10, 0x60, 0x0002] as const, [0x60, 0x01, 0, 3] as const],
    };
    const { capabilities, diagnoses } = dissect(buildSpace(device).bytes);

    expect([capabilities[0]?.length, diagnoses[0]?.why]).toEqual([
      0x20,
      'Express ends at 7ch, inside of the capability at 60h',
    ]);
  });
});

describe('what vfio-pci shows', () => {
  test('a hidden first capability leaves an anchor, hidden ones behind it are skipped', () => {
    const view = vfioView(buildSpace(REAL.skylakeGpu).bytes);

    expect(chain(view).slice(4)).toEqual(['ats@200', 'pri@300']);
    expect([...view.subarray(0x100, 0x104)]).toEqual([0, 0, 0, 0x20]);
  });

  test('a hidden capability in the middle', () => {
    expect(chain(vfioView(buildSpace(REAL.dsa).bytes)).slice(-2)).toEqual(['ats@220', 'pri@240']);
  });

  test('nothing left to show is no chain at all', () => {
    const device = { ...REAL.skylakeGpu, extended: [[0x100, 0x1b, 1, 0, 0] as const] };
    const view = vfioView(buildSpace(device).bytes);

    expect([...view.subarray(0x100, 0x104)]).toEqual([0, 0, 0, 0]);
  });
});

describe('dumps', () => {
  const parse = (text: string) => parseDump('dump', new TextEncoder().encode(text));
  const rows = (count: number) =>
    Array.from(
      { length: count },
      (_, row) => `${(row * 16).toString(16).padStart(2, '0')}:${' 00'.repeat(16)}`,
    ).join('\n');

  test('a text of several devices gives back each', () => {
    const list = [REAL.dsa, REAL.fiji, REAL.skylakeGpu].map((one) => buildSpace(one));
    const text = list.map(({ name, title, bytes }) => lspciText(name, title, bytes)).join('\n');
    const parsed = parse(text);

    expect(parsed.map(({ name, title }) => [name, title])).toEqual(
      list.map(({ name, title }) => [name, title]),
    );
    expect(parsed.map(({ bytes }) => bytes)).toEqual(list.map(({ bytes }) => bytes));
  });

  test('a sysfs file is its bytes', () => {
    const { bytes } = buildSpace(REAL.dsa);

    expect(parseDump('config', bytes)).toEqual([{ source: 'config', name: 'config', title: '', bytes }]);
  });

  test.each([
    ['nothing', '', 'dump: has no device in it; give the output of lspci -xxxx, or a sysfs config file'],
    ['bytes without a device', '00: 00 00', 'dump:1: has bytes before the first device'],
    [
      'a row that is missing',
      `00:00.0 x\n00:${' 00'.repeat(16)}\n20: 00`,
      'dump:3: starts at 20 where 10 comes next',
    ],
    [
      'a row that is cut',
      `00:00.0 x\n${rows(3)}\n30: 00 00`,
      'dump:1: device 00:00.0 has 50 bytes, and a configuration space has 64, 256 or 4096; dump it with lspci -xxxx, as root',
    ],
    ['a row that is no hex', '00:00.0 x\n00: zz', 'dump:2: is no row of at most 16 bytes in hex'],
    ['too many rows', `00:00.0 x\n${rows(257)}`, 'dump:258: has more bytes than a configuration space'],
  ])('%s', (_, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  test('a binary of another size', () => {
    expect(() => parseDump('config', new Uint8Array(100))).toThrow(
      'config: has 100 bytes, and a configuration space has 64, 256 or 4096; read it whole, as root',
    );
  });
});

/** Random bytes with a chain likely: headers in the right places. */
const space = fc
  .tuple(
    fc.constantFrom(64, 256, 4096),
    fc.uint8Array({ minLength: 64, maxLength: 600 }),
    fc.array(fc.tuple(fc.nat(1023), fc.nat(0x60), fc.nat(0xffff)), { maxLength: 40 }),
  )
  .map(([size, noise, links]) => {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at++) bytes[at] = noise[at % noise.length] as number;
    const view = new DataView(bytes.buffer);
    for (const [dword, id, rest] of links) {
      const at = dword * 4;
      if (at + 4 <= size) view.setUint32(at, (id | (rest << 16)) >>> 0, true);
    }
    if (size > 6) bytes[6] = (bytes[6] as number) | 0x10;
    return bytes;
  });
const RUNS = Number(process.env['TSVMM_FUZZ_VCONFIG'] ?? runs(3000));

test('whatever the bytes are: extents lie inside, and every byte has one owner', {
  timeout: 20_000 + RUNS,
}, () => {
  const property = fc.property(space, (bytes) => {
    const anatomy = dissect(bytes);
    for (const { offset, length } of anatomy.capabilities)
      expect(offset + length).toBeLessThanOrEqual(bytes.length);
    const owners = ownership(bytes, anatomy);
    let at = 0;
    for (const { start, end } of owners) {
      expect([start, end > start]).toEqual([at, true]);
      at = end;
    }
    expect(at).toBe(bytes.length);
    decoded(bytes);
    vfioView(bytes);
  });

  fc.assert(property, { numRuns: RUNS });
});

test('pictures show each dword by its class', () => {
  const { bytes } = buildSpace(REAL.skylakeGpu);
  const lines = mapText(bytes, [{ start: 0xfc, end: 0x100 }], false).split('\n');

  expect((lines[0] as string).slice(0, 24)).toBe('000: HHHHHHHHHHHHHHHH###');
  expect((lines[0] as string).slice(-1)).toBe('!');
  expect((lines[1] as string).slice(0, 8)).toBe('100: xx.');
  expect(mapSvg('a<b', bytes, []).match(/<rect /g)?.length).toBe(1024);
});
