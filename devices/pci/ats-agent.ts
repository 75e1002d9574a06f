import {
  ALL_PASIDS,
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_CA,
  DMA_DISABLED,
  DMA_MESSAGE,
  DMA_OK,
  DMA_STALLED,
  DMA_UR,
  type DmaPort,
  EXEC,
  GRANTED_GLOBAL,
  GRANTED_NO_SNOOP,
  NO_PASID,
  READ,
  UNTRANSLATED_ONLY,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_PENDING } from '../../vmm/bus/iommu.ts';
import type { GuestRam } from '../../vmm/mem/ram.ts';
import { record, type Schema, words } from '../../vmm/state/schema.ts';
import { ATC_ROW_WORDS, Atc, atcTag, globalTag, HINT_MASK, MAX_SIZE_CODE } from './atc.ts';
import { AtsControls } from './ats-controls.ts';
import type { PciFunction } from './function.ts';
import type { AtsLink } from './kind.ts';
import {
  GROUP_WORDS,
  makePlain,
  type OnPageResponse,
  PAGE_REQUEST_GROUPS,
  PageRequester,
} from './page-requester.ts';

export { PRG_NO_CREDIT, PRG_NONE } from './page-requester.ts';

/** Outcomes of an access: those of DmaPort, and ATS_FAULT. */
export const ATS_OK = DMA_OK;
export const ATS_UR = DMA_UR;
export const ATS_CA = DMA_CA;
/** Nothing was sent: Bus Master Enable is 0, or the PASID or an AtomicOp may not be used as config space is. */
export const ATS_DISABLED = DMA_DISABLED;
/** The IOMMU holds the access; agent.stallTag names it. */
export const ATS_STALLED = DMA_STALLED;
/** The page is not granted for this access: a page request may help. */
export const ATS_FAULT = 6;

const ACCESS = READ | WRITE | EXEC;
const PAGE_OFFSET = 4095;
/** Spans end at the next GiB at the latest. */
const SPAN_MASK = 0x3fffffff;

export interface AtsState {
  /** Rows of the ATC. */
  readonly atc: Uint32Array;
  readonly sizes: Uint32Array;
  /** Page request groups by index. */
  readonly groups: Uint32Array;
  /** 0: group index to look at next; 1: 1 + the group still open for more requests. */
  readonly next: Uint32Array;
  /** Invalidations not completed yet, a bit an ITag. */
  readonly pending: Uint32Array;
}

/** What a device embeds in its state. @param rows of the ATC: a power of two, 2 at least */
export function atsState(rows = 1024): Schema<AtsState> {
  return record({
    atc: words(rows * ATC_ROW_WORDS),
    sizes: words(2),
    groups: words(PAGE_REQUEST_GROUPS * GROUP_WORDS),
    next: words(2),
    pending: words(1),
  }) as Schema<AtsState>;
}

/** What AtsAgent.place found last: a page, and where it lies. */
export class Place {
  page = 0;
  hi = 0;
  /** No row has it. */
  tag = 0;
  generation = 0;
  access = 0;
  at = 0;
}

/** What the device that owns the agent is told. */
export interface AtsHooks {
  /**
   * Answer to page request group `group` (PAGE_RESPONSE_ codes; failure also where PRI was disabled or reset with the group
   * outstanding). May come before the requestPage that caused it returns: `owner` is what was given there.
   */
  onPageResponse?(pasid: number, group: number, code: number, owner: number): void;
  /** The ATC has been invalidated; returns a DEVICE_TLB code. Without it the completion is sent at once. */
  onInvalidate?(tag: number): number;
  /** The held access `tag` goes on: to be tried again, or ended as ATS_UR. */
  onResume?(tag: number, retry: boolean): void;
}

/**
 * The side of a function that speaks PASID, ATS and PRI: its address translation cache, its page requests, what the IOMMU
 * sends to it, and data movement through all that. Built in buildCache from state, port and function; it keeps nothing of its
 * own but results.
 *
 * With ATS enabled an access is translated by the ATC or a translation request and then sent translated; with ATS disabled it
 * is sent untranslated, and the IOMMU may refuse it only when data moves.
 */
