import {
  CERROR_ATC_INV_SYNC,
  CERROR_ILL,
  CMD_ATC_INV,
  CMD_CFGI_CD,
  CMD_CFGI_STE,
  CMD_CFGI_STE_RANGE,
  CMD_PRI_RESP,
  CMD_RESUME,
  CMD_STALL_TERM,
  CMD_SYNC,
  CMD_TLBI_NH_ALL,
  CMD_TLBI_NH_ASID,
  CMD_TLBI_NH_VA,
  CMD_TLBI_NSNH_ALL,
  CMD_TLBI_S2_IPA,
  CMD_TLBI_S12_VMALL,
} from '../../../viommu/spec/smmuv3/commands.ts';
import { CMDQ_BASE, CMDQ_CONS, CMDQ_PROD, GERROR, GERRORN } from '../../../viommu/spec/smmuv3/registers.ts';
import { Bug } from '../../core/errors.ts';
import { PAGE_BYTES } from './physical-memory.ts';
import type { PageBlock } from './ranges.ts';
import type { PhysicalUnit } from './unit.ts';

/** log2 of commands: 8 KiB. */
const QUEUE_LOG2 = 9;
const COMMAND_BYTES = 16;
const CMDQ_ERR = 1;
const ERR_SHIFT = 24;
const INDEX_MASK = 0xfffff;
const SSV = 1 << 11;
const GLOBAL = 1 << 9;
const LEAF = 1;
const TG_4K = 1 << 10;
const EVERYTHING = 52;
/** A range of this many pages more is named by its ASID or VMID where the unit takes no ranges. */
const MOST_SINGLE = 64;
const MOST_NUM = 32;
const RETRY = 1 << 12;
const ABORT = 1 << 13;
const FRAMES_OF_LO = 2 ** 20;
/** PRI_RESP.Resp. */
export const RESP_INVALID = 1;
export const RESP_SUCCESS = 2;

export interface SmmuQueueOptions {
  /** IDR1.CMDQS. */
  readonly most: number;
  /** IDR3.RIL. */
  readonly ranges: boolean;
  /** Erratum: TLBI and CFGI commands work when issued twice. */
  readonly twice: boolean;
}

/** The host's side of a command queue: commands are written, and `sync` ends with a CMD_SYNC (SMMUv3: CMD_SYNC). */
export class SmmuQueue {
  /** Commands of users that the unit called illegal, and that were passed over. */
  illegal = 0;
  readonly #unit: PhysicalUnit;
  readonly #options: SmmuQueueOptions;
  readonly #base: number;
  readonly #pages: number;
  readonly #log2: number;
  /** With its wrap bit. */
  #prod = 0;
  #room: number;

