import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import { BUFFER, errno } from '../../../kit/host-caller.ts';
import { DATA, ORDINARY, VfioRig } from '../../../kit/vfio-rig.ts';

const { VFIO, IRQ_SET, IRQ } = abi;
const { NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER } = IRQ_SET;
let rig: VfioRig;
beforeEach(() => {
  rig = new VfioRig();
});

describe('GET_INFO', () => {
  test('tells a PCI device with reset, 9 regions and 5 kinds of interrupts', () => {
    const { fd } = rig.bound();
    const { result, out } = rig.ioctl(fd, VFIO.GET_INFO, abi.DEVICE_INFO, {});

    expect([result, out]).toEqual([
      'ok',
      { argsz: 24, flags: 3, num_regions: 9, num_irqs: 5, cap_offset: 0, pad: 0 },
    ]);
  });

  test('of a device that nothing resets says so', () => {
    const { fd } = rig.bound({ fn: { more: { resets: [] } } });

    expect(rig.ioctl(fd, VFIO.GET_INFO, abi.DEVICE_INFO, {}).out.flags).toBe(2);
  });

  test.each([
    ['below the least', 15, 'EINVAL', 15],
    ['the least, without room for capabilities', 16, 'ok', 40],
    ['the structure, without room for capabilities', 24, 'ok', 40],
  ])('argsz %s', (_, argsz, result, out) => {
    const { fd } = rig.bound({ fn: { more: { atomicCompletions: 3 } } });
    const answer = rig.ioctl(fd, VFIO.GET_INFO, abi.DEVICE_INFO, { argsz });

    expect([answer.result, answer.out.argsz, answer.out.cap_offset]).toEqual([result, out, 0]);
  });

  test('capabilities come behind it where they fit', () => {
    const { fd } = rig.bound({ fn: { more: { atomicCompletions: 3 } } });
    const { out, tail } = rig.ioctl(fd, VFIO.GET_INFO, abi.DEVICE_INFO, {}, new Uint8Array(16));

    expect([out.cap_offset, out.flags, [...tail]]).toEqual([
      24,
      0x83,
      [5, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
    ]);
  });
});

describe('GET_REGION_INFO', () => {
  const ROM = { more: { rom: new Uint8Array(3000) } };
  // index, size, flags
  const REGIONS: readonly (readonly [string, number, number, number])[] = [
    ['a 64-bit BAR', 0, 0x4000, 7],
    ['its second half', 1, 0, 0],
    ['the BAR with the MSI-X table', 2, 0x1000, 0xf],
    ['an I/O BAR', 3, 0x20, 3],
    ['a BAR that is not there', 5, 0, 0],
    ['the ROM', 6, 4096, 1],
    ['configuration space', 7, 4096, 3],
  ];
  test.each(REGIONS)('%s', (_, index, size, flags) => {
    const { fd } = rig.bound({ fn: ROM });
    const { out } = rig.ioctl(fd, VFIO.GET_REGION_INFO, abi.REGION_INFO, { index }, new Uint8Array(8));

    expect([out.size, out.flags, out.offset]).toEqual([BigInt(size), flags, BigInt(index) << 40n]);
  });

  test('a conventional device has 256 bytes of configuration space, and no ROM', () => {
    const { fd } = rig.bound({ fn: { conventional: true, extended: [] } });
    const sizes = [7, 6].map(
      (index) => rig.ioctl(fd, VFIO.GET_REGION_INFO, abi.REGION_INFO, { index }).out.size,
    );

    expect(sizes).toEqual([256n, 0n]);
  });

  test('the MSI-X table may be mapped: a capability says so, if it fits', () => {
    const { fd } = rig.bound();
    const narrow = rig.ioctl(fd, VFIO.GET_REGION_INFO, abi.REGION_INFO, { index: 2 });
    const wide = rig.ioctl(fd, VFIO.GET_REGION_INFO, abi.REGION_INFO, { index: 2 }, new Uint8Array(8));

    expect([narrow.out.argsz, narrow.out.cap_offset]).toEqual([40, 0]);
    expect([wide.out.cap_offset, [...wide.tail]]).toEqual([32, [3, 0, 1, 0, 0, 0, 0, 0]]);
  });

  test.each([
    ['VGA', { index: 8 }],
    ['a region that is not there', { index: 9 }],
    ['a huge index', { index: 0xffff_ffff }],
    ['argsz below the least', { argsz: 31 }],
  ])('%s is EINVAL', (_, values) => {
    expect(rig.ioctl(rig.bound().fd, VFIO.GET_REGION_INFO, abi.REGION_INFO, values).result).toBe('EINVAL');
  });
});

describe('GET_IRQ_INFO', () => {
  test.each([
    ['INTx', 0, 1, 7],
    ['MSI', 1, 8, 9],
    ['MSI-X', 2, 4, 9],
    ['errors', 3, 1, 9],
    ['requests of the host', 4, 1, 9],
  ])('%s', (_, index, count, flags) => {
    const { out } = rig.ioctl(rig.bound().fd, VFIO.GET_IRQ_INFO, abi.IRQ_INFO, { index });

    expect([out.count, out.flags]).toEqual([count, flags]);
  });

  test('vectors of MSI-X that can be added have no fixed size', () => {
    const { fd } = rig.bound({ fn: { more: { dynamicMsix: true } } });

    expect(rig.ioctl(fd, VFIO.GET_IRQ_INFO, abi.IRQ_INFO, { index: 2 }).out.flags).toBe(1);
  });

  test('a device without a pin has no INTx, and without PCI Express no errors', () => {
    const { fd } = rig.bound({ fn: { pin: 0, conventional: true, standard: [], extended: [] } });
    const intx = rig.ioctl(fd, VFIO.GET_IRQ_INFO, abi.IRQ_INFO, { index: 0 });
    const errors = rig.ioctl(fd, VFIO.GET_IRQ_INFO, abi.IRQ_INFO, { index: 3 });

    expect([intx.out.count, errors.result]).toEqual([0, 'EINVAL']);
  });

  test.each([
    ['an index that is not there', { index: 5 }],
    ['argsz below the least', { argsz: 15 }],
  ])('%s is EINVAL', (_, values) => {
    expect(rig.ioctl(rig.bound().fd, VFIO.GET_IRQ_INFO, abi.IRQ_INFO, values).result).toBe('EINVAL');
  });
});

describe('SET_IRQS', () => {
  // flags, index, start, count, data, result
  type Case = readonly [string, number, number, number, number, readonly number[], string];
  const CASES: readonly Case[] = [
    ['no type of data', TRIGGER, 0, 0, 1, [], 'EINVAL'],
    ['two types of data', TRIGGER | NONE | BOOL, 0, 0, 1, [1], 'EINVAL'],
    ['an unknown flag', TRIGGER | NONE | 64, 0, 0, 1, [], 'EINVAL'],
    ['an index that is not there', TRIGGER | NONE, 5, 0, 1, [], 'EINVAL'],
    ['a start behind the last', TRIGGER | NONE, 2, 4, 0, [], 'EINVAL'],
    ['a range that ends behind the last', TRIGGER | NONE, 2, 1, 4, [], 'EINVAL'],
    ['a range that wraps', TRIGGER | NONE, 2, 1, 0xffff_ffff, [], 'EINVAL'],
    ['data shorter than the range', TRIGGER | EVENTFD, 2, 0, 2, [-1], 'EINVAL'],
    ['no action', NONE, 0, 0, 1, [], 'ENOTTY'],
    ['two actions', NONE | MASK | TRIGGER, 0, 0, 1, [], 'ENOTTY'],
    ['masking MSI', NONE | MASK, 1, 0, 1, [], 'ENOTTY'],
    ['unmasking MSI-X', NONE | UNMASK, 2, 0, 1, [], 'ENOTTY'],
    ['masking errors', NONE | MASK, 3, 0, 1, [], 'ENOTTY'],
    ['masking INTx before it is set up', NONE | MASK, 0, 0, 1, [], 'EINVAL'],
    ['unmasking INTx before it is set up', NONE | UNMASK, 0, 0, 1, [], 'EINVAL'],
    ['triggering INTx before it is set up', NONE | TRIGGER, 0, 0, 1, [], 'EINVAL'],
    ['ending INTx before it is set up', NONE | TRIGGER, 0, 0, 0, [], 'EINVAL'],
    ['triggering MSI-X before it is set up', BOOL | TRIGGER, 2, 0, 1, [1], 'EINVAL'],
    ['MSI-X with no vectors', EVENTFD | TRIGGER, 2, 0, 0, [], 'ERANGE'],
    ['an eventfd that is not open', EVENTFD | TRIGGER, 2, 0, 1, [99], 'EBADF'],
    ['another file', EVENTFD | TRIGGER, 2, 0, 1, [3], 'EINVAL'],
    ['a vector without an eventfd', EVENTFD | TRIGGER, 2, 0, 1, [-1], 'ok'],
    ['errors without an eventfd', NONE | TRIGGER, 3, 0, 1, [], 'EINVAL'],
    ['no value for errors', BOOL | TRIGGER, 3, 0, 0, [], 'EINVAL'],
    ['an end of errors that were not set', EVENTFD | TRIGGER, 3, 0, 1, [-1], 'ok'],
  ];
  test.each(CASES)('%s: %#', (_, flags, index, start, count, data, expected) => {
    expect(rig.irqs(rig.bound().fd, flags, index, start, count, data)).toBe(expected);
  });

  test('argsz below the least is EINVAL, a bad pointer EFAULT', () => {
    const { fd } = rig.bound();
    const short = rig.ioctl(fd, VFIO.SET_IRQS, abi.IRQ_SET_HEADER, { argsz: 19, flags: NONE | TRIGGER });

    expect([short.result, errno(rig.calls.ioctl(fd, VFIO.SET_IRQS, 0xfff0n))]).toEqual(['EINVAL', 'EFAULT']);
  });

  test('a count whose data would wrap is refused, and nothing is read', () => {
    const { fd } = rig.bound();
    const huge = { argsz: 0xffff_ffff, flags: EVENTFD | TRIGGER, index: 2, start: 0, count: 0x4000_0000 };

    expect(rig.ioctl(fd, VFIO.SET_IRQS, abi.IRQ_SET_HEADER, huge).result).toBe('EINVAL');
  });

  describe('messages', () => {
    const two = () => {
      const added = rig.bound();
      const events = [rig.calls.eventfd(0), rig.calls.eventfd(0)] as const;
      const result = rig.irqs(added.fd, EVENTFD | TRIGGER, IRQ.MSIX, 0, 2, events);
      return { ...added, events, result };
    };

    test('each vector signals its eventfd', () => {
      const { fn, events } = two();
      fn.sink?.message(1);
      fn.sink?.message(1);
      fn.sink?.message(3);

      expect(events.map((one) => rig.signals(one))).toEqual([0, 2]);
    });

    test('are armed in the device, and disarmed where they lose their eventfd', () => {
      const { fn, fd } = two();
      const before = [...fn.armed];
      rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 0, 1, [-1]);

      expect([fn.log.includes('enable msix 2'), before, [...fn.armed]]).toEqual([
        true,
        ['msix0', 'msix1'],
        ['msix1'],
      ]);
    });

    test('more vectors than were set up are EINVAL, and those of the call lose theirs', () => {
      const { fd, events, fn } = two();
      const result = rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 1, 2, [events[0], events[1]]);

      expect([result, [...fn.armed]]).toEqual(['EINVAL', ['msix0']]);
    });

    test('a device that can add vectors does', () => {
      const { fd, fn } = rig.bound({ fn: { more: { dynamicMsix: true } } });
      const event = rig.calls.eventfd(0);
      const results = [
        rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 0, 1, [event]),
        rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 3, 1, [event]),
      ];

      expect([results, [...fn.armed]]).toEqual([
        ['ok', 'ok'],
        ['msix0', 'msix3'],
      ]);
    });

    test('a first set-up that is refused leaves nothing', () => {
      const { fd, fn } = rig.bound();
      const result = rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 0, 2, [rig.calls.eventfd(0), 99]);

      expect([result, fn.armed.size, rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSI, 0, 1, [-1])]).toEqual([
        'EBADF',
        0,
        'ok',
      ]);
    });

    test('can be triggered by the user, for a test of the way', () => {
      const { fd, events } = two();
      rig.irqs(fd, NONE | TRIGGER, IRQ.MSIX, 0, 2);
      rig.irqs(fd, BOOL | TRIGGER, IRQ.MSIX, 0, 2, [0, 1]);

      expect(events.map((one) => rig.signals(one))).toEqual([1, 2]);
    });

    test('exclude other kinds until they end', () => {
      const { fd } = two();
      const event = rig.calls.eventfd(0);
      const meanwhile = [IRQ.INTX, IRQ.MSI].map((index) =>
        rig.irqs(fd, EVENTFD | TRIGGER, index, 0, 1, [event]),
      );
      const ended = rig.irqs(fd, NONE | TRIGGER, IRQ.MSIX, 0, 0);

      expect([meanwhile, ended, rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSI, 0, 1, [event])]).toEqual([
        ['EINVAL', 'EINVAL'],
        'ok',
        'ok',
      ]);
    });

    test('come back after a reset', () => {
      const { fd, fn } = two();
      fn.log.length = 0;
      fn.armed.clear();
      rig.calls.ioctl(fd, VFIO.RESET, 0n);

      expect([fn.log.includes('enable msix 2'), [...fn.armed]]).toEqual([true, ['msix0', 'msix1']]);
    });
  });

  describe('INTx', () => {
    const set = () => {
      const added = rig.bound();
      const event = rig.calls.eventfd(0);
      rig.irqs(added.fd, EVENTFD | TRIGGER, IRQ.INTX, 0, 1, [event]);
      return { ...added, event };
    };

    test('is masked when it comes, and told once', () => {
      const { fn, event } = set();
      fn.sink?.intx(true);
      fn.sink?.intx(true);

      expect([rig.signals(event), fn.get(4, 2) & 0x400]).toEqual([1, 0x400]);
    });

    test('unmasked while it is asserted, it is told again', () => {
      const { fn, fd, event } = set();
      fn.sink?.intx(true);
      rig.irqs(fd, NONE | UNMASK, IRQ.INTX, 0, 1);
      const still = rig.signals(event);
      fn.sink?.intx(false);
      rig.irqs(fd, BOOL | UNMASK, IRQ.INTX, 0, 1, [1]);

      expect([still, rig.signals(event), fn.get(4, 2) & 0x400]).toEqual([2, 0, 0]);
    });

    test('an eventfd unmasks it, too; a second one is EBUSY', () => {
      const { fn, fd, event } = set();
      const resample = rig.calls.eventfd(0);
      const results = [
        rig.irqs(fd, EVENTFD | UNMASK, IRQ.INTX, 0, 1, [resample]),
        rig.irqs(fd, EVENTFD | UNMASK, IRQ.INTX, 0, 1, [resample]),
      ];
      fn.sink?.intx(true);
      fn.sink?.intx(false);
      rig.caller.put(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), DATA);
      rig.calls.write(resample, DATA, 8);
      fn.sink?.intx(true);

      expect([results, rig.signals(event)]).toEqual([['ok', 'EBUSY'], 2]);
    });

    test('masking by eventfd is ENOTTY', () => {
      expect(rig.irqs(set().fd, EVENTFD | MASK, IRQ.INTX, 0, 1, [-1])).toBe('ENOTTY');
    });

    test('disabled in the user’s command register it is silent', () => {
      const { fn, fd, event } = set();
      rig.caller.put(Uint8Array.of(0, 4), DATA);
      rig.calls.pwrite(fd, DATA, 2, (7n << 40n) + 4n);
      fn.sink?.intx(true);
      const before = rig.signals(event);
      rig.caller.put(Uint8Array.of(0, 0), DATA);
      rig.calls.pwrite(fd, DATA, 2, (7n << 40n) + 4n);

      expect([before, rig.signals(event)]).toEqual([0, 1]);
    });
  });

  test('errors and requests of the host have eventfds of their own', () => {
    const { fd, fn, device } = rig.bound();
    const [error, request] = [rig.calls.eventfd(0), rig.calls.eventfd(0)] as const;
    rig.irqs(fd, EVENTFD | TRIGGER, IRQ.ERR, 0, 1, [error]);
    rig.irqs(fd, EVENTFD | TRIGGER, IRQ.REQ, 0, 1, [request]);
    fn.sink?.error();
    device.open?.irqs.request();
    rig.irqs(fd, NONE | TRIGGER, IRQ.REQ, 0, 0);
    device.open?.irqs.request();

    expect([rig.signals(error), rig.signals(request)]).toEqual([1, 1]);
  });
});