export class AtsAgent extends PageRequester implements AtsLink {
  /** After ATS_OK of access: where to move data, by which address type, and how many bytes up to the end of the page. */
  outLo = 0;
  outHi = 0;
  outSpan = 0;
  outAt = AT_UNTRANSLATED;
  /** Bytes moved by the last read or write. */
  done = 0;
  /** Where the last read, write or atomic was refused. */
  faultLo = 0;
  faultHi = 0;
  /** Names the held access after ATS_STALLED. */
  stallTag = 0;
  /** What memory held before the last atomic. */
  oldLo = 0;
  oldHi = 0;
  /** What the last translation request was granted: READ, WRITE, EXEC and GRANTED_ bits. */
  granted = 0;
  /** Accesses go untranslated even with ATS enabled. */
  bypassAtc = false;
  readonly #s: AtsState;
  readonly #dma: DmaPort;
  readonly #hooks: AtsHooks;
  readonly #controls: AtsControls;
  readonly #atc: Atc;
  readonly #rows: Uint32Array;
  readonly #hints: Int32Array;
  readonly #scratch = new Uint8Array(16);

  constructor(s: AtsState, dma: DmaPort, fn: PciFunction, hooks: AtsHooks = {}) {
    const onResponse: OnPageResponse = (...answer) => hooks.onPageResponse?.(...answer);
    const controls = new AtsControls(fn);
    super(s.groups, s.next, dma, controls, onResponse);
    this.#s = s;
    this.#dma = dma;
    this.#hooks = hooks;
    this.#controls = controls;
    this.#atc = new Atc(s.atc, s.sizes);
    this.#rows = s.atc;
    this.#hints = this.#atc.hints;
  }

  // Translation

  /**
   * Finds out where (lo, hi) is. @param access a set of READ, WRITE, EXEC; EXEC and `privileged` count only where the PASID
   * capability has them enabled
   */
  access(pasid: number, privileged: boolean, lo: number, hi: number, access: number): number {
    const a = lo | 0;
    const h = hi | 0;
    const tag = atcTag(pasid, privileged);
    const rows = this.#rows;
    const p = this.#hints[((a >>> 12) ^ tag) & HINT_MASK]!;
    // Rows are made only where config space allows such requests, and go when it does not any more: a row needs no other
    // check. A page of 4 KiB has size code 0, and nothing smaller can be there.
    const other = (rows[p]! ^ (a & -4096)) | (rows[p + 1]! ^ h) | (rows[p + 2]! ^ tag);
    if ((other | (access & ~rows[p + 5]!)) === 0 && this.#dma.enabled && !this.bypassAtc) {
      this.outLo = rows[p + 3]! | (a & PAGE_OFFSET);
      this.outHi = rows[p + 4]! | 0;
      this.outSpan = 4096 - (a & PAGE_OFFSET);
      this.outAt = AT_TRANSLATED;
      return ATS_OK;
    }
    return this.#find(pasid, privileged, a, h, access);
  }

