import { read16 } from '../../../devices/vconfig/capability-table.ts';
import { dissect } from '../../../devices/vconfig/space.ts';
import type { PhysicalFunction, ResetMethod } from './physical.ts';
import { readSpace } from './raw-space.ts';

/** A register to put back, in the order in which that is done. */
interface Saved {
  readonly offset: number;
  readonly size: 2 | 4;
  readonly value: number;
}

/** Control registers by capability: offset in it, and bytes. PASID comes before ATS, and what enables comes last. */
const CONTROLS: readonly (readonly [string, number, 2 | 4])[] = [
  ['pcie', 0x08, 2],
  ['pcie', 0x10, 2],
  ['pcie', 0x28, 2],
  ['pcie', 0x30, 2],
  ['pcix', 0x02, 2],
  ['ltr', 0x04, 4],
  ['acs', 0x06, 2],
  ['ari', 0x06, 2],
  ['pasid', 0x06, 2],
  ['pri', 0x0c, 4],
  ['pri', 0x04, 2],
  ['ats', 0x06, 2],
  ['sriov', 0x10, 2],
  ['sriov', 0x08, 2],
];
const DEVCTL_FLR = 0x8000;
const COMMAND = 4;

/**
 * Resets a function as the host's PCI core does: what the host had configured comes back (Linux, drivers/pci/pci.c:
 * pci_try_reset_function saves and restores). Interrupts are the driver's to set up again.
 */
export function resetFunction(fn: PhysicalFunction, method: ResetMethod): void {
  const restore = saveFunction(fn);
  fn.configWrite(COMMAND, 2, 0x400);
  fn.reset(method);
  restore();
}

/** Keeps what the host configured; what it returns puts it back. */
export function saveFunction(fn: PhysicalFunction): () => void {
  const saved = save(fn);
  return () => {
    for (const { offset, size, value } of saved) {
      if (fn.configRead(offset, size) !== value) fn.configWrite(offset, size, value);
    }
  };
}

function save(fn: PhysicalFunction): Saved[] {
  const space = readSpace(fn);
  const view = new DataView(space.buffer);
  const { capabilities } = dissect(space);
  const saved: Saved[] = [];
  for (const [key, at, size] of CONTROLS) {
    const capability = capabilities.find(({ kind }) => kind.key === key);
    if (capability === undefined || at + size > capability.length) continue;
    const offset = capability.offset + at;
    const value = size === 4 ? view.getUint32(offset, true) : read16(space, offset);
    saved.push({ offset, size, value: key === 'pcie' && at === 8 ? value & ~DEVCTL_FLR : value });
  }
  // The header from its end: the command register, which makes BARs decode, last.
  for (let at = 0x3c; at >= 0x0c; at -= 4)
    saved.push({ offset: at, size: 4, value: view.getUint32(at, true) });
  saved.push({ offset: COMMAND, size: 2, value: read16(space, COMMAND) });
  return saved;
}
