import { read32 } from '../../../devices/vconfig/capability-table.ts';
import { TsvmmError } from '../../core/errors.ts';
import type { Access } from '../iommufd/access.ts';
import type { PhysicalFunction } from './physical.ts';
import { capabilityAt, readSpace } from './raw-space.ts';

/**
 * What a device's driver declares of the DMA its device will do; nobody guesses it from the group:
 * - `requester`: requests without PASID;
 * - `pasid-tlp`: requests with PASIDs that its user attaches;
 * - `enqcmd`: work is submitted with ENQCMD, so that PASIDs of the user have to be translated to physical ones;
 * - `software-table`: none of its own; its driver reads, writes and pins through the address space (a mediated device);
 * - `pasid-address-space`: requests carry one PASID that is its own, and an address space is linked to that (a part of a device).
 */
export type DmaIntent = 'requester' | 'pasid-tlp' | 'enqcmd' | 'software-table' | 'pasid-address-space';

/** The driver of a device that does its DMA in software. */
export interface SoftwareDma {
  /** Its way to the address space, or that it has none any more. */
  bound(access: Access | undefined): void;
  /** Must let go of every page that it pinned in the range before it returns. */
  unmap(iova: bigint, length: bigint): void;
}

export interface DmaIntents {
  readonly intents: readonly DmaIntent[];
  /** Of `software-table`. */
  readonly software?: SoftwareDma;
  /** Of `pasid-address-space`: the physical PASID that stands for the device. */
  readonly linkedPasid?: number;
}

/** Device Capabilities 2: DMWr Completer Supported: registers that take ENQCMD. */
const DEVCAP2 = 0x24;
const DMWR_COMPLETER = 1 << 28;

/** What vfio-pci declares of a function: that it takes deferrable writes means that users submit with ENQCMD. */
export function pciIntents(fn: PhysicalFunction): DmaIntents {
  const space = readSpace(fn);
  const pcie = capabilityAt(space, 'pcie');
  const enqcmd =
    pcie !== undefined &&
    (space[pcie + 2]! & 0xf) >= 2 &&
    (read32(space, pcie + DEVCAP2) & DMWR_COMPLETER) !== 0;
  return { intents: enqcmd ? ['requester', 'pasid-tlp', 'enqcmd'] : ['requester', 'pasid-tlp'] };
}

/** @throws TsvmmError where they contradict each other */
export function checkIntents(name: string, { intents, software, linkedPasid }: DmaIntents): void {
  const has = (one: DmaIntent) => intents.includes(one);
  const bad = (why: string) => new TsvmmError({ code: 'bad-dma-intents', object: name, why });
  if (intents.length === 0) throw bad('declares no DMA at all');
  if (has('software-table') && intents.length > 1)
    throw bad('does its DMA in software, and declares requests of its own');
  if (has('software-table') !== (software !== undefined))
    throw bad('DMA in software needs a driver that does it, and nothing else does');
  if (has('pasid-address-space') !== (linkedPasid !== undefined))
    throw bad('an address space linked to a PASID needs that PASID, and nothing else does');
  if (has('pasid-address-space') && (has('requester') || has('pasid-tlp')))
    throw bad('requests carry a PASID of its own, and it declares others');
  if (has('enqcmd') && !has('pasid-tlp') && !has('pasid-address-space'))
    throw bad('ENQCMD names PASIDs, and no requests with PASID are declared');
}
