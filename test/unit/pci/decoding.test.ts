import { describe, expect, test } from 'vitest';
import { PCIE_ROOT_PORT } from '../../../devices/pci/root-port.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { ECAM, PciRig, RecordingBackend } from '../../kit/pci-rig.ts';

const MEM = 2;
const IO = 1;

describe('BARs are sized by writing ones', () => {
  test('32-bit memory', () => {
    const fn = new PciRig().plugFunction({
      bars: [{ index: 0, kind: 'memory32', size: 0x100000 }],
    });

    fn.configWrite(0x10, 4, 0xffffffff);

    expect(fn.configRead(0x10, 4)).toBe(0xfff00000);
  });

  test('64-bit prefetchable memory takes two registers', () => {
    const fn = new PciRig().plugFunction({
      bars: [{ index: 2, kind: 'memory64', prefetchable: true, size: 2 ** 33 }],
    });

    fn.configWrite(0x18, 4, 0xffffffff);
    fn.configWrite(0x1c, 4, 0xffffffff);

    expect([fn.configRead(0x18, 4), fn.configRead(0x1c, 4)]).toEqual([0x0000000c, 0xfffffffe]);
  });

  test('I/O', () => {
    const fn = new PciRig().plugFunction({ bars: [{ index: 1, kind: 'io', size: 32 }] });

    fn.configWrite(0x14, 4, 0xffffffff);

    expect(fn.configRead(0x14, 4)).toBe(0xffffffe1);
  });

  test('registers of no BAR stay 0', () => {
    const fn = new PciRig().plugFunction({});

    fn.configWrite(0x10, 4, 0xffffffff);
    fn.configWrite(0x30, 4, 0xffffffff);

    expect([fn.configRead(0x10, 4), fn.configRead(0x30, 4)]).toEqual([0, 0]);
  });
});

describe('decoding', () => {
  function memoryFunction(pci: PciRig, device = 1) {
    const backend = new RecordingBackend(0, 4);
    const fn = pci.plugFunction(
      {
        bars: [
          { index: 0, kind: 'memory32', size: 0x1000 },
          { index: 4, kind: 'io', size: 16 },
        ],
      },
      { id: `fn${device}`, device },
      backend,
    );
    return { fn, backend };
  }

  test('a memory BAR answers while Memory Space is enabled', () => {
    const pci = new PciRig();
    const { fn, backend } = memoryFunction(pci);
    fn.configWrite(0x10, 4, 0xe0000000);
    expect(pci.mmio.read(0xe0000010, 4)).toBe(0xffffffff);

    fn.configWrite(0x04, 2, MEM);
    expect(pci.mmio.read(0xe0000010, 4)).toBe(0x5a);
    pci.mmio.write(0xe0000ffe, 2, 0xbeef, 0);
    expect(backend.accesses).toEqual(['r0 10/4', 'w0 ffe/2 beef']);

    fn.configWrite(0x04, 2, IO);
    pci.mmio.read(0xe0000010, 4);
    expect(pci.mmio.claimed).toBe(false);
  });

  test('an I/O BAR answers while I/O Space is enabled', () => {
    const pci = new PciRig();
    const { fn, backend } = memoryFunction(pci);
    fn.configWrite(0x20, 4, 0xc000);

    pci.ports.write(0xc004, 1, 7);
    fn.configWrite(0x04, 2, IO);
    pci.ports.write(0xc004, 1, 7);

    expect(backend.accesses).toEqual(['w4 4/1 7']);
  });

  test('a BAR follows its register', () => {
    const pci = new PciRig();
    const { fn } = memoryFunction(pci);
    fn.configWrite(0x04, 2, MEM);
    fn.configWrite(0x10, 4, 0xe0000000);

    fn.configWrite(0x12, 2, 0xe123);

    pci.mmio.read(0xe0000000, 4);
    expect(pci.mmio.claimed).toBe(false);
    expect(pci.mmio.read(0xe1230000, 4)).toBe(0x5a);
  });

  test('of two BARs at one address the first function answers until it leaves', () => {
    const pci = new PciRig();
    const a = memoryFunction(pci, 1);
    const b = memoryFunction(pci, 2);
    for (const { fn } of [b, a]) {
      fn.configWrite(0x10, 4, 0xe0000000);
      fn.configWrite(0x20, 4, 0xc000);
      fn.configWrite(0x04, 2, MEM | IO);
    }

    pci.mmio.read(0xe0000000, 4);
    pci.ports.read(0xc000, 1);
    a.fn.configWrite(0x04, 2, 0);
    pci.mmio.read(0xe0000004, 4);
    pci.ports.read(0xc004, 1);

    expect(a.backend.accesses).toEqual(['r0 0/4', 'r4 0/1']);
    expect(b.backend.accesses).toEqual(['r0 4/4', 'r4 4/1']);
  });

  test.each([0xb0000000, 0xfec00000, 0xfee00000, 0x00000000])(
    'a BAR on top of the platform at %i does not answer and does no harm',
    (address) => {
      const pci = new PciRig();
      const { fn, backend } = memoryFunction(pci);
      fn.configWrite(0x10, 4, address);

      fn.configWrite(0x04, 2, MEM);
      pci.mmio.read(address, 4);

      expect(backend.accesses).toEqual([]);
    },
  );

  test('an unplugged function answers no more', () => {
    const pci = new PciRig();
    const { fn } = memoryFunction(pci);
    fn.configWrite(0x10, 4, 0xe0000000);
    fn.configWrite(0x04, 2, MEM | 4);

    pci.root.remove(fn);

    pci.mmio.read(0xe0000000, 4);
    expect(pci.mmio.claimed).toBe(false);
    expect(fn.w.dma.enabled).toBe(false);
    expect(pci.root.find(0x08)).toBeUndefined();
  });

  test('after a load the ranges follow the loaded config space', () => {
    const pci = new PciRig();
    const { fn } = memoryFunction(pci);
    fn.configWrite(0x10, 4, 0xe0000000);
    fn.configWrite(0x04, 2, MEM | 4);
    const saved = fn.stateDef().save(fn.s);
    fn.reset('cold');

    fn.stateDef().load(fn.s, saved, 'fn1');
    pci.root.dropCache();

    expect(pci.mmio.read(0xe0000000, 4)).toBe(0x5a);
    expect(fn.w.dma.enabled).toBe(true);
  });
});

