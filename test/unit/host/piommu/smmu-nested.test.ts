import { describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { decode, encode } from '../../../../vmm/host/kernel/struct.ts';
import { HW_INFO_SMMUV3, HWPT_SMMUV3, SMMUV3_INVALIDATE } from '../../../../vmm/host/piommu/abi.ts';
import { errno } from '../../../kit/host-caller.ts';
import { DATA, type PhysicalHost, smmuHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
/** The StreamID by which the guest knows the function. */
const VSID = 0x33;
/** Guest-physical: a linear table of 4 CDs, and tables of stage 1. */
const CDS = 0x20_0000;
const TOP = 0x21_0000;
const LAST = TOP + 0x3000;
const ADDRESS = 0x7000_1000;
const ASID = 9;
/** Valid, stage 1 (Config 5), the CD table. */
const STE0 = BigInt(1 | (5 << 1) | CDS) | (2n << 59n);
/** Without substream: CD 0. */
const STE1 = 2n;

/** The guest's CD (A, R, AA64, inner shareable, 48 bits, EPD1), as its driver writes it. */
function guestCd(host: PhysicalHost, ssid = 0): void {
  const at = CDS + ssid * 64;
  host.store(at + 4, 4 | (1 << 9) | (1 << 13) | (1 << 14) | (ASID << 16));
  host.store(at + 8, TOP);
  host.store(at + 24, 0xff);
  host.store(at, 16 | (3 << 12) | (1 << 30) | 0x80000000);
}

function guestMaps(host: PhysicalHost, to: number): void {
  host.store(TOP, (TOP + 0x1000) | 3);
  host.store(TOP + 0x1000 + Math.floor(ADDRESS / 2 ** 30) * 8, (TOP + 0x2000) | 3);
  host.store(TOP + 0x2000 + ((ADDRESS >>> 21) & 511) * 8, LAST | 3);
  // Page, not global, AF, inner shareable, unprivileged.
  host.store(LAST + ((ADDRESS >>> 12) & 511) * 8, to === 0 ? 0 : to | 0xf43);
}

function world(config = {}, options = {}) {
  const host = smmuHost(config, options);
  host.mapGuest();
  const dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true, pri: true, stalls: true });
  const device = host.bind(dev);
  const parent = host.hwpt(device, abi.HWPT_FLAGS.NEST_PARENT);
  const viommu = host.caller.ok(abi.NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
    type: 1,
    dev_id: device.id,
    hwpt_id: parent,
  }).out_viommu_id;
  const identify = () =>
    host.caller.ok(abi.NR.VDEVICE_ALLOC, abi.IOMMU_VDEVICE_ALLOC, {
      viommu_id: viommu,
      dev_id: device.id,
      virt_id: BigInt(VSID),
    });
  const nest = (ste0: bigint, ste1 = STE1, more: { flags?: number; fault_id?: number } = {}) =>
    host.caller.ioctl(
      abi.NR.HWPT_ALLOC,
      abi.IOMMU_HWPT_ALLOC,
      host.nestedCall(device, viommu, abi.HWPT_DATA.ARM_SMMUV3, HWPT_SMMUV3, { ste0, ste1 }, more),
    );
  const command = (...commands: (readonly [bigint, bigint])[]) => {
    for (const [i, [cmd0, cmd1]] of commands.entries())
      host.caller.put(encode(SMMUV3_INVALIDATE, { cmd0, cmd1 }), DATA + BigInt(i * 16));
    const { result, out } = host.caller.ioctl(abi.NR.HWPT_INVALIDATE, abi.IOMMU_HWPT_INVALIDATE, {
      hwpt_id: viommu,
      data_uptr: DATA,
      data_type: abi.INVALIDATE_DATA.ARM_SMMUV3,
      entry_len: 16,
      entry_num: commands.length,
    });
    return { error: errno(result), done: out.entry_num };
  };
  return { host, dev, device, parent, viommu, identify, nest, command };
}

/** Commands of the guest. */
const tlbiVa = (address: number): [bigint, bigint] => [0x12n | (BigInt(ASID) << 48n), BigInt(address) | 1n];
const tlbiAsid: [bigint, bigint] = [0x11n | (BigInt(ASID) << 48n), 0n];
const cfgiCd = (ssid: number, sid = VSID): [bigint, bigint] => [
  0x05n | (BigInt(ssid) << 12n) | (BigInt(sid) << 32n),
  1n,
];
const nsnhAll: [bigint, bigint] = [0x30n, 0n];

