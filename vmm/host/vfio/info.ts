import { demand, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import type { UapiStruct } from '../kernel/struct.ts';
import {
  DEVICE_FLAGS,
  DEVICE_INFO,
  INFO_CAP_ATOMIC,
  INFO_CAP_HEADER_BYTES,
  INFO_CAP_MSIX_MAPPABLE,
  IRQ,
  IRQ_FLAGS,
  IRQ_INFO,
  IRQS,
  REGION,
  REGION_FLAGS,
  REGION_INFO,
  REGION_SHIFT,
  REGIONS,
} from './abi.ts';
import type { OpenDevice } from './open-device.ts';
import { isMappable, regionSize } from './regions.ts';
import { fetchSized, reply } from './user-struct.ts';

/** A capability behind region or device information: what follows its header. */
interface InfoCap {
  readonly id: number;
  readonly words: readonly number[];
}

/** VFIO_DEVICE_GET_INFO; `more`: flags that are not the device's own. Throws EFAULT, EINVAL. */
export function deviceInfo(device: OpenDevice, caller: Process, argument: bigint, more = 0): void {
  const { argsz } = fetchSized(caller, argument, DEVICE_INFO);
  const atomics = device.fn.atomicCompletions ?? 0;
  const caps = atomics === 0 ? [] : [{ id: INFO_CAP_ATOMIC, words: [atomics, 0] }];
  const placed = placeCaps(caller, argument, DEVICE_INFO, argsz, caps);
  const info = {
    argsz: placed.argsz,
    flags:
      DEVICE_FLAGS.PCI |
      more |
      (device.resettable ? DEVICE_FLAGS.RESET : 0) |
      (caps.length > 0 ? DEVICE_FLAGS.CAPS : 0),
    num_regions: REGIONS,
    num_irqs: IRQS,
    cap_offset: placed.offset,
    pad: 0,
  };
  reply(caller, argument, DEVICE_INFO, info, Math.min(argsz, DEVICE_INFO.bytes));
}

/** VFIO_DEVICE_GET_REGION_INFO. Throws EFAULT, EINVAL. */
export function regionInfo(device: OpenDevice, caller: Process, argument: bigint): void {
  const info = fetchSized(caller, argument, REGION_INFO);
  const { index } = info;
  if (index >= REGIONS) refuse('EINVAL', `there is no region ${index}`);
  if (index === REGION.VGA) refuse('EINVAL', 'the device has no VGA registers');
  const { fn } = device;
  const size = regionSize(fn, index);
  const caps: InfoCap[] = [];
  let flags = 0;
  if (index === REGION.CONFIG) flags = REGION_FLAGS.READ | REGION_FLAGS.WRITE;
  else if (index === REGION.ROM) flags = size > 0 ? REGION_FLAGS.READ : 0;
  else if (size > 0) {
    flags = REGION_FLAGS.READ | REGION_FLAGS.WRITE;
    if (isMappable(fn, index)) {
      flags |= REGION_FLAGS.MMAP;
      if (device.msix?.bar === index) caps.push({ id: INFO_CAP_MSIX_MAPPABLE, words: [] });
    }
  }
  const placed = placeCaps(caller, argument, REGION_INFO, info.argsz, caps);
  reply(caller, argument, REGION_INFO, {
    argsz: placed.argsz,
    flags: flags | (caps.length > 0 ? REGION_FLAGS.CAPS : 0),
    index,
    // What the user wrote there stays where there are none.
    cap_offset: caps.length > 0 ? placed.offset : info.cap_offset,
    size: BigInt(size),
    offset: BigInt(index) << REGION_SHIFT,
  });
}

/** VFIO_DEVICE_GET_IRQ_INFO. Throws EFAULT, EINVAL. */
export function irqInfo(device: OpenDevice, caller: Process, argument: bigint): void {
  const info = fetchSized(caller, argument, IRQ_INFO);
  const { index } = info;
  demand(index < IRQS, 'EINVAL', `there are no interrupts of index ${index}`);
  const count = device.irqCounts[index] ?? 0;
  demand(index !== IRQ.ERR || count > 0, 'EINVAL', 'the device is not PCI Express');
  const dynamic = index === IRQ.MSIX && device.fn.dynamicMsix === true;
  const kind =
    index === IRQ.INTX ? IRQ_FLAGS.MASKABLE | IRQ_FLAGS.AUTOMASKED : dynamic ? 0 : IRQ_FLAGS.NORESIZE;
  reply(caller, argument, IRQ_INFO, { ...info, flags: IRQ_FLAGS.EVENTFD | kind, count });
}

/** Puts the chain behind the structure where it fits; else the size that would. */
function placeCaps(
  caller: Process,
  argument: bigint,
  struct: UapiStruct,
  argsz: number,
  caps: readonly InfoCap[],
): { readonly argsz: number; readonly offset: number } {
  if (caps.length === 0) return { argsz, offset: 0 };
  const bytes = caps.reduce((sum, { words }) => sum + INFO_CAP_HEADER_BYTES + 4 * words.length, 0);
  if (argsz < struct.bytes + bytes) return { argsz: struct.bytes + bytes, offset: 0 };
  const target = caller.bytes(argument + BigInt(struct.bytes), bytes, true);
  const view = new DataView(target.buffer, target.byteOffset, bytes);
  let at = 0;
  caps.forEach(({ id, words }, i) => {
    const next = at + INFO_CAP_HEADER_BYTES + 4 * words.length;
    view.setUint16(at, id, true);
    view.setUint16(at + 2, 1, true);
    view.setUint32(at + 4, i + 1 < caps.length ? struct.bytes + next : 0, true);
    words.forEach((word, j) => {
      view.setUint32(at + INFO_CAP_HEADER_BYTES + 4 * j, word, true);
    });
    at = next;
  });
  return { argsz, offset: struct.bytes };
}
