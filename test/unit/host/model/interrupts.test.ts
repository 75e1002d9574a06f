import { describe, expect, test } from 'vitest';
import * as vfio from '../../../../vmm/host/vfio/abi.ts';
import { BUFFER } from '../../../kit/host-caller.ts';
import { ENGINE, hostJson, ROOT_PORT, VTD_UNIT } from '../../../kit/host-file.ts';
import { RunningHost, shippedHost } from '../../../kit/running-host.ts';

const HOST = 'xeon-skylake-sp';
const EDU = '0000:3b:00.0';
const EDU_ID = 0x3b00;
/** Registers and commands of the educational device. */
const SRC = 0x80;
const DST = 0x88;
const COUNT = 0x90;
const COMMAND = 0x98;
const RAISE = 0x60;
const FROM_RAM = 1;
const TO_RAM = 3;
const DEVICE_BUFFER = 0x40000;
const IOVA = 0x4000_0000;
/** Of a message: remappable format with a subhandle. */
const REMAPPABLE = 0xfee0_0018;
const { EVENTFD, TRIGGER, NONE } = vfio.IRQ_SET;

/** Sets up message 0, or takes all of them away. */
function setMsi(host: RunningHost, fd: number, event: number | undefined): string {
  const data = event === undefined ? new Uint8Array(0) : new Uint8Array(Int32Array.of(event).buffer);
  const values = {
    flags: (event === undefined ? NONE : EVENTFD) | TRIGGER,
    index: vfio.IRQ.MSI,
    start: 0,
    count: event === undefined ? 0 : 1,
  };
  return host.vfio(fd, vfio.VFIO.SET_IRQS, vfio.IRQ_SET_HEADER, values, data).result;
}

/** The device writes `data` by DMA, as it would write to memory. */
function write(host: RunningHost, fd: number, address: number, data: number): void {
  host.caller.bytes(BUFFER, 4).set(new Uint8Array(Int32Array.of(data).buffer));
  for (const [from, to, command] of [
    [IOVA, DEVICE_BUFFER, FROM_RAM],
    [DEVICE_BUFFER, address, TO_RAM],
  ] as const) {
    host.write(fd, 0, SRC, from);
    host.write(fd, 0, DST, to);
    host.write(fd, 0, COUNT, 4);
    host.write(fd, 0, COMMAND, command);
    host.later(200_000_000);
  }
}

function world(json = shippedHost(HOST), address = EDU) {
  const host = new RunningHost(json);
  const { fd } = host.bound(address);
  const ioas = host.ioas();
  host.attach(fd, ioas);
  host.map(ioas, BigInt(IOVA), 0x1000);
  const event = host.caller.calls.eventfd(0);
  const signals = () => {
    const bytes = host.caller.calls.read(event, 0x9000n, 8);
    return bytes < 0 ? 0 : Number(host.caller.bytes(0x9000n, 1)[0]);
  };
  const { driver } = host.host.units.find(
    ({ driver }) => driver === host.host.functions.get(address)!.host.driver,
  )!;
  return { host, fd, event, signals, interrupts: driver.interrupts! };
}

describe('interrupts of a function behind VT-d', () => {
  test('pass through an entry of the remapping table that names the function', () => {
    const { host, fd, event, signals, interrupts } = world();
    expect(setMsi(host, fd, event)).toBe('ok');

    host.write(fd, 0, RAISE, 1);

    expect(signals()).toBe(1);
    expect(host.faults).toEqual([]);
    expect(interrupts.stray).toBe(0);
    expect(host.host.kernel.allocations.live('irte')).toBe(1);
  });

  test('the message that the host has programmed may come as a write, too: it is one', () => {
    const { host, fd, event, signals } = world();
    setMsi(host, fd, event);

    write(host, fd, REMAPPABLE, 0);

    expect(signals()).toBe(1);
  });

  test.each([
    ['in compatibility format', 0xfee0_0000, 0x4040, '25h'],
    ['with an entry that nobody has', REMAPPABLE | (77 << 5), 0, '22h'],
    ['with an entry beyond the table', REMAPPABLE | (0x7fff << 5), 0, '21h'],
  ])('a message that the host has not programmed, %s, is blocked and recorded', (_, address, data, code) => {
    const { host, fd, event, signals, interrupts } = world();
    setMsi(host, fd, event);

    write(host, fd, address, data);

    expect(host.faults).toMatchObject([{ code, requester: EDU_ID }]);
    expect([signals(), interrupts.stray]).toEqual([0, 0]);
  });

  test('a message of another function is blocked: the entry names who may send it', () => {
    const { host, fd, interrupts } = world();
    let came = 0;
    const { address, data } = interrupts.take(EDU_ID + 8, 1, () => came++);

    write(host, fd, address, data);

    expect(host.faults.map(({ code }) => code)).toEqual(['26h']);
    expect(came).toBe(0);
  });

  test('once they are taken away, the message that was programmed is blocked', () => {
    const { host, fd, event, signals } = world();
    setMsi(host, fd, event);
    host.write(fd, 0, RAISE, 1);
    signals();

    expect(setMsi(host, fd, undefined)).toBe('ok');
    write(host, fd, REMAPPABLE, 0);

    expect(host.faults.map(({ code }) => code)).toEqual(['22h']);
    expect([signals(), host.host.kernel.allocations.live('irte')]).toEqual([0, 0]);
  });

  test('every allocation may fail: refused, and nothing is left', () => {
    const { host, fd, event } = world();
    const { allocations } = host.host.kernel;
    const before = allocations.census();
    let failures = 0;
    for (let nth = 1; ; nth++) {
      allocations.failNth(nth);
      const result = setMsi(host, fd, event);
      if (!allocations.endFailing()) {
        expect(result).toBe('ok');
        break;
      }
      failures++;
      expect([nth, result, allocations.census()]).toEqual([nth, 'ENOMEM', before]);
    }
    expect(failures).toBeGreaterThan(1);
  });

  test('when the unit has no entry left SET_IRQS is refused with ENOSPC', () => {
    const { host, fd, event, interrupts } = world();
    for (let n = 0; n < 128; n++) interrupts.take(1, 32, () => {});

    expect(setMsi(host, fd, event)).toBe('ENOSPC');
  });
});

describe('a unit without interrupt remapping', () => {
  /** ECAP.IR and EIM are 0. */
  const unit = { ...VTD_UNIT, registers: { ...(VTD_UNIT['registers'] as object), ECAP: '0x3ef9ea6f050c7' } };
  const json = {
    ...hostJson(
      [ROOT_PORT, { ...ENGINE, model: { kind: 'edu', options: { dma_mask: '0xffffffffffffffff' } } }],
      [unit],
    ),
  };

  test('its devices are not given away: EPERM', () => {
    const host = new RunningHost(json);

    expect(() => host.bound('0000:01:00.0')).toThrow('the interrupts of 0000:01:00.0 are not isolated');
  });

  test('unless the kernel was told to: then they send their interrupts, and any other', () => {
    const { host, fd, event, signals, interrupts } = world(
      { ...json, allowUnsafeInterrupts: true },
      '0000:01:00.0',
    );
    expect(setMsi(host, fd, event)).toBe('ok');
    host.write(fd, 0, RAISE, 1);
    const own = signals();
    let came = 0;
    const other = interrupts.take(0x1234, 1, () => came++);

    write(host, fd, other.address, other.data);

    expect([own, came, host.faults]).toEqual([1, 1, []]);
  });
});