describe('a nested stream', () => {
  test("the guest's CD table and tables lie in guest memory, which stage 2 finds 2 GiB up", () => {
    const { host, device, identify, nest } = world();
    identify();
    guestCd(host);
    guestMaps(host, 0x5000);
    host.store(0x5010, 0xfeed);

    device.attach(0, nest(STE0).out.out_hwpt_id);

    expect(host.read(DEV, ADDRESS + 0x10)).toBe(0xfeed);
    expect(host.write(DEV, ADDRESS + 0x14, 7)).toBe(true);
    expect(host.load(0x5014)).toBe(7);
  });

  test.each([
    ['the page', tlbiVa(ADDRESS), 2],
    ['another page', tlbiVa(ADDRESS + 0x1000), 1],
    ['the ASID', tlbiAsid, 2],
    ['another ASID', [0x11n, 0n], 1],
    ['everything', nsnhAll, 2],
    ['stage 1 of some VMID, which becomes its own', [0x10n | (77n << 32n), 0n], 2],
  ] as const)('a changed table is stale until it is invalidated: by %s', (_, invalidation, seen) => {
    const { host, device, identify, nest, command } = world();
    identify();
    guestCd(host);
    guestMaps(host, 0x5000);
    host.store(0x5000, 1);
    host.store(0x6000, 2);
    device.attach(0, nest(STE0).out.out_hwpt_id);
    expect(host.read(DEV, ADDRESS)).toBe(1);

    guestMaps(host, 0x6000);
    expect(host.read(DEV, ADDRESS)).toBe(1);
    expect(command(invalidation as [bigint, bigint])).toEqual({ error: 'ok', done: 1 });
    expect(host.read(DEV, ADDRESS)).toBe(seen);
  });

  test('a new CD is seen after CFGI_CD of its virtual StreamID', () => {
    const { host, device, identify, nest, command } = world();
    identify();
    guestCd(host);
    guestMaps(host, 0x5000);
    host.store(0x5000, 1);
    device.attach(0, nest(STE0).out.out_hwpt_id);
    expect(host.read(DEV, ADDRESS, 1)).toBeUndefined();

    guestCd(host, 1);
    expect(host.read(DEV, ADDRESS, 1)).toBeUndefined();
    command(cfgiCd(1));
    expect(host.read(DEV, ADDRESS, 1)).toBe(1);
  });

  test('unmapping guest memory from the IOAS takes combined translations along', () => {
    const { host, device, identify, nest } = world();
    identify();
    guestCd(host);
    guestMaps(host, 0x5000);
    device.attach(0, nest(STE0, STE1 | (1n << 28n)).out.out_hwpt_id);
    expect(host.read(DEV, ADDRESS)).toBe(0);
    host.invalidated.length = 0;

    host.unmap(0n, host.guest.size);

    expect(host.read(DEV, ADDRESS)).toBeUndefined();
    expect(host.invalidated.map(({ pasid, order }) => [pasid, order])).toEqual([
      [-1, 52],
      [-2, 52],
    ]);
  });

  test('bypass is stage 2 alone; abort and an STE that is not valid abort; from one to the other by replacing', () => {
    const { host, device, identify, nest } = world();
    identify();
    host.store(0x4000, 0x44);
    const bypass = nest(1n | (4n << 1n)).out.out_hwpt_id;
    const abort = nest(1n).out.out_hwpt_id;
    const invalid = nest(0n).out.out_hwpt_id;

    device.attach(0, bypass);
    expect(host.read(DEV, 0x4000)).toBe(0x44);
    device.replace(0, abort);
    expect(host.read(DEV, 0x4000)).toBeUndefined();
    device.replace(0, bypass);
    expect(host.read(DEV, 0x4000)).toBe(0x44);
    device.replace(0, invalid);
    expect(host.read(DEV, 0x4000)).toBeUndefined();
  });

  test.each([
    ['stage 2', 1n | (6n << 1n), STE1, {}, 'EIO'],
    ['both stages', 1n | (7n << 1n), STE1, {}, 'EIO'],
    ['a reserved bit', STE0 | (1n << 56n), STE1, {}, 'EIO'],
    ['a field of the host', STE0, STE1 | (1n << 32n), {}, 'EIO'],
    ['split-stage ATS', STE0, STE1 | (2n << 28n), {}, 'EIO'],
    ['ATS in full', STE0, STE1 | (1n << 28n), {}, 'ok'],
    ['the flag PASID', STE0, STE1, { flags: abi.HWPT_FLAGS.PASID }, 'EOPNOTSUPP'],
  ] as const)('allocating with %s: %s', (_, ste0, ste1, more, error) => {
    expect(errno(world().nest(ste0, ste1, more).result)).toBe(error);
  });

  test('attaching: a stream that translates needs a virtual StreamID, and none of the host has PASIDs', () => {
    const { host, device, identify, nest } = world();
    const hwpt = nest(STE0).out.out_hwpt_id;

    expect(() => device.attach(0, hwpt)).toThrow(expect.objectContaining({ errno: 'ENOENT' }));
    identify();
    host.driver.attach(device.host, 5, host.driver.allocPaging(device.host, 0, undefined));
    expect(() => device.attach(0, hwpt)).toThrow(expect.objectContaining({ errno: 'EBUSY' }));
    host.driver.detach(device.host, 5);
    device.attach(0, hwpt);
  });

  test.each([
    ['CMD_SYNC', [0x46n, 0n]],
    ['CFGI_STE', [0x03n | (BigInt(VSID) << 32n), 0n]],
    ['TLBI_S12_VMALL', [0x28n, 0n]],
    ['RESUME', [0x44n, 0n]],
    ['no command', [0n, 0n]],
    ['a reserved bit', [0x10n | (1n << 20n), 0n]],
    ['CFGI_CD of a stream that is not its own', cfgiCd(0, 0x34)],
    ['ATC_INV of a stream that is not its own', [0x40n | (1n << 32n), 52n]],
    ['a range that the unit calls illegal', [0x12n, 1n << 10n]],
  ] as const)('%s is refused: EIO, and what came before it is done', (name, wrong) => {
    const { host, device, identify, nest, command } = world();
    identify();
    guestCd(host);
    guestMaps(host, 0x5000);
    host.store(0x6000, 2);
    device.attach(0, nest(STE0).out.out_hwpt_id);
    host.read(DEV, ADDRESS);
    guestMaps(host, 0x6000);

    const { error, done } = command(tlbiAsid, wrong as [bigint, bigint], cfgiCd(1));

    expect(error).toBe('EIO');
    expect(done).toBe(name.startsWith('a range') ? 3 : 1);
    expect(host.read(DEV, ADDRESS)).toBe(2);
  });

  test('ATC invalidations go to the function by its own id', () => {
    const { host, device, identify, nest, command } = world();
    identify();
    device.attach(0, nest(1n | (4n << 1n), 1n << 28n).out.out_hwpt_id);
    host.invalidated.length = 0;

    command([0x40n | (1n << 11n) | (6n << 12n) | (BigInt(VSID) << 32n), 0x7000_0001n]);

    expect(host.invalidated).toEqual([{ requester: DEV, pasid: 6, address: 0x7000_0000, order: 1 }]);
  });
});

