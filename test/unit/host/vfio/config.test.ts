import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ConfigEffects, VirtualConfig } from '../../../../vmm/host/vfio/config-space.ts';
import { buildSpace, REAL } from '../../../kit/config-spaces.ts';
import { type FakeOptions, FakePhysical } from '../../../kit/fake-physical.ts';

/** A device with most of what vfio-pci knows. */
const DEVICE: FakeOptions = {
  standard: [
    { at: 0x40, id: 0x01, head: 0xf803, words: [0x0000_8108] },
    { at: 0x50, id: 0x05, head: 0x0186, words: [0xfee0_0000, 0, 0x0000_0041, 0x5, 0xa] },
    { at: 0x70, id: 0x10, head: 0x0002, words: [0x1000_8002, 0x0000_2820] },
    { at: 0xb0, id: 0x0d, head: 0, words: [0x1234_5678] },
    { at: 0xb8, id: 0x03, head: 0 },
    { at: 0xc0, id: 0x09, head: 0x0010, words: [1, 2, 3] },
    { at: 0xd0, id: 0x11, head: 0x0003, words: [0x2, 0x802] },
    { at: 0xe0, id: 0x13, head: 0x0306, words: [0] },
  ],
  extended: [
    { at: 0x100, id: 0x1b, words: [0x0000_1406] },
    { at: 0x140, id: 0x01, words: [0, 0, 0, 0, 0, 0] },
    { at: 0x1c0, id: 0x0f, words: [0x8000_0020] },
    { at: 0x200, id: 0x23, words: [0x0180_8086, 0x5, 0x77] },
    { at: 0x240, id: 0x1d, words: [0x55] },
    { at: 0x280, id: 0x04, words: [0, 0] },
  ],
};

function view(options: FakeOptions = DEVICE, change: (fn: FakePhysical) => void = () => {}) {
  const fn = new FakePhysical(options);
  change(fn);
  const done: string[] = [];
  const msi = { enabled: false, order: 0 };
  const effects: ConfigEffects = {
    reset: () => done.push('reset'),
    intxDisabled: (disabled) => done.push(`intx ${disabled ? 'off' : 'on'}`),
    power: (state) => done.push(`D${state}`),
    msi: () => msi,
  };
  const config = new VirtualConfig(fn, effects);
  fn.log.length = 0;
  return { fn, config, done, msi };
}

describe('what is read', () => {
  const READS: readonly (readonly [string, number, number, number])[] = [
    ['the capability pointer', 0x34, 1, 0x40],
    ['power management links to MSI', 0x41, 1, 0x50],
    ['PME support is not there', 0x42, 2, 0x0003],
    ['PME enable and status are 0', 0x44, 2, 0x0008],
    ['PCI Express links past the subsystem id', 0x70, 4, 0x0002_b810],
    ['a hidden capability can still be read', 0xb4, 4, 0x1234_5678],
    ['of a hidden first extended capability only the pointer stays', 0x100, 4, 0x1400_0000],
    ['its bytes can be read', 0x104, 4, 0x0000_1406],
    ['AER links to ATS', 0x140, 4, 0x1c01_0001],
    ['a hidden one in the middle is passed over', 0x200, 4, 0x2801_0023],
    ['the last one ends the chain', 0x280, 4, 0x0001_0004],
    ['ATS control is the hardware’s', 0x1c6, 2, 0x8000],
    ['a 64-bit BAR has the type of the hardware', 0x10, 4, 0x0000_000c],
    ['a BAR that is not there reads 0', 0x20, 4, 0],
    ['MSI’s data', 0x5c, 2, 0x41],
    ['MSI’s mask bits', 0x60, 4, 0x5],
  ];
  test.each(READS)('%s', (_, offset, size, expected) => {
    expect(view().config.load(offset, size)).toBe(expected);
  });

  test('a space whose extended capabilities are all hidden reads 0 where they begin', () => {
    const { config } = view({
      ...DEVICE,
      extended: [
        { at: 0x100, id: 0x1b },
        { at: 0x180, id: 0x1d },
      ],
    });

    expect(config.load(0x100, 4)).toBe(0);
  });

  test('a capability that says that it has no length is hidden', () => {
    const { config } = view({
      standard: [
        { at: 0x40, id: 0x09, head: 0 },
        { at: 0x50, id: 0x01 },
      ],
      extended: [
        { at: 0x100, id: 0x0b, words: [1] },
        { at: 0x200, id: 0x0f },
      ],
    });

    expect([config.load(0x34, 1), config.load(0x100, 4)]).toEqual([0x50, 0x2000_0000]);
  });

  test('without any capability to show the status says so', () => {
    const { config } = view({ standard: [{ at: 0x40, id: 0x0d }], conventional: true });

    expect([config.load(0x06, 2), config.load(0x34, 1)]).toEqual([0, 0]);
  });

  test('a virtual function has the ids of its physical one, no pin, and decodes', () => {
    const of = new FakePhysical();
    const more = { virtual: { of, vendor: 0x8086, device: 0x10ca } };
    const { config } = view({ ...DEVICE, more }, (fn) => fn.put(0, 4, 0xffff_ffff));

    expect([config.load(0, 4), config.load(0x3d, 1), config.load(4, 2), config.memoryEnabled]).toEqual([
      0x10ca_8086,
      0,
      2,
      true,
    ]);
  });
});

