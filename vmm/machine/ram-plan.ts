import { TsvmmError } from '../core/errors.ts';
import { hex } from '../core/u64.ts';
import { WASM_PAGE_SIZE } from '../mem/layout.ts';
import type { RewriteResult } from '../vcpu/rewrite/index.ts';
import type { AddressMap } from './platforms/platform.ts';

/** How RAM is shared out between the guest image, its C heap, its page allocator and the firmware. */
export interface RamPlan {
  /** memory.grow of the guest (the C heap) stops here. */
  readonly growLimit: number;
  /** Pages free for the guest's own allocator. */
  readonly heapStart: number;
  readonly heapEnd: number;
  /** ACPI tables and RSDP. */
  readonly firmwareBase: number;
  readonly firmwareEnd: number;
  readonly rsdp: number;
}

/** A quarter of RAM is left to the C heap; the guest's page allocator has the rest. An address. */
export function growLimitOf(map: AddressMap, ramSize: number): number {
  return map.ramBase + Math.floor(ramSize / 4 / WASM_PAGE_SIZE) * WASM_PAGE_SIZE;
}

/**
 * @param image undefined where no guest is loaded (tests, qtest): all of RAM is free
 * @param reservedBase lowest address that firmware keeps for itself besides its tables (RMRR)
 * @throws TsvmmError when the image and the firmware would overlap
 */
export function planRam(
  map: AddressMap,
  ramSize: number,
  image: RewriteResult | undefined,
  reservedBase: number,
): RamPlan {
  const growLimit = growLimitOf(map, ramSize);
  const firmwareEnd = map.ramBase + ramSize;
  const firmwareBase = firmwareEnd - map.firmwareBytes;
  const heapEnd = Math.min(firmwareBase, reservedBase);
  const imageEnd = image === undefined ? 0 : Math.max(image.initialPages * WASM_PAGE_SIZE, image.dataEnd);
  const heapStart = Math.max(growLimit, Math.ceil(imageEnd / WASM_PAGE_SIZE) * WASM_PAGE_SIZE);
  if (image !== undefined && image.dataEnd > firmwareBase) {
    throw new TsvmmError({
      code: 'guest-too-big',
      object: 'guest module',
      why: `its data reaches ${hex(image.dataEnd)}, and the firmware's tables begin at ${hex(firmwareBase)}`,
      mend: 'give the machine more memory (--memory)',
    });
  }
  if (image !== undefined && reservedBase < heapStart) {
    throw new TsvmmError({
      code: 'reserved-in-image',
      object: 'reserved',
      why: `a region at ${hex(reservedBase)} lies in the guest's image or C heap, which end at ${hex(heapStart)}`,
      mend: 'place it higher: RAM from the lowest reserved region on is not given to the guest',
    });
  }
  const { biosArea } = map;
  const rsdp = biosArea !== undefined && leaves(image, biosArea) ? biosArea.base : firmwareBase;
  return {
    growLimit,
    heapStart: Math.min(heapStart, heapEnd),
    heapEnd,
    firmwareBase,
    firmwareEnd,
    rsdp,
  };
}

/**
 * The RSDP goes where an OS looks for it if the guest keeps off: a C guest's heap begins at __heap_base, so an image that
 * starts above 1 MiB leaves the area alone.
 */
function leaves(
  image: RewriteResult | undefined,
  { base, end }: NonNullable<AddressMap['biosArea']>,
): boolean {
  if (image === undefined) return true;
  const heapBase = image.constants['__heap_base'];
  if (heapBase !== undefined && heapBase < end) return false;
  if (heapBase === undefined && image.initialPages * WASM_PAGE_SIZE > base && image.segments.length === 0)
    return false;
  return image.segments.every((s) => s.address >= end || s.address + s.size <= base);
}