  #find(pasid: number, privileged: boolean, a: number, h: number, access: number): number {
    const controls = this.#controls;
    const dma = this.#dma;
    if (!dma.enabled || (pasid !== NO_PASID && !controls.allowsPasid(pasid))) return ATS_DISABLED;
    if (!controls.atsEnabled || this.bypassAtc) return this.#untranslated(a, h);
    const priv = privileged && pasid !== NO_PASID && controls.privilegedEnabled;
    let wanted = access & ACCESS;
    if ((wanted & EXEC) !== 0 && (pasid === NO_PASID || !controls.executeEnabled))
      wanted = wanted & ~EXEC || READ;
    const atc = this.#atc;
    let r = atc.lookup(a, h, atcTag(pasid, priv));
    if (r < 0 && atc.sizes[1] !== 0 && pasid !== NO_PASID) r = atc.lookup(a, h, globalTag(priv));
    if (r < 0 || (wanted & ~atc.rows[r + 5]!) !== 0) return this.#request(pasid, priv, a, h, wanted, r);
    return this.#hit(r, a, h);
  }

  #hit(r: number, lo: number, hi: number): number {
    const rows = this.#atc.rows;
    const inside = rows[r + 6]! | 0;
    this.outLo = rows[r + 3]! | (lo & inside);
    this.outHi = rows[r + 4]! | (hi & rows[r + 7]! & 0x7fffffff);
    this.outSpan = (inside & SPAN_MASK) - (lo & inside & SPAN_MASK) + 1;
    this.outAt = AT_TRANSLATED;
    return ATS_OK;
  }

  /**
   * Whether place may be asked: accesses by the ATC reach memory as they are. Good until something else than memory has been
   * accessed.
   */
  get reaches(): boolean {
    return !this.bypassAtc && this.#dma.reaches;
  }

  /**
   * Where in the linear memory of `ram` the n bytes at (lo, hi) lie, where an access would find them there without anything being
   * sent or changed: they are of one 4 KiB page that the ATC holds, and RAM below 2 GiB. -1 says nothing of what an access would
   * do. Halves are signed.
   * @param place keeps what was found for as long as the ATC is as it was: one for each kind of address
   * @param tag atcTag of PASID and mode
   */
  place(place: Place, tag: number, lo: number, hi: number, n: number, access: number): number {
    const offset = lo & PAGE_OFFSET;
    const other =
      (place.page ^ (lo - offset)) |
      (place.hi ^ hi) |
      (place.tag ^ tag) |
      (place.generation ^ this.#atc.generation) |
      (access & ~place.access);
    if (other !== 0 && !this.#look(place, tag, lo - offset, hi, access)) return -1;
    return offset + n <= PAGE_OFFSET + 1 ? place.at + offset : -1;
  }

  #look(place: Place, tag: number, page: number, hi: number, access: number): boolean {
    const rows = this.#rows;
    const r = this.#search(tag, page, hi);
    if (r < 0 || (access & ~rows[r + 5]!) !== 0) return false;
    const outLo = rows[r + 3]! | (page & rows[r + 6]!);
    const at = this.#dma.place(outLo, rows[r + 4]! | (hi & rows[r + 7]! & 0x7fffffff), PAGE_OFFSET + 1);
    if (at < 0 || at > 0x7fffffff - PAGE_OFFSET) return false;
    place.page = page;
    place.hi = hi;
    place.tag = tag;
    place.generation = this.#atc.generation;
    place.access = rows[r + 5]! | 0;
    place.at = at;
    return true;
  }

  #search(tag: number, lo: number, hi: number): number {
    const atc = this.#atc;
    const r = atc.lookup(lo, hi, tag);
    if (r >= 0 || atc.sizes[1] === 0 || tag >>> 1 === atcTag(NO_PASID, false) >>> 1) return r;
    return atc.lookup(lo, hi, globalTag((tag & 1) !== 0));
  }

  /** Guest memory, for what place finds. */
  get ram(): GuestRam {
    return this.#dma.ram;
  }

  /** Bytes have been written at an address of `ram` that place found. */
  wrote(at: number, n: number): void {
    this.#dma.wrote(at, n);
  }

  #untranslated(lo: number, hi: number): number {
    this.outLo = lo;
    this.outHi = hi;
    this.outSpan = 4096 - (lo & PAGE_OFFSET);
    this.outAt = AT_UNTRANSLATED;
    return ATS_OK;
  }

  /**
   * A translation request: for reading, and unless its No Write bit is set for writing, too (PCI Express Base: ATS: Translation
   * Requests). @param old row whose permissions do not suffice, or -1: the answer takes its place
   */
  #request(pasid: number, privileged: boolean, lo: number, hi: number, access: number, old: number): number {
    const dma = this.#dma;
    dma.at = AT_TRANSLATION;
    dma.pasid = pasid;
    dma.privileged = privileged;
    const status = dma.translate(lo, hi, (access & WRITE) === 0 ? access : access | READ);
    makePlain(this.#dma);
    if (status === DMA_MESSAGE) return this.#untranslated(lo, hi);
    if (status !== DMA_OK) {
      this.stallTag = dma.stallTag;
      return status;
    }
    const granted = dma.outAccess;
    this.granted = granted;
    if ((granted & UNTRANSLATED_ONLY) !== 0) return this.#untranslated(lo, hi);
    if (old >= 0) this.#atc.drop(old);
    // PCI Express Base: ATS: Translation Completion: R = W = 0 is no translation, and is not kept.
    if ((granted & ACCESS) === 0) return ATS_FAULT;
    const r = this.#fill(pasid, privileged, lo, hi, granted);
    if (r < 0) return ATS_CA;
    return (access & ~granted) === 0 ? this.#hit(r, lo, hi) : ATS_FAULT;
  }

  /** LIMIT: pci-ats-stu: an answer smaller than the smallest translation unit is used like a Completer Abort. */
  #fill(pasid: number, privileged: boolean, lo: number, hi: number, granted: number): number {
    const { outSize, outLo, outHi } = this.#dma;
    const order = (Math.log2(outSize) | 0) - 12;
    if (order < this.#controls.stu) return -1;
    const global = (granted & GRANTED_GLOBAL) !== 0 && pasid !== NO_PASID && this.#controls.globalInvalidate;
    const tag = global ? globalTag(privileged) : atcTag(pasid, privileged);
    const kept = granted & (ACCESS | GRANTED_GLOBAL | GRANTED_NO_SNOOP);
    return this.#atc.insert(lo, hi, tag, order < MAX_SIZE_CODE ? order : MAX_SIZE_CODE, outLo, outHi, kept);
  }

  /** Sets the port for the data that access found a place for. LIMIT: pci-ats-translated-pasid: none goes with it. */
  #address(pasid: number, privileged: boolean): void {
    const dma = this.#dma;
    dma.at = this.outAt;
    if (this.outAt === AT_TRANSLATED) return;
    dma.pasid = pasid;
    dma.privileged = privileged && pasid !== NO_PASID && this.#controls.privilegedEnabled;
  }

  // Data

  /**
   * Reads n bytes into dst[at...], page by page. @param execute the read fetches instructions
   * @returns ATS_OK, or why it ended after `done` bytes, at (faultLo, faultHi)
   */
  read(
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    dst: Uint8Array,
    at: number,
    n: number,
    execute = false,
  ): number {
    this.done = 0;
    if (n === 0) return ATS_OK;
    const access = execute ? READ | EXEC : READ;
    const status = this.access(pasid, privileged, lo, hi, access);
    // The usual case: all of it lies in one page that the ATC knows.
    if (status === ATS_OK && this.outAt === AT_TRANSLATED && this.outSpan >= n) {
      const moved = this.#dma.moveTranslated(this.outLo, this.outHi, dst, at, n, READ);
      if (moved !== ATS_OK) return this.#stop(moved, lo, hi, 0);
      this.done = n;
      return ATS_OK;
    }
    return this.#pages(status, pasid, privileged, lo | 0, hi | 0, dst, at, n, access);
  }

  /** Writes src[at, at + n); results as read. Pages before a refused one have been written. */
  write(
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    src: Uint8Array,
    at: number,
    n: number,
  ): number {
    this.done = 0;
    if (n === 0) return ATS_OK;
    const status = this.access(pasid, privileged, lo, hi, WRITE);
    if (status === ATS_OK && this.outAt === AT_TRANSLATED && this.outSpan >= n) {
      const moved = this.#dma.moveTranslated(this.outLo, this.outHi, src, at, n, WRITE);
      if (moved !== ATS_OK) return this.#stop(moved, lo, hi, 0);
      this.done = n;
      return ATS_OK;
    }
    return this.#pages(status, pasid, privileged, lo | 0, hi | 0, src, at, n, WRITE);
  }

  /** Page after page. @param first status of the access to the first page, which has been made already */
  #pages(
    first: number,
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    buffer: Uint8Array,
    at: number,
    n: number,
    access: number,
  ): number {
    let status = first;
    let a = lo;
    let h = hi;
    let done = 0;
    for (;;) {
      const left = n - done;
      const bytes = this.outSpan < left ? this.outSpan : left;
      if (status === ATS_OK) status = this.#transfer(pasid, privileged, buffer, at + done, bytes, access);
      if (status !== ATS_OK) return this.#stop(status, a, h, done);
      done += bytes;
      if (done >= n) break;
      const next = (a + bytes) | 0;
      if (next >>> 0 < a >>> 0) h = (h + 1) | 0;
      a = next;
      status = this.access(pasid, privileged, a, h, access);
    }
    this.done = done;
    return ATS_OK;
  }

  #stop(status: number, lo: number, hi: number, done: number): number {
    this.done = done;
    this.faultLo = lo >>> 0;
    this.faultHi = hi >>> 0;
    return status;
  }

  #transfer(
    pasid: number,
    privileged: boolean,
    buffer: Uint8Array,
    at: number,
    n: number,
    access: number,
  ): number {
    const dma = this.#dma;
    const lo = this.outLo;
    const hi = this.outHi;
    if (this.outAt === AT_TRANSLATED)
      return dma.moveTranslated(lo | 0, hi | 0, buffer, at, n, access & (READ | WRITE));
    this.#address(pasid, privileged);
    let status = DMA_OK;
    // The port reads data; that these are instructions is asked for beforehand, where nothing else asked.
    if ((access & EXEC) !== 0 && this.#mayExecute(pasid)) status = dma.translate(lo, hi, access);
    if (status === DMA_OK)
      status = access === WRITE ? dma.write(lo, hi, buffer, at, n) : dma.read(lo, hi, buffer, at, n);
    makePlain(this.#dma);
    if (status === DMA_STALLED) this.stallTag = dma.stallTag;
    return status;
  }

  #mayExecute(pasid: number): boolean {
    return pasid !== NO_PASID && this.#controls.executeEnabled;
  }

  /** AtomicOp FetchAdd of 4 or 8 bytes; what was there before is in oldLo, oldHi. The address is naturally aligned. */
  fetchAdd(
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    bytes: 4 | 8,
    addLo: number,
    addHi: number,
  ): number {
    const status = this.#atomicRead(pasid, privileged, lo | 0, hi | 0, bytes);
    if (status !== ATS_OK) return status;
    const sum = (this.oldLo + (addLo >>> 0)) >>> 0;
    const carry = sum < this.oldLo ? 1 : 0;
    return this.#atomicWrite(pasid, privileged, bytes, sum, (this.oldHi + addHi + carry) >>> 0);
  }

  /** AtomicOp Swap of 4 or 8 bytes. */
  swap(
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    bytes: 4 | 8,
    newLo: number,
    newHi: number,
  ): number {
    const status = this.#atomicRead(pasid, privileged, lo | 0, hi | 0, bytes);
    return status === ATS_OK ? this.#atomicWrite(pasid, privileged, bytes, newLo, newHi) : status;
  }

  /** AtomicOp compare and swap of 4 or 8 bytes; it happened if (oldLo, oldHi) is what was compared with. */
  compareAndSwap(
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    bytes: 4 | 8,
    compareLo: number,
    compareHi: number,
    newLo: number,
    newHi: number,
  ): number {
    const status = this.#atomicRead(pasid, privileged, lo | 0, hi | 0, bytes);
    if (status !== ATS_OK) return status;
    const equal = this.oldLo === compareLo >>> 0 && (bytes === 4 || this.oldHi === compareHi >>> 0);
    return equal ? this.#atomicWrite(pasid, privileged, bytes, newLo, newHi) : ATS_OK;
  }

  /** PCI Express Base: AtomicOps: one request, which needs both permissions; nothing comes between its two halves here. */
  #atomicRead(pasid: number, privileged: boolean, lo: number, hi: number, bytes: number): number {
    const dma = this.#dma;
    let status: number = ATS_DISABLED;
    if (this.#controls.atomicsEnabled) status = this.access(pasid, privileged, lo, hi, READ | WRITE);
    if (status === ATS_OK) {
      dma.atomic = true;
      this.#address(pasid, privileged);
      status = dma.translate(this.outLo, this.outHi, READ | WRITE);
      if (status === DMA_OK) status = dma.read(this.outLo, this.outHi, this.#scratch, 0, bytes);
      else if (status === DMA_MESSAGE) status = ATS_UR;
      if (status === DMA_STALLED) this.stallTag = dma.stallTag;
      dma.atomic = false;
      makePlain(this.#dma);
    }
    if (status !== ATS_OK) return this.#stop(status, lo, hi, 0);
    this.oldLo = load32(this.#scratch, 0);
    this.oldHi = bytes === 8 ? load32(this.#scratch, 4) : 0;
    return ATS_OK;
  }

  #atomicWrite(pasid: number, privileged: boolean, bytes: number, lo: number, hi: number): number {
    store32(this.#scratch, 0, lo);
    store32(this.#scratch, 4, hi);
    this.#address(pasid, privileged);
    const status = this.#dma.write(this.outLo, this.outHi, this.#scratch, 0, bytes);
    makePlain(this.#dma);
    return status;
  }

  // What the IOMMU sends

  invalidate(pasid: number, lo: number, hi: number, order: number, tag: number): number {
    const a = lo | 0;
    const h = hi | 0;
    if (order >= 52 && pasid === ALL_PASIDS) this.#atc.clear();
    else if (pasid === ALL_PASIDS) this.#atc.dropRangeOfAll(a, h, order);
    else this.#atc.dropRange(a, h, pasid, order);
    const outcome = this.#hooks.onInvalidate?.(tag) ?? DEVICE_TLB_DONE;
    if (outcome === DEVICE_TLB_PENDING) this.#s.pending[0]! |= 1 << tag;
    return outcome;
  }

  /** Completes an invalidation for which onInvalidate returned DEVICE_TLB_PENDING. */
  completeInvalidation(tag: number): void {
    const bit = 1 << tag;
    if ((this.#s.pending[0]! & bit) === 0) return;
    this.#s.pending[0]! &= ~bit;
    this.#dma.invalidationComplete(tag);
  }

  resume(tag: number, retry: boolean): void {
    this.#hooks.onResume?.(tag, retry);
  }

  /** ATS Enable changed: the cache begins empty, and is emptied when it ends. */
  atsChanged(): void {
    this.#atc.clear();
  }

  /** Rows in use, for views: PASID -1 none, ALL_PASIDS global. */
  get entries(): readonly AtcEntry[] {
    const { rows } = this.#atc;
    const out: AtcEntry[] = [];
    for (let r = 0; r < rows.length; r += ATC_ROW_WORDS) {
      const tag = rows[r + 2]!;
      if (tag === 0) continue;
      const global = tag >>> 1 === globalTag(false) >>> 1;
      out.push({
        pasid: global ? ALL_PASIDS : ((tag >>> 1) & 0x1fffff) - 1,
        privileged: (tag & 1) !== 0,
        lo: (rows[r]! & ~MAX_SIZE_CODE) >>> 0,
        hi: rows[r + 1]!,
        outLo: rows[r + 3]!,
        outHi: rows[r + 4]!,
        bytes: 2 ** (12 + (rows[r]! & MAX_SIZE_CODE)),
        access: rows[r + 5]!,
      });
    }
    return out;
  }

  /** With the device's reset: the cache is empty, nothing is outstanding, nobody is told. */
  reset(): void {
    this.#atc.clear();
    this.resetPageRequests();
    this.#s.atc.fill(0);
    this.#s.pending.fill(0);
  }
}

/** One translation in an ATC. */
export interface AtcEntry {
  readonly pasid: number;
  readonly privileged: boolean;
  readonly lo: number;
  readonly hi: number;
  readonly outLo: number;
  readonly outHi: number;
  readonly bytes: number;
  readonly access: number;
}

function load32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function store32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