describe('config access', () => {
  test('ECAM reaches bus, device, function and offset', () => {
    const pci = new PciRig();
    pci.plugFunction({}, { device: 3, fn: 2 });

    expect(pci.mmio.read(ECAM + (3 << 15) + (2 << 12), 4)).toBe(0x1234abcd);
    pci.mmio.write(ECAM + (3 << 15) + (2 << 12) + 4, 2, 6, 0);
    expect(pci.mmio.read(ECAM + (3 << 15) + (2 << 12) + 4, 2)).toBe(6);
    expect(pci.mmio.read(ECAM + (3 << 15) + (2 << 12), 8)).toBe(0x1234abcd);
    expect(pci.mmio.hi).toBe(6);
  });

  test('absent functions read all ones and ignore writes', () => {
    const pci = new PciRig();
    pci.plugFunction({}, { device: 3, fn: 0 });

    pci.mmio.write(ECAM + (3 << 15) + (1 << 12) + 4, 4, 7, 0);

    expect(pci.mmio.read(ECAM + (3 << 15) + (1 << 12), 4)).toBe(0xffffffff);
    expect(pci.mmio.read(ECAM + (5 << 20), 2)).toBe(0xffff);
    expect(pci.mmio.read(ECAM, 1)).toBe(0xff);
  });

  test('the ports take low offset bits from the address and from the data port', () => {
    const pci = new PciRig();
    pci.plugFunction({}, { device: 2 });

    pci.ports.write(0xcf8, 4, 0x80001002);
    expect(pci.ports.read(0xcfc, 2)).toBe(0x1234);
    pci.ports.write(0xcf8, 4, 0x80001000);
    expect(pci.ports.read(0xcfe, 2)).toBe(0x1234);
    expect(pci.ports.read(0xcf8, 4)).toBe(0x80001000);
    pci.ports.write(0xcf8, 4, 0x80001800);
    expect(pci.ports.read(0xcfc, 2)).toBe(0xffff);
  });

  test('without the enable bit, and with narrow writes of the address, the ports do nothing', () => {
    const pci = new PciRig();
    const fn = pci.plugFunction({}, { device: 2 });

    pci.ports.write(0xcf8, 4, 0x00001004);
    pci.ports.write(0xcfc, 2, 7);
    pci.ports.write(0xcf8, 1, 0xff);

    expect(pci.ports.read(0xcfc, 4)).toBe(0xffffffff);
    expect(pci.ports.read(0xcf8, 4)).toBe(0x00001004);
    expect(fn.configRead(4, 2)).toBe(0);
  });
});