describe('what is written', () => {
  // name, offset, size, value, what the user reads then, what the hardware has then
  const WRITES: readonly (readonly [string, number, number, number, number, number])[] = [
    ['vendor id', 0x00, 4, 0xffff_ffff, 0x1234_1b36, 0x1234_1b36],
    ['command but for INTx disable', 0x04, 2, 0xffff, 0xffff, 0xfbff],
    ['cache line size', 0x0c, 1, 0xff, 0xff, 0xff],
    ['header type', 0x0e, 1, 0xff, 0, 0],
    ['a 64-bit BAR sizes', 0x10, 4, 0xffff_ffff, 0xffff_c00c, 0xc],
    ['its upper half', 0x14, 4, 0xffff_ffff, 0xffff_ffff, 0x20],
    ['a 32-bit BAR', 0x18, 4, 0xffff_ffff, 0xffff_f000, 0xfe00_0000],
    ['an I/O BAR', 0x1c, 4, 0xffff_ffff, 0xffff_ffe1, 0xe001],
    ['a BAR that is not there', 0x20, 4, 0xffff_ffff, 0, 0],
    ['the ROM BAR without a ROM', 0x30, 4, 0xffff_ffff, 0, 0],
    ['interrupt line', 0x3c, 1, 0x0b, 0x0b, 0],
    ['interrupt pin', 0x3d, 1, 0x00, 1, 1],
    ['power state', 0x44, 2, 0xffff, 0x7efc, 0xfffc],
    ['MSI address', 0x54, 4, 0x1111_1110, 0x1111_1110, 0xfee0_0000],
    ['MSI mask', 0x60, 4, 0xf, 0xf, 0xf],
    ['MSI pending', 0x64, 4, 0xf, 0xf, 0xf],
    ['device control but for phantom, MPS, MRRS', 0x78, 2, 0x72ff, 0x70ff, 0x703f],
    ['device capabilities', 0x74, 4, 0xffff_ffff, 0x1000_8002, 0x1000_8002],
    ['device control 2 but for ARI', 0x98, 2, 0xffff, 0xffdf, 0xffdf],
    ['a hidden capability', 0xb4, 4, 0x99, 0x99, 0x99],
    ['a vendor-specific capability', 0xc4, 4, 0x99, 0x99, 0x99],
    ['MSI-X control', 0xd2, 2, 0x8000, 3, 3],
    ['unclaimed bytes', 0xf0, 4, 0x99, 0x99, 0x99],
    ['hidden PASID control', 0x106, 2, 0x7, 0x7, 0x7],
    ['AER mask: only defined bits', 0x148, 4, 0xffff_ffff, 0x03ff_f031, 0x03ff_f031],
    ['AER correctable mask', 0x154, 4, 0xffff_ffff, 0xf1c1, 0xf1c1],
    ['AER control: only ECRC', 0x158, 4, 0xffff_ffff, 0x140, 0x140],
    ['ATS control', 0x1c6, 2, 0, 0x8000, 0x8000],
    ['a DVSEC', 0x20c, 4, 0x99, 0x99, 0x99],
    ['power budgeting data', 0x288, 1, 0x5, 0x5, 0x5],
  ];
  test.each(WRITES)('%s', (_, offset, size, value, seen, hardware) => {
    const { config, fn } = view();
    config.store(offset, size, value);

    expect([config.load(offset, size), fn.get(offset, size)]).toEqual([seen, hardware]);
  });

  test('initiate FLR resets and reads 0', () => {
    const { config, done } = view();
    config.store(0x78, 2, 0xa820);

    expect([done, config.load(0x78, 2) & 0x8000]).toEqual([['reset'], 0]);
  });

  test('initiate FLR of a device without it does nothing', () => {
    const { config, done } = view(DEVICE, (fn) => fn.put(0x74, 4, 0x8002));
    config.store(0x78, 2, 0xa820);

    expect(done).toEqual([]);
  });

  test('advanced features can reset, too', () => {
    const { config, done } = view();
    config.store(0xe4, 1, 1);

    expect([done, config.load(0xe4, 1)]).toEqual([['reset'], 0]);
  });

  test('the largest read is never below the payload of the hardware', () => {
    const { config, fn } = view(DEVICE, (one) => one.put(0x78, 2, 0x2840));
    config.store(0x78, 2, 0x0840);

    expect([config.load(0x78, 2), fn.get(0x78, 2)]).toEqual([0x0840, 0x2840]);
  });

  test('power states are asked for, not written', () => {
    const { config, done } = view();
    config.store(0x44, 2, 3);

    expect(done).toEqual(['D3']);
  });

  test('INTx disable is told when it changes', () => {
    const { config, done } = view();
    for (const value of [0x400, 0x406, 0x006]) config.store(4, 2, value);

    expect(done).toEqual(['intx off', 'intx on']);
  });

  test.each([
    ['stays off before SET_IRQS', false, 0, 0x71, 0x00],
    ['is limited to what SET_IRQS set up', true, 2, 0x71, 0x21],
    ['may be less', true, 2, 0x11, 0x11],
  ])('MSI control %s', (_, enabled, order, value, expected) => {
    const { config, fn, msi } = view();
    Object.assign(msi, { enabled, order });
    config.store(0x52, 2, value);

    expect([config.load(0x52, 1), fn.get(0x52, 1)]).toEqual([expected, expected]);
  });

  test('BARs that a reset lost come back when the user enables decoding', () => {
    const { config, fn } = view();
    config.store(4, 2, 6);
    fn.put(4, 2, 0);
    fn.put(0x18, 4, 0);
    config.store(4, 2, 6);

    expect([fn.get(0x18, 4), fn.get(4, 2)]).toEqual([0xfe00_0000, 6]);
  });

  test('vital product data goes through the host', () => {
    const written: number[][] = [];
    const vpd = {
      read: (address: number) => (address === 8 ? 0x1234 : undefined),
      write: (address: number, data: number) => written.push([address, data]) > 0,
    };
    const { config } = view({ standard: [{ at: 0x40, id: 0x03 }], more: { vpd } });
    config.store(0x42, 2, 8);
    const read = [config.load(0x42, 2), config.load(0x44, 4)];
    config.store(0x42, 2, 12);
    const absent = config.load(0x42, 2);
    config.store(0x44, 4, 0x77);
    config.store(0x42, 2, 0x8010);

    expect({ read, absent, written, flag: config.load(0x42, 2) }).toEqual({
      read: [0x8008, 0x1234],
      absent: 12,
      written: [[0x10, 0x77]],
      flag: 0x10,
    });
  });
});