test('the erratum of double commands is the host’s affair: commands of the guest work as they are, however many', () => {
  const { host, device, identify, nest, command } = world(
    { 'repeat-invalidations': true },
    { commandsTwice: true },
  );
  identify();
  guestCd(host);
  guestMaps(host, 0x5000);
  host.store(0x6000, 2);
  device.attach(0, nest(STE0).out.out_hwpt_id);
  host.read(DEV, ADDRESS);
  guestMaps(host, 0x6000);

  // More than fit between two CMD_SYNCs; the one that counts at every place.
  for (let place = 0; place < 130; place += 13) {
    guestMaps(host, 0x5000);
    command(nsnhAll);
    const before = host.read(DEV, ADDRESS);
    guestMaps(host, 0x6000);
    const others = Array.from({ length: 130 }, (_, i) => tlbiVa(ADDRESS + (i + 1) * 0x1000));
    others[place] = tlbiVa(ADDRESS);
    command(...others);
    expect([place, before, host.read(DEV, ADDRESS)]).toEqual([place, 0, 2]);
  }
});

describe('errors of vIOMMU objects', () => {
  test.each([
    ['another type', { type: 2 }, 'EOPNOTSUPP'],
    ['data', { data_len: 8, data_uptr: DATA }, 'EOPNOTSUPP'],
  ])('%s', (_, change, error) => {
    const { host, device, parent } = world();
    const call = { type: 1, dev_id: device.id, hwpt_id: parent, ...change };

    expect(host.caller.refused(abi.NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, call)).toBe(error);
  });

  test('nesting without a vIOMMU is not offered', () => {
    const { host, device, parent } = world();
    const call = host.nestedCall(device, parent, abi.HWPT_DATA.ARM_SMMUV3, HWPT_SMMUV3, {});

    expect(host.caller.refused(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, call)).toBe('EOPNOTSUPP');
  });
});

test('hardware information: the registers of the unit, and whether it has the erratum', () => {
  for (const [options, flags] of [
    [{}, 0],
    [{ commandsTwice: true }, 1],
  ] as const) {
    const { host, device } = world({}, options);
    const { data_type, data_len } = host.caller.ok(abi.NR.GET_HW_INFO, abi.IOMMU_GET_HW_INFO, {
      dev_id: device.id,
      data_len: 40,
      data_uptr: DATA,
    });

    expect({ data_type, data_len }).toEqual({ data_type: 2, data_len: 40 });
    const info = decode(HW_INFO_SMMUV3, host.caller.bytes(DATA, 40));
    expect(info.flags).toBe(flags);
    expect([info.idr0, info.idr1, info.idr3, info.idr5, info.aidr]).toEqual(
      [0, 4, 0xc, 0x14, 0x1c].map((offset) => host.unit.read(offset)),
    );
  }
});