  /** Throws ENOMEM. */
  constructor(unit: PhysicalUnit, options: SmmuQueueOptions) {
    this.#unit = unit;
    this.#options = options;
    this.#log2 = Math.min(QUEUE_LOG2, options.most);
    this.#pages = Math.max(1, (COMMAND_BYTES << this.#log2) / PAGE_BYTES);
    this.#base = unit.memory.pages.take(this.#pages);
    this.#room = 1 << this.#log2;
    unit.writeWide(CMDQ_BASE.offset, this.#base | this.#log2, 0);
    unit.write(CMDQ_PROD.offset, 0);
    unit.write(CMDQ_CONS.offset, 0);
  }

  free(): void {
    this.#unit.memory.pages.give(this.#base, this.#pages);
  }

  cfgiAll(): void {
    this.#invalidate(CMD_CFGI_STE_RANGE, 0, 0x1f, 0);
  }

  cfgiSte(sid: number): void {
    this.#invalidate(CMD_CFGI_STE, sid, LEAF, 0);
  }

  /** `leaf`: the tables that lead to it stay. */
  cfgiCd(sid: number, ssid: number, leaf: boolean): void {
    this.#invalidate(CMD_CFGI_CD | (ssid << 12), sid, leaf ? LEAF : 0, 0);
  }

  tlbiAll(): void {
    this.#invalidate(CMD_TLBI_NSNH_ALL, 0, 0, 0);
  }

  tlbiVmid(vmid: number): void {
    this.#invalidate(CMD_TLBI_S12_VMALL, vmid, 0, 0);
  }

  /** Stage 1 of a VMID, and what it was combined with. */
  tlbiStage1(vmid: number): void {
    this.#invalidate(CMD_TLBI_NH_ALL, vmid, 0, 0);
  }

  tlbiAsid(asid: number): void {
    this.#invalidate(CMD_TLBI_NH_ASID, asid << 16, 0, 0);
  }

  /** Pages of a stage 1 of the host: VMID 0. */
  tlbiVa(asid: number, page: number, pages: number, leaf: boolean): void {
    if (!this.#ranged(CMD_TLBI_NH_VA, asid << 16, page, pages, leaf)) this.tlbiAsid(asid);
  }

  tlbiIpa(vmid: number, page: number, pages: number, leaf: boolean): void {
    if (!this.#ranged(CMD_TLBI_S2_IPA, vmid, page, pages, leaf)) this.tlbiVmid(vmid);
  }

  /** @param pasid undefined: translations without one */
  atc(sid: number, pasid: number | undefined, { lo, hi, order }: PageBlock): void {
    const substream = pasid === undefined ? 0 : SSV | (pasid << 12);
    this.put(CMD_ATC_INV | substream, sid, lo | Math.min(order, EVERYTHING), hi);
  }

  /** Everything of every PASID. */
  atcPasids(sid: number): void {
    this.put(CMD_ATC_INV | SSV | GLOBAL, sid, EVERYTHING, 0);
  }

  priResponse(sid: number, pasid: number | undefined, group: number, response: number): void {
    const substream = pasid === undefined ? 0 : SSV | (pasid << 12);
    this.put(CMD_PRI_RESP | substream, sid, group | (response << 12), 0);
  }

  resume(sid: number, tag: number, retry: boolean): void {
    this.put(CMD_RESUME | (retry ? RETRY : ABORT), sid, tag, 0);
  }

  terminateStalls(sid: number): void {
    this.put(CMD_STALL_TERM, sid, 0, 0);
  }

  /** A command of a user, who does not know of errata. */
  user(w0: number, w1: number, w2: number, w3: number): void {
    if ((w0 & 0xff) < CMD_ATC_INV) this.#invalidate(w0, w1, w2, w3);
    else this.put(w0, w1, w2, w3);
  }

  /** One command as it is. A full queue is worked off first. */
  put(w0: number, w1: number, w2: number, w3: number): void {
    if (this.#room <= 1) this.sync();
    this.#room--;
    const { u32 } = this.#unit.memory.ram;
    const i = (this.#base + (this.#prod & ((1 << this.#log2) - 1)) * COMMAND_BYTES) >>> 2;
    u32[i] = w0;
    u32[i + 1] = w1;
    u32[i + 2] = w2;
    u32[i + 3] = w3;
    this.#prod = (this.#prod + 1) & ((2 << this.#log2) - 1);
  }

  /**
   * Rings the doorbell and waits. False: a function has not completed an invalidation of its cache, and what was submitted is
   * done when it has.
   */
  sync(): boolean {
    this.#room++;
    this.put(CMD_SYNC, 0, 0, 0);
    this.#unit.write(CMDQ_PROD.offset, this.#prod);
    while (this.#repair());
    this.#room = (1 << this.#log2) - this.#left();
    return this.isDone;
  }

  get isDone(): boolean {
    return this.#left() === 0;
  }

  #left(): number {
    return (this.#prod - (this.#unit.read(CMDQ_CONS.offset) & INDEX_MASK)) & ((2 << this.#log2) - 1);
  }

  /** An error of the queue: what a user made illegal is passed over as a CMD_SYNC, and the queue goes on, as in Linux. */
  #repair(): boolean {
    const unit = this.#unit;
    const errors = unit.read(GERROR.offset);
    if (((errors ^ unit.read(GERRORN.offset)) & CMDQ_ERR) === 0) return false;
    const cons = unit.read(CMDQ_CONS.offset);
    const why = (cons >>> ERR_SHIFT) & 0x7f;
    const at = this.#base + (cons & ((1 << this.#log2) - 1)) * COMMAND_BYTES;
    if (why === CERROR_ILL) {
      this.illegal++;
      unit.memory.storeWords(at, [CMD_SYNC, 0, 0, 0]);
    } else if (why !== CERROR_ATC_INV_SYNC) throw new Bug(`${unit.id} cannot read the commands of its host`);
    unit.write(GERRORN.offset, unit.read(GERRORN.offset) ^ CMDQ_ERR);
    return true;
  }

  #invalidate(w0: number, w1: number, w2: number, w3: number): void {
    // Nothing may come between the two.
    if (this.#options.twice && this.#room <= 2) this.sync();
    this.put(w0, w1, w2, w3);
    if (this.#options.twice) this.put(w0, w1, w2, w3);
  }

  /** False: there are too many pages to name them one by one. */
  #ranged(op: number, w1: number, page: number, pages: number, leaf: boolean): boolean {
    if (!this.#options.ranges && pages > MOST_SINGLE) return false;
    const last = leaf ? LEAF : 0;
    let at = page;
    for (let left = pages; left > 0; ) {
      const { num, scale } = this.#options.ranges ? largest(left) : { num: 1, scale: 0 };
      const single = num === 1 && scale === 0;
      const range = single ? 0 : ((num - 1) << 12) | (scale << 20);
      const lo = ((at % FRAMES_OF_LO) << 12) | (single ? 0 : TG_4K) | last;
      this.#invalidate(op | range, w1, lo, Math.floor(at / FRAMES_OF_LO));
      at += num * 2 ** scale;
      left -= num * 2 ** scale;
    }
    return true;
  }
}

/** The pages that one command can name, from the lowest bit that is set: num x 2^scale. */
function largest(pages: number): { readonly num: number; readonly scale: number } {
  let scale = 0;
  let rest = pages;
  for (; rest % 2 === 0; rest /= 2) scale++;
  return { num: rest % MOST_NUM, scale };
}