describe('real devices', () => {
  /** Capabilities as a guest finds them: ids at offsets. */
  function chains({ config }: ReturnType<typeof view>): { standard: string; extended: string } {
    const standard: string[] = [];
    for (let at = config.load(0x34, 1); at !== 0; at = config.load(at + 1, 1))
      standard.push(`${config.load(at, 1).toString(16)}@${at.toString(16)}`);
    const extended: string[] = [];
    for (let at = 0x100; at !== 0; at = config.load(at, 4) >>> 20) {
      const header = config.load(at, 4);
      if (header === 0) break;
      extended.push(`${(header & 0xffff).toString(16)}@${at.toString(16)}`);
    }
    return { standard: standard.join(' '), extended: extended.join(' ') };
  }

  const EXPECTED: readonly (readonly [keyof typeof REAL, string, string])[] = [
    ['skylakeGpu', '9@40 10@70 5@ac 1@d0', '0@100 f@200 13@300'],
    ['dsa', '10@40 11@80 1@90', '1@100 18@150 17@160 2@170 23@200 f@220 13@240'],
    ['cxl', '10@40 5@80 1@a0', '1@100 f@6e0 13@b20 10@b80 b@d00 23@e00 3@e38'],
    ['fiji', '9@48 1@50 10@58 5@a0', 'b@100 1@150 15@200 f@2b0 13@2c0 e@328'],
    ['navi10', '9@48 1@50 10@64 5@a0', 'b@100 1@150 15@200 4@240 d@2a0 f@2b0 13@2c0 18@320'],
    ['nic82576', '1@40 5@50 11@70 10@a0', '1@100 3@140 e@150 10@160'],
    ['broken', '', ''],
  ];
  test.each(EXPECTED)('%s', (name, standard, extended) => {
    const { bytes } = buildSpace(REAL[name]);
    const seen = chains(view({}, (fn) => fn.space.set(bytes)));

    expect(seen).toEqual({ standard, extended });
  });

  test('PASID control of a device that hides it goes to the hardware, as any byte that nobody claims', () => {
    const { bytes } = buildSpace(REAL.dsa);
    const { config, fn } = view({}, (one) => one.space.set(bytes));
    config.store(0x236, 2, 0);

    expect(fn.get(0x236, 2)).toBe(0);
  });
});

test('whatever is written, ids, links and BARs of the hardware stay', () => {
  const one = fc.record({ offset: fc.nat(4092), value: fc.nat(0xffff_ffff), size: fc.constantFrom(1, 2, 4) });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (writes) => {
      const { config, fn } = view();
      const before = [fn.get(0, 4), fn.get(0x10, 4), fn.get(0x18, 4), fn.get(0x34, 1)];
      const links = [0x34, 0x41, 0x51, 0x71].map((at) => config.load(at, 1));
      for (const { offset, size, value } of writes) config.store(offset - (offset % size), size, value);
      const after = [fn.get(0, 4), fn.get(0x10, 4), fn.get(0x18, 4), fn.get(0x34, 1)];
      expect([after, [0x34, 0x41, 0x51, 0x71].map((at) => config.load(at, 1))]).toEqual([before, links]);
    }),
  );
});
