/**
 * Guest physical memory as one WebAssembly linear memory.
 *
 *     0 .. ramBase          unbacked for the guest (devices of machines whose RAM is not at 0)
 *     ramBase .. ramEnd     guest RAM: GPA = WASM address
 *     ramEnd ..             hidden region: page flags, scratch words, asyncify stack
 *     tlbRead ..            translations of user processes, where there are any
 *     highAt ..             RAM at 4 GiB and above, for bus masters and monitors; no guest instruction reaches it
 *     hostAt ..             memory of the modelled host behind an assigned device; nothing of the guest's reaches it
 *
 * The hidden region is out of the guest's reach: every load is range-checked against RAM and every store looks at the page
 * flag of its address. It lives in the same memory because a WASM module of the baseline has one memory only.
 */

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
/** WebAssembly's own page: the unit memories are sized in. */
export const WASM_PAGE_SIZE = 65536;
/** One flag byte for each 4 KiB page of the 32-bit address space. */
export const FLAG_BYTES = 1 << 20;
/** Scratch words the rewritten code shares with the host (see HiddenLayout). */
const SCRATCH_BYTES = 4096;
/** Room for the frames that asyncify unwinds. */
const ASYNCIFY_BYTES = 256 * 1024;

/** Bytes that an index of a translation table reaches: see HiddenLayout.tlbRead. Only the first 4 MiB are ever written. */
const TLB_REACH = 32 << 20;
/** Bytes of a staged access: the widest one. */
const STAGE_BYTES = 16;

/** Page flag: a store may go straight to RAM. Zero sends it to the slow path. */
export const FLAG_FAST = 1;

export interface HiddenLayout {
  /** GPA of the first byte of RAM. */
  readonly ramBase: number;
  /** Bytes of RAM; a multiple of 64 KiB. */
  readonly ramSize: number;
  /** First address after RAM. */
  readonly ramEnd: number;
  /** Page flags: FLAG_BYTES bytes, indexed by address >>> 12. */
  readonly flags: number;
  /** u32: the upper half of the last 64-bit value a host function returned or was given. */
  readonly hiWord: number;
  /** Asyncify data: { u32 current, u32 end } followed by the stack. */
  readonly asyncifyData: number;
  readonly asyncifyStack: number;
  readonly asyncifyEnd: number;
  /**
   * Translations of the user process that runs: one u32 for each 4 KiB page of its address space, for loads and for stores. 0
   * is a miss; else physical minus virtual address, minus 1. A lookup adds the address bits that are to be 0 (those
   * below the access's alignment) on top of the page number, so that a misaligned access finds the zeros behind the table.
   */
  readonly tlbRead: number;
  readonly tlbWrite: number;
  /** The two tables are there. */
  readonly userMode: boolean;
  /** Where an access of a process lands that is not one of RAM within a page; the host carries it on. */
  readonly stage: number;
  /** Where the RAM lies that has its addresses from 4 GiB on. */
  readonly highAt: number;
  /** Memory of the modelled host: its own tables and queues. */
  readonly hostAt: number;
  readonly hostBytes: number;
  /** WASM pages of the whole memory; initial = maximum so that views never detach. */
  readonly wasmPages: number;
  /** WASM pages up to tlbRead: what every machine with this RAM has. */
  readonly leastPages: number;
}

/**
 * @param userMode whether there are tables of translations: they take 64 MiB of the address space, little of it touched
 * @throws RangeError when RAM and the hidden region do not fit below 4 GiB.
 */
export function hiddenLayout(
  ramBase: number,
  ramSize: number,
  highSize = 0,
  userMode = false,
  hostBytes = 0,
): HiddenLayout {
  const ramEnd = ramBase + ramSize;
  const scratch = ramEnd + FLAG_BYTES;
  const asyncifyStack = scratch + SCRATCH_BYTES;
  const asyncifyEnd = asyncifyStack + ASYNCIFY_BYTES;
  const tlbRead = Math.ceil(asyncifyEnd / WASM_PAGE_SIZE) * WASM_PAGE_SIZE;
  const tlbWrite = tlbRead + TLB_REACH;
  const highAt = userMode ? tlbWrite + TLB_REACH : tlbRead;
  const hostAt = highAt + highSize;
  const wasmPages = (hostAt + hostBytes) / WASM_PAGE_SIZE;
  if (ramSize <= 0 || (ramSize | highSize | hostBytes) % WASM_PAGE_SIZE !== 0)
    throw new RangeError('RAM must be a multiple of 64 KiB');
  if (wasmPages > 65536) throw new RangeError('RAM and its hidden region must fit below 4 GiB');
  return {
    ramBase,
    ramSize,
    ramEnd,
    flags: ramEnd,
    hiWord: scratch,
    asyncifyData: scratch + 16,
    asyncifyStack,
    asyncifyEnd,
    tlbRead,
    tlbWrite,
    userMode,
    stage: scratch + SCRATCH_BYTES - STAGE_BYTES,
    highAt,
    hostAt,
    hostBytes,
    wasmPages,
    leastPages: tlbRead / WASM_PAGE_SIZE,
  };
}
