import { describe, expect, test } from 'vitest';
import { PciFunction } from '../../../../devices/pci/function.ts';
import type { PciFunctionSpec, PciServices } from '../../../../devices/pci/kind.ts';
import { HostBus } from '../../../../vmm/host/model/host-bus.ts';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import { HostMessages, ModelledFunction } from '../../../../vmm/host/vfio/modelled-function.ts';
import { PciRig } from '../../../kit/pci-rig.ts';
import { DATA, VfioRig } from '../../../kit/vfio-rig.ts';

const { VFIO, IRQ, IRQ_SET } = abi;
const SPEC: PciFunctionSpec = {
  vendor: 0xabcd,
  device: 0x1234,
  classCode: 0xff0000,
  revision: 1,
  interruptPin: 1,
  bars: [
    { index: 0, kind: 'memory64', size: 0x4000, prefetchable: true },
    { index: 2, kind: 'memory32', size: 0x1000 },
  ],
  capabilities: [
    { id: 'pcie', type: 'rc-endpoint', flr: true },
    { id: 'pm' },
    { id: 'msi', vectors: 4, is64: true, maskable: true },
    { id: 'msix', vectors: 4, bar: 2, tableOffset: 0, pbaOffset: 0x800 },
  ],
};

/** A function of the project's models in VFIO, open. */
function assigned() {
  const pci = new PciRig();
  const messages = new HostMessages();
  const services: PciServices = { ...pci.services('0000:03:00.0'), messages };
  const fn = new PciFunction(services, SPEC);
  const registers = new Uint32Array(0x1000);
  const resets: string[] = [];
  fn.connect({
    bars: {
      0: {
        read: (offset, size, bus) => {
          if (size === 8) bus.hi = registers[(offset >>> 2) + 1]!;
          return registers[offset >>> 2]!;
        },
        write: (offset, size, lo, hi) => {
          registers[offset >>> 2] = lo;
          if (size === 8) registers[(offset >>> 2) + 1] = hi;
        },
      },
    },
    reset: (kind) => resets.push(kind),
  });
  fn.reset('cold');
  const bus = new HostBus();
  bus.add({ device: fn, fn, views: [] }, { bus: 3, devfn: 0, multifunction: false }, undefined, 0);
  const physical = new ModelledFunction(fn, {
    name: '0000:03:00.0',
    messages,
    listen: (listener) => bus.listen(fn, listener),
  });
  const rig = new VfioRig();
  const device = rig.vfio.register({ fn: physical, host: rig.driver.newDevice(4) });
  const fd = rig.open(device);
  const bound = rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd }).result;
  resets.length = 0;
  const config = (offset: number, ...bytes: number[]) => {
    rig.caller.put(Uint8Array.from(bytes), DATA);
    rig.calls.pwrite(fd, DATA, bytes.length, (7n << 40n) + BigInt(offset));
  };
  const event = () => rig.calls.eventfd(0);
  return { pci, fn, rig, fd, bound, config, event, resets, registers, physical, device };
}

const { EVENTFD, TRIGGER, NONE, UNMASK } = IRQ_SET;

describe('a function of the models', () => {
  test('is bound, told and sized as any other', () => {
    const { rig, fd, bound, config } = assigned();
    config(0x10, 0xff, 0xff, 0xff, 0xff);
    rig.calls.pread(fd, DATA, 4, (7n << 40n) + 0x10n);
    const [bar] = new Uint32Array(rig.caller.bytes(DATA, 4).slice().buffer);
    const sizes = [0, 2].map(
      (index) => rig.ioctl(fd, VFIO.GET_REGION_INFO, abi.REGION_INFO, { index }).out.size,
    );

    expect([bound, bar, sizes]).toEqual(['ok', 0xffff_c00c, [0x4000n, 0x1000n]]);
  });

  test('answers in its BARs once memory is enabled, 8 bytes at once', () => {
    const { rig, fd, config, registers } = assigned();
    config(4, 6, 0);
    rig.caller.put(Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0), DATA);
    rig.calls.pwrite(fd, DATA, 8, 0x10n);
    rig.calls.pread(fd, DATA + 0x10n, 8, 0x10n);

    expect([registers[4], registers[5], [...rig.caller.bytes(DATA + 0x10n, 8)]]).toEqual([
      1,
      2,
      [1, 0, 0, 0, 2, 0, 0, 0],
    ]);
  });

  test.each([
    ['MSI-X', IRQ.MSIX],
    ['MSI', IRQ.MSI],
  ])('%s reaches the eventfd of its vector, with bus mastering only', (_, index) => {
    const { rig, fd, fn, config, event } = assigned();
    const events = [event(), event()];
    rig.irqs(fd, EVENTFD | TRIGGER, index, 0, 2, events);
    fn.notify(1);
    const before = rig.signals(events[1]!);
    config(4, 6, 0);
    fn.notify(1);
    fn.notify(0);

    expect([before, ...events.map((one) => rig.signals(one))]).toEqual([0, 1, 1]);
  });

  test('a vector that has no eventfd is pending until it gets one', () => {
    const { rig, fd, fn, config, event } = assigned();
    config(4, 6, 0);
    rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 0, 2, [event(), -1]);
    fn.notify(1);
    const late = event();
    rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 1, 1, [late]);

    expect(rig.signals(late)).toBe(1);
  });

  test('INTx is masked in the device until it is served', () => {
    const { rig, fd, fn, event } = assigned();
    const one = event();
    rig.irqs(fd, EVENTFD | TRIGGER, IRQ.INTX, 0, 1, [one]);
    fn.setIntx(true);
    const masked = fn.intxOutput;
    fn.setIntx(false);
    rig.irqs(fd, NONE | UNMASK, IRQ.INTX, 0, 1);
    fn.setIntx(true);

    expect([masked, rig.signals(one)]).toEqual([false, 2]);
  });

  test('a reset clears it, and messages work as before', () => {
    const { rig, fd, fn, config, event, resets } = assigned();
    config(4, 6, 0);
    const one = event();
    rig.irqs(fd, EVENTFD | TRIGGER, IRQ.MSIX, 0, 1, [one]);
    const result = rig.calls.ioctl(fd, VFIO.RESET, 0n);
    fn.notify(0);

    expect([result, resets, rig.signals(one)]).toEqual([0, ['flr'], 1]);
  });

  test('closing it ends bus mastering and interrupts', () => {
    const { rig, fd, fn, config, physical } = assigned();
    config(4, 6, 0);
    rig.calls.close(fd);

    expect([fn.busMaster, physical.sink]).toEqual([false, undefined]);
  });
});