describe('behind a root port', () => {
  function behind() {
    const pci = new PciRig();
    const port = pci.plug(PCIE_ROOT_PORT, { id: 'rp0', device: 4, config: { slot: 9 } }).fn;
    const backend = new RecordingBackend(0);
    const fn = pci.plugFunction(
      { bars: [{ index: 0, kind: 'memory32', size: 0x1000 }], interruptPin: 1 },
      { parent: port },
      backend,
    );
    return { pci, port, fn, backend };
  }

  function number(pci: PciRig, port: number, secondary: number, subordinate = secondary): void {
    pci.root.configWrite(port, 0x18, 4, (subordinate << 16) | (secondary << 8));
  }

  test('a function is reached by the secondary bus number', () => {
    const { pci, fn } = behind();
    expect(pci.root.find(0x100)).toBeUndefined();

    number(pci, 0x20, 5);

    expect(pci.root.find(0x500)).toBe(fn);
    expect(pci.mmio.read(ECAM + (5 << 20), 4)).toBe(0x1234abcd);
    expect(pci.root.find(0x508)).toBeUndefined();
  });

  test('the requester id follows the bus number', () => {
    const { pci, fn } = behind();

    number(pci, 0x20, 1);
    expect(fn.w.dma.requester).toBe(0x100);

    number(pci, 0x20, 7);
    expect(fn.w.dma.requester).toBe(0x700);
  });

  test('two levels are routed by secondary and subordinate', () => {
    const { pci, port } = behind();
    pci.root.remove(pci.root.functionsOn(port)[0]!);
    const inner = pci.plug(PCIE_ROOT_PORT, { id: 'rp1', parent: port }).fn;
    const leaf = pci.plugFunction({}, { id: 'leaf', parent: inner });

    number(pci, 0x20, 1, 2);
    number(pci, 0x100, 2);

    expect([pci.root.find(0x100), pci.root.find(0x200)]).toEqual([inner, leaf]);
    expect(leaf.w.dma.requester).toBe(0x200);
    number(pci, 0x20, 1, 1);
    expect(pci.root.find(0x200)).toBeUndefined();
  });

  test('bus mastering needs every bridge above to pass it on', () => {
    const { pci, port, fn } = behind();
    number(pci, 0x20, 1);

    fn.configWrite(0x04, 2, 4);
    expect(fn.w.dma.enabled).toBe(false);

    port.configWrite(0x04, 2, 4);
    expect(fn.w.dma.enabled).toBe(true);
  });

  test('a BAR answers inside an enabled window only', () => {
    const { pci, port, fn } = behind();
    number(pci, 0x20, 1);
    fn.configWrite(0x10, 4, 0xe0100000);
    fn.configWrite(0x04, 2, MEM);
    const answers = () => {
      pci.mmio.read(0xe0100000, 4);
      return pci.mmio.claimed;
    };
    expect(answers()).toBe(false);

    port.configWrite(0x20, 4, 0xe010e010);
    expect(answers()).toBe(false);
    port.configWrite(0x04, 2, MEM);
    expect(answers()).toBe(true);

    port.configWrite(0x20, 4, 0xe020e020);
    expect(answers()).toBe(false);
    port.configWrite(0x24, 4, 0xe010e010);
    expect(answers()).toBe(true);
  });

  test('windows come out of reset closed', () => {
    const { port } = behind();

    expect([0x1c, 0x20, 0x24].map((offset) => port.configRead(offset, 4))).toEqual([
      0x000000f0, 0x0000fff0, 0x0001fff1,
    ]);
  });

  test('a closed window (base above limit) passes nothing', () => {
    const { pci, port, fn } = behind();
    fn.configWrite(0x10, 4, 0xe0100000);
    fn.configWrite(0x04, 2, MEM);
    port.configWrite(0x04, 2, MEM);

    port.configWrite(0x20, 4, 0x0000fff0);

    pci.mmio.read(0xe0100000, 4);
    expect(pci.mmio.claimed).toBe(false);
  });

  test('Secondary Bus Reset resets what is behind and hides it while set', () => {
    const { pci, port, fn, backend } = behind();
    number(pci, 0x20, 1);
    fn.configWrite(0x04, 2, 7);
    fn.configWrite(0x10, 4, 0xe0000000);

    port.configWrite(0x3e, 2, 0x40);
    expect(backend.resets).toEqual(['warm']);
    expect(pci.root.find(0x100)).toBeUndefined();

    port.configWrite(0x3e, 2, 0);
    expect(pci.root.find(0x100)).toBe(fn);
    expect([fn.configRead(0x04, 2), fn.configRead(0x10, 4)]).toEqual([0, 0]);
    expect(port.configRead(0x19, 1)).toBe(1);
  });

  test('the slot reports its number and whether something is in it', () => {
    const { pci, port, fn } = behind();

    // Slot Capabilities at 54h: number 9 in bits 31:19; Slot Status at 5Ah, bit 6.
    expect(port.configRead(0x54, 4)).toBe(0x00480000);
    expect(port.configRead(0x5a, 2)).toBe(0x0040);
    pci.root.remove(fn);
    expect(port.configRead(0x5a, 2)).toBe(0);
  });

  test('INTx is swizzled by the slot of the bridge it passes', () => {
    const pci = new PciRig();
    const port = pci.plug(PCIE_ROOT_PORT, { id: 'rp0', device: 2 }).fn;
    const pins = ([1, 2, 3, 4] as const).map((interruptPin, fn) =>
      pci.plugFunction({ interruptPin }, { id: `f${fn}`, parent: port, fn }),
    );
    const atRoot = pci.plugFunction({ interruptPin: 3 }, { id: 'r', device: 7 });

    expect(pins.map((fn) => pci.root.gsiOf(fn))).toEqual([22, 23, 20, 21]);
    expect(pci.root.gsiOf(atRoot)).toBe(21);
  });

  test('only device 0 can be plugged in, and a bridge that is not empty stays', () => {
    const { pci, port } = behind();

    expect(() => pci.plugFunction({}, { id: 'x', parent: port, device: 1 })).toThrow(
      /^x: there is no slot 1\.0 behind rp0/,
    );
    expect(() => pci.plugFunction({}, { id: 'y', parent: port })).toThrow(/^y: slot 0\.0 belongs to fn0/);
    expect(() => pci.root.remove(port)).toThrow(TsvmmError);
  });
});