describe('regions', () => {
  const at = (region: number, offset: number) => (BigInt(region) << 40n) + BigInt(offset);
  const enable = (fd: number) => {
    rig.caller.put(Uint8Array.of(2, 0), DATA);
    rig.calls.pwrite(fd, DATA, 2, at(7, 4));
  };

  test('a BAR is read and written in its own widths, once memory is enabled', () => {
    const { fd, fn } = rig.bound();
    const before = errno(rig.calls.pread(fd, DATA, 4, at(0, 0)));
    enable(fd);
    fn.log.length = 0;
    rig.caller.put(
      Uint8Array.from({ length: 16 }, (_, i) => i + 1),
      DATA,
    );
    const written = rig.calls.pwrite(fd, DATA, 15, at(0, 1));
    const read = rig.calls.pread(fd, DATA + 0x100n, 15, at(0, 1));

    expect([before, written, read, fn.log, [...rig.caller.bytes(DATA + 0x100n, 15)]]).toEqual([
      'EIO',
      15,
      15,
      ['bar0 1/1=1', 'bar0 2/2=302', 'bar0 4/4=7060504', 'bar0 8/8=b0a0908'],
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    ]);
  });

  test('an access ends with the BAR', () => {
    const { fd } = rig.bound();
    enable(fd);

    expect([
      rig.calls.pread(fd, DATA, 64, at(2, 0xff0)),
      errno(rig.calls.pread(fd, DATA, 4, at(2, 0x1000))),
    ]).toEqual([16, 'EINVAL']);
  });

  test('the MSI-X table reads as ones and cannot be written', () => {
    const { fd, fn } = rig.bound();
    enable(fd);
    rig.caller.put(new Uint8Array(0x60).fill(0x55), DATA);
    rig.calls.pwrite(fd, DATA, 0x60, at(2, 0x7f0));
    rig.calls.pread(fd, DATA, 0x60, at(2, 0x7f0));
    const bytes = rig.caller.bytes(DATA, 0x60);

    expect([bytes[0x0f], bytes[0x10], bytes[0x4f], bytes[0x50], fn.memory[2]![0x810]]).toEqual([
      0x55, 0xff, 0xff, 0x55, 0,
    ]);
  });

  test('an I/O BAR needs no memory enable', () => {
    expect(rig.calls.pread(rig.bound().fd, DATA, 4, at(3, 0))).toBe(4);
  });

  test('the ROM is read up to its BAR, and never written', () => {
    const rom = Uint8Array.of(0x55, 0xaa);
    const { fd } = rig.bound({ fn: { more: { rom } } });
    const read = rig.calls.pread(fd, DATA, 4, at(6, 0));

    expect([read, [...rig.caller.bytes(DATA, 4)], errno(rig.calls.pwrite(fd, DATA, 1, at(6, 0)))]).toEqual([
      4,
      [0x55, 0xaa, 0xff, 0xff],
      'EINVAL',
    ]);
  });

  test.each([
    ['a BAR that is not there', at(4, 0), 'EINVAL'],
    ['VGA', at(8, 0), 'EINVAL'],
    ['a region behind the last', at(9, 0), 'EINVAL'],
    ['a huge place', (1n << 63n) - 1n, 'EINVAL'],
    ['configuration space across its end', at(7, 4094), 'EFAULT'],
    ['configuration space behind its end', at(7, 4096), 'EFAULT'],
  ])('%s', (_, offset, expected) => {
    const { fd } = rig.bound();

    expect(errno(rig.calls.pread(fd, DATA, 4, offset))).toBe(expected);
    expect(errno(rig.calls.pwrite(fd, DATA, 4, offset))).toBe(expected);
  });

  test('nothing is moved by no bytes, wherever', () => {
    expect(rig.calls.pread(rig.bound().fd, DATA, 0, at(9, 0))).toBe(0);
  });

  test('bad pointers are EFAULT', () => {
    const { fd } = rig.bound();
    enable(fd);

    expect([at(0, 0), at(7, 0), at(6, 0)].map((offset) => errno(rig.calls.pread(fd, 0n, 4, offset)))).toEqual(
      ['EFAULT', 'EFAULT', 'EINVAL'],
    );
  });

  test('without a place, reads go on from each other', () => {
    const { fd } = rig.bound();
    enable(fd);
    rig.calls.read(fd, DATA, 0x10);
    rig.caller.put(Uint8Array.of(7, 0, 0, 0), DATA);
    rig.calls.write(fd, DATA, 4);
    rig.calls.pread(fd, DATA, 4, at(0, 0x10));

    expect(rig.caller.bytes(DATA, 1)[0]).toBe(7);
  });

  test('a state without power does not decode', () => {
    const { fd } = rig.bound();
    enable(fd);
    rig.caller.put(Uint8Array.of(3, 0), DATA);
    rig.calls.pwrite(fd, DATA, 2, at(7, 0x44));

    expect(errno(rig.calls.pread(fd, DATA, 4, at(0, 0)))).toBe('EIO');
  });

  describe('mapped', () => {
    const map = (fd: number, region: number, offset: number, length: bigint, flags = 1) =>
      errno(rig.calls.mmap(fd, { address: BUFFER, length, prot: 3, flags, offset: at(region, offset) }));

    test('loads and stores are the device’s while it decodes', () => {
      const { fd, fn } = rig.bound();
      const mapped = map(fd, 0, 0x1000, 0x1000n);
      const found = rig.calls.process.window(BUFFER + 8n)!;
      const before = found.window.load(found.offset, 4);
      enable(fd);
      found.window.store(found.offset, 4, 0x1234, 0);

      expect([mapped, before, found.window.load(8, 4), fn.memory[0]![0x1008]]).toEqual([
        'ok',
        0xffff_ffff,
        0x1234,
        0x34,
      ]);
    });

    test('its addresses are no memory: pointers to them are bad', () => {
      const { fd } = rig.bound();
      map(fd, 0, 0, 0x1000n);

      expect(errno(rig.calls.pread(fd, BUFFER, 4, at(7, 0)))).toBe('EFAULT');
    });

    test('keeps the device open', () => {
      const { fd, fn } = rig.bound();
      map(fd, 0, 0, 0x1000n);
      rig.calls.close(fd);
      const meanwhile = fn.sink !== undefined;
      rig.calls.munmap(BUFFER, 0x1000n);

      expect([meanwhile, fn.sink]).toEqual([true, undefined]);
    });

    test.each([
      ['a private mapping', 0, 0, 0x1000n, 2],
      ['one behind the end', 0, 0x4000, 0x1000n, 1],
      ['one across the end', 0, 0x3000, 0x2000n, 1],
      ['an I/O BAR', 3, 0, 0x1000n, 1],
      ['the ROM', 6, 0, 0x1000n, 1],
      ['configuration space', 7, 0, 0x1000n, 1],
      ['no region', 12, 0, 0x1000n, 1],
      ['part of a page', 0, 0x10, 0x1000n, 1],
      ['nothing', 0, 0, 0n, 1],
    ])('%s is EINVAL', (_, region, offset, length, flags) => {
      expect(map(rig.bound().fd, region, offset, length, flags)).toBe('EINVAL');
    });
  });
});

test('power state D3 loses registers, and D0 brings back what the host had set', () => {
  const { fd, fn } = rig.bound();
  fn.put(0x44, 2, 0);
  const state = (value: number) => {
    rig.caller.put(Uint8Array.of(value, 0), DATA);
    rig.calls.pwrite(fd, DATA, 2, (7n << 40n) + 0x44n);
  };
  state(3);
  fn.put(0x18, 4, 0);
  state(0);

  expect(fn.get(0x18, 4)).toBe(0xfe00_0000);
});

test('RESET of a device that nothing resets is EINVAL', () => {
  const { fd } = rig.bound({ fn: { ...ORDINARY, more: { resets: [] } } });

  expect(errno(rig.calls.ioctl(fd, VFIO.RESET, 0n))).toBe('EINVAL');
});

test('FLR by the user resets the device', () => {
  const { fd, fn } = rig.bound();
  fn.log.length = 0;
  rig.caller.put(Uint8Array.of(0, 0x80), DATA);
  rig.calls.pwrite(fd, DATA, 2, (7n << 40n) + 0x78n);

  expect(fn.log.includes('reset flr')).toBe(true);
});
