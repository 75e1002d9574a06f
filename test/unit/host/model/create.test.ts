import { beforeEach, describe, expect, test } from 'vitest';
import { DMA_OK, type DmaTranslator } from '../../../../vmm/bus/dma.ts';
import * as iommufd from '../../../../vmm/host/iommufd/abi.ts';
import { POLL } from '../../../../vmm/host/kernel/files.ts';
import * as vfio from '../../../../vmm/host/vfio/abi.ts';
import { BUFFER } from '../../../kit/host-caller.ts';
import { ENGINE, hostJson, ROOT_PORT, VTD_UNIT } from '../../../kit/host-file.ts';
import { RunningHost, shippedHost } from '../../../kit/running-host.ts';

/** Registers and commands of the educational device. */
const SRC = 0x80;
const DST = 0x88;
const COUNT = 0x90;
const COMMAND = 0x98;
const RAISE = 0x60;
const FROM_RAM = 1;
const TO_RAM = 3;
const DEVICE_BUFFER = 0x40000;
const DMA_NS = 200_000_000;
const IOVA = 0x4000_0000;

/** One DMA of the educational device behind `fd`, to its end. */
function dma(host: RunningHost, fd: number, from: number, to: number, bytes: number, command: number): void {
  host.write(fd, 0, SRC, from);
  host.write(fd, 0, DST, to);
  host.write(fd, 0, COUNT, bytes);
  host.write(fd, 0, COMMAND, command);
  host.later(DMA_NS);
}

const buffer = (host: RunningHost, at: number, length: number) =>
  host.caller.bytes(BUFFER + BigInt(at), length);

describe.each([
  ['xeon-skylake-sp', '0000:3b:00.0'],
  ['xeon-sapphire-rapids', '0000:2a:00.0'],
  ['xeon-westmere', '0000:02:00.0'],
  ['arm-mmu-600', '0000:05:00.0'],
  ['arm-mmu-700', '0000:05:00.0'],
])('a device of %s, by system calls', (name, address) => {
  let host: RunningHost;
  beforeEach(() => {
    host = new RunningHost(shippedHost(name));
  });

  test('moves data of the process that mapped it, at the addresses that it was mapped to', () => {
    const { fd } = host.bound(address);
    const ioas = host.ioas();
    expect(host.attach(fd, ioas)).toBe('ok');
    host.map(ioas, BigInt(IOVA));
    buffer(host, 0x100, 4).set([1, 2, 3, 4]);

    dma(host, fd, IOVA + 0x100, DEVICE_BUFFER, 4, FROM_RAM);
    dma(host, fd, DEVICE_BUFFER, IOVA + 0x3000, 4, TO_RAM);

    expect([...buffer(host, 0x3000, 4)]).toEqual([1, 2, 3, 4]);
    expect(host.faults).toEqual([]);
  });

  test('reaches nothing that is not mapped: the unit records a fault in its name', () => {
    const { fd } = host.bound(address);
    const ioas = host.ioas();
    host.attach(fd, ioas);
    host.map(ioas, BigInt(IOVA), 0x1000);
    buffer(host, 0x1000, 4).set([9, 9, 9, 9]);

    dma(host, fd, DEVICE_BUFFER, IOVA + 0x1000, 4, TO_RAM);

    expect([...buffer(host, 0x1000, 4)]).toEqual([9, 9, 9, 9]);
    expect(host.faults.map(({ requester, access }) => [requester, access])).toEqual([
      [Number.parseInt(address.slice(5, 7), 16) << 8, 'write'],
    ]);
  });

  test('reaches nothing before it is attached, by any address; closed, it is no bus master', () => {
    const { fd } = host.bound(address);
    const { highLo, highAt } = host.host.memory.ram;
    buffer(host, 0, 4).set([9, 9, 9, 9]);

    dma(host, fd, DEVICE_BUFFER, Number(BUFFER), 4, TO_RAM);
    dma(host, fd, DEVICE_BUFFER, highLo + Number(BUFFER) - highAt, 4, TO_RAM);

    expect([...buffer(host, 0, 4)]).toEqual([9, 9, 9, 9]);
    expect(host.caller.calls.close(fd)).toBe(0);
    expect(host.host.functions.get(address)!.device!.fn.busMaster).toBe(false);
  });

  test('interrupts by its eventfd', () => {
    const { fd } = host.bound(address);
    const event = host.caller.calls.eventfd(0);
    const data = new Uint8Array(Int32Array.of(event).buffer);
    const { EVENTFD, TRIGGER } = vfio.IRQ_SET;
    const values = { flags: EVENTFD | TRIGGER, index: vfio.IRQ.MSI, start: 0, count: 1 };
    expect(host.vfio(fd, vfio.VFIO.SET_IRQS, vfio.IRQ_SET_HEADER, values, data).result).toBe('ok');

    host.write(fd, 0, RAISE, 1);

    expect(host.caller.calls.poll(event) & POLL.IN).toBe(POLL.IN);
  });
});

/** Frame 0 of an SVM engine. */
const FRAME = 0x1000;
const MEMCPY = 1;
const PASID_VALID = 1;
const STATUS = FRAME + 4;
/** Idle, with the error in bits 11:8. */
const DONE = 0;

