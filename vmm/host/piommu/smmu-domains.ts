import { CONFIG_BYPASS, CONFIG_S1 } from '../../../viommu/spec/smmuv3/structures.ts';
import { HWPT_DATA } from '../iommufd/abi.ts';
import type { NestedDomain } from '../iommufd/driver.ts';
import type { UserData } from '../iommufd/user-data.ts';
import { demand } from '../kernel/errno.ts';
import { HWPT_SMMUV3 } from './abi.ts';
import type { PhysicalDevice } from './device.ts';
import { type PagingParts, TablePagingDomain } from './paging-domain.ts';
import { blockOf, EVERY_PAGE, type PageBlock } from './ranges.ts';
import type { SmmuQueue } from './smmu-queue.ts';
import type { SmmuViommu } from './smmu-viommu.ts';

export interface SmmuPagingParts extends PagingParts {
  /** Names the driver: tables and tags belong to its unit. */
  readonly queue: SmmuQueue;
  readonly stage: 1 | 2;
}

/** A page table of the host: stage 1 with an ASID, or stage 2 with a VMID. */
export class SmmuPagingDomain extends TablePagingDomain {
  readonly stage: 1 | 2;
  /** ASID or VMID; 0 while nobody uses it. */
  tag = 0;
  /** Attachments, and vIOMMUs on top. */
  users = 0;
  /** Devices that nested tables on top of this one are attached to. */
  readonly nested = new Set<PhysicalDevice>();
  readonly #queue: SmmuQueue;

  constructor(parts: SmmuPagingParts) {
    super('SMMU', parts);
    this.stage = parts.stage;
    this.#queue = parts.queue;
  }

  isOf(queue: SmmuQueue): boolean {
    return this.#queue === queue;
  }

  override setDirtyTracking(_enable: boolean): void {
    // The unit always keeps dirty state in a table that was made for it.
  }

  override flush(): void {
    if (this.tag !== 0) {
      if (this.stage === 1) this.#queue.tlbiAsid(this.tag);
      else this.#queue.tlbiVmid(this.tag);
    }
    this.#settle(EVERY_PAGE);
  }

  /** SMMUv3: Change, PTE unmap: TLBI, CMD_SYNC, then the functions' caches, then CMD_SYNC. */
  protected override flushPages(page: number, pages: number): void {
    const leaf = !this.table.hasUnused;
    if (this.tag !== 0) {
      if (this.stage === 1) this.#queue.tlbiVa(this.tag, page, pages, leaf);
      else this.#queue.tlbiIpa(this.tag, page, pages, leaf);
      // Combined entries of both stages are found by stage 1 only.
      if (this.nestParent) this.#queue.tlbiStage1(this.tag);
    }
    this.#settle(blockOf(page, pages));
  }

  /** Some function may have cached translations of it. */
  #reachesFunctions(): boolean {
    for (const { device } of this.attachments) if (device.ats) return true;
    for (const device of this.nested) if (device.ats) return true;
    return false;
  }

  #settle(block: PageBlock): void {
    const queue = this.#queue;
    let done = this.tag === 0 || queue.sync();
    if (this.#reachesFunctions()) {
      for (const { device, pasid } of this.attachments)
        if (device.ats) queue.atc(device.requester, pasid === 0 ? undefined : pasid, block);
      for (const device of this.nested) flushFunction(queue, device);
      done = queue.sync();
    }
    if (done) this.table.collect();
  }
}

/** Everything that a function has cached, with and without PASIDs. */
export function flushFunction(queue: SmmuQueue, device: PhysicalDevice): void {
  if (!device.ats) return;
  queue.atc(device.requester, undefined, EVERY_PAGE);
  if (device.pasidWidth > 0) queue.atcPasids(device.requester);
}

/** Bits of STE words 0 and 1 that a user may set (Linux, include/uapi/linux/iommufd.h: struct iommu_hwpt_arm_smmuv3). */
const ALLOWED_0 = 0xf80f_ffff_ffff_ffffn;
const ALLOWED_1 = 0x3800_00ffn;
const VALID = 1n;
const CONFIG_ABORT = 0;
const EATS_SHIFT = 28n;
const EATS_OFF = 0;
const EATS_FULL = 1;

export interface UserStream {
  readonly config: number;
  /** Words 0 to 3 of the STE, as the user has them: V and Config are to be replaced. */
  readonly words: readonly number[];
  readonly ats: boolean;
}

/** The STE of a user. Throws EINVAL for other data, EIO for what an STE of a user must not say. */
export function userStream(data: UserData): UserStream {
  const { ste0, ste1 } = data.read(HWPT_DATA.ARM_SMMUV3, HWPT_SMMUV3);
  if ((ste0 & VALID) === 0n) return { config: CONFIG_ABORT, words: [0, 0, 0, 0], ats: false };
  demand(
    (ste0 & ~ALLOWED_0) === 0n && (ste1 & ~ALLOWED_1) === 0n,
    'EIO',
    'the STE has bits that a user must not set',
  );
  const config = Number((ste0 >> 1n) & 7n);
  const known = config === CONFIG_ABORT || config === CONFIG_BYPASS || config === CONFIG_S1;
  demand(known, 'EIO', `Config ${config} is neither abort, bypass nor stage 1`);
  const eats = Number((ste1 >> EATS_SHIFT) & 3n);
  demand(eats === EATS_OFF || eats === EATS_FULL, 'EIO', `EATS ${eats} is neither off nor full`);
  const half = (value: bigint) => Number(value & 0xffff_ffffn);
  const words = [half(ste0), half(ste0 >> 32n), half(ste1), half(ste1 >> 32n)];
  return { config, words, ats: eats === EATS_FULL && config !== CONFIG_ABORT };
}

/** A user's STE: abort, stage 2 of the parent alone, or the user's own CD table on top of it. */
export class SmmuNestedDomain implements NestedDomain {
  readonly kind = 'nested';
  readonly viommu: SmmuViommu;
  readonly stream: UserStream;

  constructor(viommu: SmmuViommu, stream: UserStream) {
    this.viommu = viommu;
    this.stream = stream;
  }

  get parent(): SmmuPagingDomain {
    return this.viommu.parent;
  }

  free(): void {}
}