describe('events', () => {
  function withQueue(stalls = false) {
    const made = world();
    const { host, viommu, identify } = made;
    identify();
    guestCd(host);
    if (stalls) host.store(CDS + 4, 4 | (1 << 9) | (1 << 12) | (1 << 13) | (1 << 14) | (ASID << 16));
    guestMaps(host, 0x5000);
    const { out_veventq_fd } = host.caller.ok(abi.NR.VEVENTQ_ALLOC, abi.IOMMU_VEVENTQ_ALLOC, {
      viommu_id: viommu,
      type: 1,
      veventq_depth: 4,
    });
    return { ...made, fd: out_veventq_fd };
  }

  test("a fault of the guest's tables is an event with the guest's StreamID", () => {
    const { host, device, nest, fd } = withQueue();
    device.attach(0, nest(STE0).out.out_hwpt_id);

    expect(host.read(DEV, ADDRESS + 0x2000)).toBeUndefined();
    expect(host.caller.calls.poll(fd)).toBe(0);
    host.clock.advanceTo(0);
    expect(host.caller.calls.poll(fd)).toBe(1);

    expect(host.caller.calls.read(fd, DATA, 100)).toBe(40);
    const words = new Uint32Array(host.caller.bytes(DATA, 40).slice().buffer);
    // No flags, sequence 0; F_TRANSLATION, the virtual StreamID; the address.
    expect([...words.slice(0, 4)]).toEqual([0, 0, 0x10, VSID]);
    expect(words[6]).toBe(ADDRESS + 0x2000);
    expect(words[7]).toBe(0);
  });

  test("a fault of the host's stage 2 is not the guest's affair", () => {
    const { host, device, nest, fd } = withQueue();
    device.attach(0, nest(STE0).out.out_hwpt_id);
    // Beyond what the IOAS maps.
    host.store(LAST + ((ADDRESS >>> 12) & 511) * 8, 0x3000_0f43);

    expect(host.read(DEV, ADDRESS)).toBeUndefined();
    host.clock.advanceTo(0);

    expect(host.caller.calls.poll(fd)).toBe(0);
    expect((host.driver as unknown as { unclaimedEvents: number }).unclaimedEvents).toBe(1);
  });

  test('a stalled transaction is a page request, and is resumed or ended by the response to it', () => {
    const { host, device, nest } = withQueue(true);
    const { id, fd } = host.faultQueue();
    const more = { flags: abi.HWPT_FLAGS.FAULT_ID_VALID, fault_id: id };
    device.attach(0, nest(STE0, STE1, more).out.out_hwpt_id);
    const stall = () => {
      const port = host.port(DEV);
      port.mayStall = true;
      const status = port.translate(ADDRESS + 0x2000, 0, 2);
      return { status, tag: port.stallTag, fault: host.pageFaults(fd)[0]! };
    };

    const first = stall();
    expect(first.status).toBe(5);
    expect(first.fault).toMatchObject({
      flags: 2,
      perm: 2,
      grpid: first.tag,
      addr: BigInt(ADDRESS + 0x2000),
    });
    host.answer(fd, first.fault.cookie, 0);
    const second = stall();
    host.answer(fd, second.fault.cookie, 1);

    expect(host.resumed).toEqual([
      { requester: DEV, tag: first.tag, retry: true },
      { requester: DEV, tag: second.tag, retry: false },
    ]);
  });

  test('a stalled transaction that nobody wants is ended', () => {
    const { host, device, nest } = withQueue(true);
    device.attach(0, nest(STE0).out.out_hwpt_id);
    const port = host.port(DEV);
    port.mayStall = true;

    expect(port.translate(ADDRESS + 0x2000, 0, 1)).toBe(5);
    host.clock.advanceTo(0);

    expect(host.resumed).toEqual([{ requester: DEV, tag: port.stallTag, retry: false }]);
  });

  test('page requests go to the fault queue of the nested table, whatever their PASID', () => {
    const { host, device, nest } = withQueue();
    const { id, fd } = host.faultQueue();
    const more = { flags: abi.HWPT_FLAGS.FAULT_ID_VALID, fault_id: id };
    device.attach(0, nest(STE0, STE1 | (1n << 28n), more).out.out_hwpt_id);

    host.port(DEV, 3).pageRequest(0x9000, 0, 1, 17, true);
    const faults = host.pageFaults(fd);
    host.answer(fd, faults[0]!.cookie, 0);

    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ flags: 3, pasid: 3, grpid: 17, addr: 0x9000n, perm: 1 });
    expect(host.responses).toEqual([{ requester: DEV, pasid: 3, group: 17, code: 0 }]);
  });
});