/** Copies 8 bytes in the name of a PASID; the status of the frame. */
function copy(host: RunningHost, fd: number, pasid: number, from: number, to: number): number {
  for (const [offset, value] of [
    [0x08, PASID_VALID],
    [0x0c, pasid],
    [0x10, from],
    [0x18, to],
    [0x20, 8],
    [0x00, MEMCPY],
  ] as const)
    host.write(fd, 0, FRAME + offset, value);
  return host.read(fd, 0, STATUS) & 0xf0f;
}

describe.each([
  ['xeon-sapphire-rapids', '0000:16:00.0'],
  ['arm-mmu-600', '0000:01:00.0'],
  ['arm-mmu-700', '0000:06:00.0'],
])('PASIDs of a device of %s', (name, address) => {
  const PASID = 0x5a5a5;

  test('have address spaces of their own, through device TLBs that follow unmapping', () => {
    const host = new RunningHost(shippedHost(name));
    const { fd, id } = host.bound(address);
    const [own, other] = [host.ioas(), host.ioas()];
    expect(host.attach(fd, host.pasidTable(id, own))).toBe('ok');
    expect(host.attach(fd, host.pasidTable(id, other), PASID)).toBe('ok');
    host.map(other, BigInt(IOVA));
    buffer(host, 0x100, 8).set([1, 2, 3, 4, 5, 6, 7, 8]);

    expect(copy(host, fd, PASID, IOVA + 0x100, IOVA + 0x2000)).toBe(DONE);
    expect([...buffer(host, 0x2000, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(copy(host, fd, PASID + 1, IOVA + 0x100, IOVA + 0x3000)).not.toBe(DONE);

    host.unmapAll(other);
    expect(copy(host, fd, PASID, IOVA + 0x100, IOVA + 0x3000)).not.toBe(DONE);
    expect([...buffer(host, 0x3000, 8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

test('when everything is closed, nothing of the process is left', () => {
  const host = new RunningHost(shippedHost('xeon-sapphire-rapids'));
  const before = host.host.kernel.allocations.census();
  const { fd } = host.bound('0000:2a:00.0');
  const ioas = host.ioas();
  host.attach(fd, ioas);
  host.map(ioas, BigInt(IOVA));

  host.caller.calls.exit();

  expect(host.host.kernel.allocations.census()).toEqual(before);
});

describe('two devices of one group', () => {
  const FIRST = '0000:29:00.0';
  const SECOND = '0000:2a:00.0';

  test('use one address space: another one is refused while the first is attached', () => {
    const host = new RunningHost(shippedHost('xeon-sapphire-rapids'));
    const first = host.bound(FIRST);
    const second = host.bound(SECOND);
    const [one, other] = [host.ioas(), host.ioas()];

    expect(host.attach(first.fd, one)).toBe('ok');
    expect(host.attach(second.fd, other)).toBe('EINVAL');
    expect(host.attach(second.fd, one)).toBe('ok');
  });

  test('belong to one iommufd', () => {
    const host = new RunningHost(shippedHost('xeon-sapphire-rapids'));
    host.bound(FIRST);
    const another = host.caller.calls.open('/dev/iommu');
    const fd = host.open(SECOND);

    expect(host.vfio(fd, vfio.VFIO.BIND_IOMMUFD, vfio.BIND, { iommufd: another }).result).toBe('EPERM');
  });
});

describe('units that differ', () => {
  const ALL = '0000:16:00.0';
  const NO_PASIDS = '0000:27:00.0';
  const OLD = '0000:81:00.0';
  const info = (host: RunningHost, address: string) => {
    const { id } = host.bound(address);
    const values = { dev_id: id, data_len: 24, data_uptr: 0x8000n };
    const out = host.caller.ok(iommufd.NR.GET_HW_INFO, iommufd.IOMMU_GET_HW_INFO, values);
    const ecap = new DataView(host.caller.bytes(0x8010n, 8).slice().buffer).getBigUint64(0, true);
    return { id, pasids: out.out_max_pasid_log2, nests: ((ecap >> 26n) & 1n) === 1n };
  };

  test('tell each device what its own unit can do', () => {
    const host = new RunningHost(shippedHost('xeon-mixed'));

    expect(info(host, ALL)).toMatchObject({ pasids: 20, nests: true });
    expect(info(host, NO_PASIDS)).toMatchObject({ pasids: 0, nests: true });
    expect(info(host, OLD)).toMatchObject({ pasids: 0, nests: false });
  });

  test('have page tables of a parent only where they nest', () => {
    const host = new RunningHost(shippedHost('xeon-mixed'));
    const pt_id = host.ioas();
    const parent = (address: string) =>
      host.caller.refused(iommufd.NR.HWPT_ALLOC, iommufd.IOMMU_HWPT_ALLOC, {
        flags: iommufd.HWPT_FLAGS.NEST_PARENT,
        dev_id: info(host, address).id,
        pt_id,
      });

    expect(parent(ALL)).toBe('ok');
    expect(parent(OLD)).toBe('EOPNOTSUPP');
  });
});

describe('functions', () => {
  test('the host has switched ATS and PASIDs on where the unit has them', () => {
    const host = new RunningHost(shippedHost('xeon-mixed'));
    const enabled = (address: string) => {
      const { fn } = host.host.functions.get(address)!.device!;
      const { ats, pasid } = fn.w.layout;
      return [fn.configRead(ats + 6, 2) >>> 15, fn.configRead(pasid + 6, 2)];
    };

    expect(enabled('0000:16:00.0')).toEqual([1, 7]);
    expect(enabled('0000:27:00.0')).toEqual([1, 0]);
  });

  test('have the requester ids of their addresses, virtual ones too', () => {
    const host = new RunningHost(shippedHost('xeon-sapphire-rapids'));
    const requester = (address: string) => host.host.functions.get(address)!.device!.fn.w.dma.requester;

    expect(requester('0000:16:00.0')).toBe(0x1600);
    expect(requester('0000:49:00.2')).toBe(0x4902);
    expect(requester('0000:6a:01.0')).toBe(0x6a08);
  });

  test('ports are nobody’s to open', () => {
    const host = new RunningHost(shippedHost('xeon-sapphire-rapids'));

    expect(host.host.pathOf('0000:15:01.0')).toBeUndefined();
    expect(host.host.pathOf('0000:16:00.0')).toBe('/dev/vfio/devices/vfio0');
  });

  test('one of which only a dump is there shows it, and nothing of it can be written but Command', () => {
    const rows = Array.from({ length: 16 }, (_, i) => {
      const offset = (i * 16).toString(16).padStart(2, '0');
      return `${offset}:${i === 0 ? ' 86 80 34 12 00 00 10 00' : ' 00'.repeat(8)}${' 00'.repeat(8)}`;
    });
    const host = new RunningHost(
      hostJson([
        ROOT_PORT,
        { address: '0000:01:00.0', type: 'endpoint', under: '0000:00:01.0', config: rows },
      ]),
    );
    const fd = host.open('0000:01:00.0');
    host.vfio(fd, vfio.VFIO.BIND_IOMMUFD, vfio.BIND, { iommufd: host.caller.fd });

    host.write(fd, vfio.REGION.CONFIG, 4, 0xffff, 2);
    host.write(fd, vfio.REGION.CONFIG, 0, 0);

    expect(host.read(fd, vfio.REGION.CONFIG, 0)).toBe(0x12348086);
    expect(host.host.functions.get('0000:01:00.0')!.physical.configRead(4, 2) & 4).toBe(4);
  });

  test('another may translate what one sends, and the unit does so again afterwards', () => {
    const host = new RunningHost(shippedHost('xeon-skylake-sp'));
    const address = '0000:3b:00.0';
    const { fd } = host.bound(address);
    const asked: number[] = [];
    const other: DmaTranslator = {
      translate: (port, lo) => {
        const { highLo, highHi, highAt } = host.host.memory.ram;
        asked.push(lo >>> 0);
        port.outLo = highLo + Number(BUFFER) - highAt + (lo & 0xfff);
        port.outHi = highHi;
        port.outSpan = 4;
        return DMA_OK;
      },
      message: () => DMA_OK,
    };
    buffer(host, 0, 4).set([5, 6, 7, 8]);

    host.host.route(address, other);
    dma(host, fd, 0x7000, DEVICE_BUFFER, 4, FROM_RAM);
    dma(host, fd, DEVICE_BUFFER, 0x7008, 4, TO_RAM);
    host.host.route(address, undefined);
    dma(host, fd, DEVICE_BUFFER, 0x7010, 4, TO_RAM);

    expect(asked).toEqual([0x7000, 0x7008]);
    expect([...buffer(host, 8, 4)]).toEqual([5, 6, 7, 8]);
    expect(host.faults.length).toBe(1);
  });

  test('what firmware keeps for a device nobody maps for it', () => {
    const host = new RunningHost(shippedHost('core-alder-lake'));
    const { fd } = host.bound('0000:00:02.0');
    const ioas = host.ioas();
    host.attach(fd, ioas);
    const map = (iova: bigint) =>
      host.caller.refused(iommufd.NR.IOAS_MAP, iommufd.IOMMU_IOAS_MAP, {
        flags: 7,
        ioas_id: ioas,
        user_va: BUFFER,
        length: 0x1000n,
        iova,
      });

    expect(map(0x7c000000n)).toBe('EINVAL');
    expect(map(0xfee00000n)).toBe('EINVAL');
    expect(map(0x7b000000n)).toBe('ok');
  });

  test('a group behind two units is refused', () => {
    const json = hostJson(
      [{ ...ROOT_PORT, acs: undefined }, ENGINE, { ...ENGINE, address: '0000:01:01.0' }],
      [VTD_UNIT, { ...VTD_UNIT, id: 'dmar1', base: '0x1000', devices: ['0000:01:01.0'] }],
    );

    expect(() => new RunningHost(json)).toThrow('its group has 0000:01:00.0, which is behind host:dmar0');
  });
});
