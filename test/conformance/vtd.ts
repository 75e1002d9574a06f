import * as D from '../../viommu/spec/vtd/descriptors.ts';
import { FSTS, PQA, PQH, PQT, PRS, RTADDR } from '../../viommu/spec/vtd/registers.ts';
import { PASID_ENTRY, SCALABLE_CONTEXT_ENTRY } from '../../viommu/spec/vtd/structures.ts';
import { DEVICE_TLB_NS } from '../../vmm/bus/device-tlbs.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_TIMEOUT, type DmaEndpoints } from '../../vmm/bus/iommu.ts';
import { CONTEXTS, ROOT, SRTP, TE, VtdMachine } from '../kit/vtd-machine.ts';
import { address, BusMasters, recoverByPageRequest } from './bus-masters.ts';
import { PageTree } from './page-tree.ts';
import * as W from './world.ts';

export type VtdType = 'legacy' | 'first' | 'second' | 'nested' | 'pass-through';

export interface VtdMode {
  readonly type: VtdType;
  /** Legacy mode, also of pass-through. */
  readonly legacy: boolean;
  /** The devices' own requests carry this PASID, or none. */
  readonly pasid: number;
  /** First-stage tables have this many levels. */
  readonly levels: 4 | 5;
  /** CAP.CM: entries that were not present may have been kept, and drivers invalidate when they make one present. */
  readonly cachingMode: boolean;
}

/** Second-stage entries: R, W, X, page size, A, D. */
const SS = { r: 1n, w: 2n, x: 4n, ps: 0x80n, a: 0x100n, d: 0x200n };
/** First-stage entries: P, R/W, U/S, A, D, page size, XD. */
const FS = { p: 1n, rw: 2n, us: 4n, a: 0x20n, d: 0x40n, ps: 0x80n, xd: 1n << 63n };

/** Frames begin at 4 GiB, where no RAM is; a second stage puts them 16 GiB further up. */
const FRAMES = 0x1_0000_0000n;
const MOVED = 0x4_0000_0000n;
const REQUESTS = 0x50000;
const STATUS = 0x60000;
const DONE = 0x600d;
const VECTOR = 0x30;
const ITE = 0x40;
const PFO = 1;
const PRO = 2;
const RECORDS = 4;
const PAGE = 4096;

type Codes = Record<W.Reason, readonly [number, number]>;
const both = (code: number): readonly [number, number] => [code, code];
/** No request meets this reason in the mode. */
const NONE = both(-1);

/** Fault reasons by the tables of the specification (VT-d: fault reason encodings): [read, write]. */
const LEGACY: Codes = {
  'no-device': both(0x02),
  'bad-device': both(0x0b),
  'no-bus': both(0x01),
  'no-pasid': NONE,
  plain: NONE,
  'bad-pasid': NONE,
  'pasid-range': NONE,
  'pasids-off': both(0x31),
  'not-mapped': [0x06, 0x05],
  'write-denied': [-1, 0x05],
  'execute-denied': NONE,
  privilege: NONE,
  beyond: both(0x04),
  'lost-table': both(0x07),
  'bad-entry': both(0x0c),
  'wide-output': both(0x0c),
  'second-not-mapped': NONE,
  'second-write-denied': NONE,
  'table-not-mapped': NONE,
  'translated-forbidden': both(0x0d),
};

const SCALABLE: Codes = {
  ...LEGACY,
  'no-device': both(0x41),
  'bad-device': both(0x42),
  'no-bus': both(0x39),
  'no-pasid': both(0x59),
  plain: both(0x59),
  'bad-pasid': both(0x5b),
  'pasid-range': both(0x46),
  'pasids-off': both(0x45),
  'write-denied': [-1, 0x85],
  'execute-denied': [0x82, -1],
  'translated-forbidden': both(0x44),
};

const FIRST: Codes = {
  ...SCALABLE,
  'not-mapped': both(0x71),
  privilege: both(0x81),
  beyond: both(0x80),
  'lost-table': both(0x70),
  'bad-entry': both(0x72),
  'wide-output': both(0x72),
};

const CODES: Record<VtdType, Codes> = {
  legacy: LEGACY,
  first: FIRST,
  second: {
    ...SCALABLE,
    'not-mapped': both(0x79),
    beyond: both(0x84),
    'lost-table': both(0x78),
    'bad-entry': both(0x7a),
    'wide-output': both(0x7a),
  },
  nested: {
    ...FIRST,
    'wide-output': both(0x84),
    'second-not-mapped': both(0x79),
    'second-write-denied': [-1, 0x85],
    'table-not-mapped': both(0x79),
  },
  'pass-through': { ...SCALABLE, beyond: both(0x83) },
};

class VtdSpace implements W.Space {
  readonly tag: number;
  readonly tree: PageTree;
  /** PASIDs it is reached by; 0 stands for requests without one. */
  readonly pasids = new Set<number>();

  constructor(tag: number, tree: PageTree) {
    this.tag = tag;
    this.tree = tree;
  }
}

const PGTT: Record<VtdType, number> = { legacy: 0, first: 1, second: 2, nested: 3, 'pass-through': 4 };
/** Response codes of page group responses. */
const RESPONSES: Record<W.Answer, number> = { success: 0, invalid: 1, failure: 15 };

export class VtdWorld implements W.World {
  readonly pageBytes = PAGE;
  readonly blockBytes = 2 << 20;
  readonly inputBits: number;
  /** PDTS 0: 2^13 (VT-d: Scalable-Mode Context Entry). */
  readonly pasidLimit = 1 << 13;
  readonly faultRoom = RECORDS;
  readonly requestRoom = PAGE / 32 - 1;
  readonly sent: W.SentInvalidation[] = [];
  readonly responses: [number, number, number, W.Answer][] = [];
  answering = true;
  readonly #m: VtdMachine;
  readonly #mode: VtdMode;
  readonly #codes: Codes;
  readonly #masters = new BusMasters((requester) => this.#m.port(requester));
  readonly #directories = new Map<number, number>();
  readonly #spacesOf = new Map<number, Set<VtdSpace>>();
  #second: PageTree | undefined;
  #spaces = 0;
  #announced = 0;

  constructor(mode: VtdMode) {
    this.#mode = mode;
    this.#codes = mode.legacy && mode.type === 'pass-through' ? LEGACY : CODES[mode.type];
    const first = mode.type === 'first' || mode.type === 'nested';
    this.inputBits = first ? 9 * mode.levels + 11 : 48;
    const features = mode.legacy ? { 'device-iotlb': true } : { svm: true };
    this.#m = new VtdMachine({
      config: { ...features, 'fault-records': RECORDS, 'caching-mode': mode.cachingMode },
      endpoints: this.#endpoints(),
    });
    this.#start();
  }

  renew(): void {
    this.#m.reset();
    this.#masters.forget();
    this.#directories.clear();
    this.#spacesOf.clear();
    this.#second = undefined;
    this.#spaces = 0;
    this.#announced = 0;
    this.sent.length = 0;
    this.responses.length = 0;
    this.answering = true;
    this.#start();
  }

  #endpoints(): Partial<DmaEndpoints> {
    return {
      invalidate: (requester, pasid, lo, hi, order) => {
        this.sent.push({ requester, pasid, page: address(lo, hi), order });
        return this.answering ? DEVICE_TLB_DONE : DEVICE_TLB_TIMEOUT;
      },
      pageResponse: (requester, pasid, group, code) => {
        const answer = (Object.keys(RESPONSES) as W.Answer[]).find((a) => RESPONSES[a] === code)!;
        this.responses.push([requester, pasid, group, answer]);
      },
    };
  }

  /** Frames where they are not, and tables as they are wanted. */
  #secondStage(): PageTree {
    const tree = this.#tree(SS.r | SS.w | SS.x, 4, 48, () => this.#m.page());
    for (let n = 0; n < 512; n++) {
      const at = FRAMES + BigInt(n * PAGE);
      tree.set(at, (at + MOVED) | SS.r | SS.w | SS.x);
    }
    return tree;
  }

  #start(): void {
    const m = this.#m;
    if (this.#mode.type === 'nested') this.#second = this.#secondStage();
    m.store(ROOT, CONTEXTS | 1);
    m.unmaskFaults();
    if (this.#mode.legacy) m.start();
    else {
      m.write(PQA, REQUESTS);
      m.write(RTADDR, ROOT | 0x400);
      m.command(SRTP);
      m.startQueue(true);
      m.command(TE);
    }
  }

  #tree(pointerBits: bigint, levels: number, inputBits: number, table = () => this.#table()): PageTree {
    const shifts = Array.from({ length: levels }, (_, i) => 12 + 9 * (levels - 1 - i));
    const shape = { shifts, inputBits, pointer: (table: number) => BigInt(table) | pointerBits };
    const memory = { store: this.#m.store.bind(this.#m), load: this.#m.load.bind(this.#m) };
    return new PageTree(memory, shape, table);
  }

  /** A page for a table, which a second stage maps to itself. */
  #table(): number {
    const page = this.#m.page();
    this.#second?.set(BigInt(page), BigInt(page) | SS.r | SS.w | SS.x);
    return page;
  }

  get #first(): boolean {
    return this.#mode.type === 'first' || this.#mode.type === 'nested';
  }

  device(index: number): W.Device {
    return { requester: (3 + index) << 3, pasid: this.#mode.pasid };
  }

  stranger(): W.Device {
    return { requester: 0x118, pasid: this.#mode.pasid };
  }

  using(device: W.Device, pasid: number): W.Device {
    return { ...device, pasid };
  }

  space(): VtdSpace {
    const { levels } = this.#mode;
    const tree = this.#first
      ? this.#tree(FS.p | FS.rw | FS.us, levels, 9 * levels + 12)
      : this.#tree(SS.r | SS.w | SS.x, 4, 48);
    this.#spaces++;
    return new VtdSpace(this.#spaces, tree);
  }

  attach(device: W.Device, space: VtdSpace, how: W.Attachment = {}): void {
    const fresh = this.#m.load(this.#contextAt(device)) === 0n;
    this.#attach(device, space, how);
    if (fresh && this.#mode.cachingMode) this.forgetDevice(device);
  }

  #attach(device: W.Device, space: VtdSpace, how: W.Attachment): void {
    const { type, legacy } = this.#mode;
    if (legacy) {
      const TT = type === 'pass-through' ? 2 : how.ats === true ? 1 : 0;
      const SSPTPTR = type === 'pass-through' ? 0 : space.tree.top;
      const FPD = how.silent === true ? 1 : 0;
      this.#m.context(device.requester, { P: 1, FPD, TT, AW: 2, DID: space.tag, SSPTPTR });
      space.pasids.add(0);
      return;
    }
    this.#scalableContext(device, how);
    this.bind(device, Math.max(device.pasid, 0), space);
  }

  #scalableContext(device: W.Device, how: W.Attachment): void {
    const flag = (on: boolean | undefined) => (on === true ? 1 : 0);
    const entry = SCALABLE_CONTEXT_ENTRY.pack({
      P: 1,
      FPD: flag(how.silent),
      DTE: flag(how.ats),
      PRE: flag(how.pri),
      PASIDE: how.noPasids === true ? 0 : 1,
      PASIDDIRPTR: this.#directory(device.requester) / PAGE,
    });
    this.#m.storeWords(this.#contextAt(device), entry);
  }

  #contextAt(device: W.Device): number {
    return CONTEXTS + device.requester * (this.#mode.legacy ? 16 : 32);
  }

  #directory(requester: number): number {
    let directory = this.#directories.get(requester);
    if (directory === undefined) {
      directory = this.#m.page();
      this.#directories.set(requester, directory);
    }
    return directory;
  }

  #pasidAt(device: W.Device, pasid: number): number {
    const slot = this.#directory(device.requester) + (pasid >>> 6) * 8;
    if (this.#m.load(slot) === 0n) this.#m.store(slot, this.#m.page() | 1);
    return Number(this.#m.load(slot) & ~0xfffn) + (pasid & 63) * 64;
  }

  bind(device: W.Device, pasid: number, space: VtdSpace): void {
    const { type, levels } = this.#mode;
    space.pasids.add(pasid);
    const known = this.#spacesOf.get(device.requester) ?? new Set();
    this.#spacesOf.set(device.requester, known.add(space));
    const own = space.tree.top / PAGE;
    const entry = PASID_ENTRY.pack({
      P: 1,
      PGTT: PGTT[type],
      DID: space.tag,
      AW: 2,
      SSEE: 1,
      SSADE: 1,
      PWSNP: 1,
      SRE: 1,
      ERE: 1,
      WPE: 1,
      NXE: 1,
      FSPM: this.#first && levels === 5 ? 1 : 0,
      FSPTPTR: this.#first ? own : 0,
      SSPTPTR: type === 'second' ? own : this.#second === undefined ? 0 : this.#second.top / PAGE,
    });
    const at = this.#pasidAt(device, pasid);
    const fresh = this.#m.load(at) === 0n;
    this.#m.storeWords(at, entry);
    if (fresh && this.#mode.cachingMode) this.forgetPasid(device, pasid, space);
  }

  unbind(device: W.Device, pasid: number): void {
    this.#m.storeWords(this.#pasidAt(device, pasid), new Uint32Array(16));
  }

  /** PGTT 0 is reserved. */
  corruptPasid(device: W.Device, pasid: number): void {
    this.#m.storeWords(this.#pasidAt(device, pasid), PASID_ENTRY.pack({ P: 1, PGTT: 0 }));
  }

  detach(device: W.Device): void {
    this.#m.storeWords(this.#contextAt(device), new Uint32Array(this.#mode.legacy ? 4 : 8));
  }

  /** Bit 5 of either kind of context entry is reserved. */
  corruptDevice(device: W.Device): void {
    const at = this.#contextAt(device);
    this.#m.store(at, this.#m.load(at) | 0x21n);
  }

  passThrough(device: W.Device): void {
    if (this.#mode.legacy) {
      this.#m.context(device.requester, { P: 1, TT: 2, AW: 2, DID: 0x77 });
      return;
    }
    this.#scalableContext(device, {});
    const at = this.#pasidAt(device, Math.max(device.pasid, 0));
    this.#m.storeWords(at, PASID_ENTRY.pack({ P: 1, PGTT: 4, DID: 0x77, AW: 2, PWSNP: 1 }));
  }

  frame(n: number, offset = 0): bigint {
    const moved = this.#second === undefined ? 0n : MOVED;
    return FRAMES + moved + BigInt(n * PAGE + offset);
  }

  map(space: VtdSpace, at: bigint, n: number, rights: W.Rights = {}): void {
    const { write = true, execute = true, user = true, block = false } = rights;
    const target = FRAMES + BigInt(n * PAGE);
    const bits = this.#first
      ? FS.p | (write ? FS.rw : 0n) | (user ? FS.us : 0n) | (execute ? 0n : FS.xd)
      : SS.r | (write ? SS.w : 0n) | (execute ? SS.x : 0n);
    const fresh = space.tree.get(at, block ? 1 : 0) === 0n;
    space.tree.set(at, target | bits | (block ? SS.ps : 0n), block ? 1 : 0);
    if (fresh && this.#mode.cachingMode) this.invalidate(space, at);
  }

  unmap(space: VtdSpace, at: bigint): void {
    const block = (space.tree.get(at, 1) & SS.ps) !== 0n;
    space.tree.set(at, 0n, block ? 1 : 0);
  }

  loseTable(space: VtdSpace, at: bigint): void {
    space.tree.set(at, FRAMES | 7n, 1);
  }

  replaceTable(space: VtdSpace, at: bigint, n: number): void {
    space.tree.replaceLastTable(at);
    this.map(space, at, n);
  }

  /** Page size in an entry that cannot be a leaf. */
  corruptEntry(space: VtdSpace, at: bigint): void {
    space.tree.set(at, space.tree.get(at, 3) | SS.ps, 3);
  }

  widen(space: VtdSpace, at: bigint): void {
    space.tree.set(at, space.tree.get(at) | (1n << 48n));
  }

  hideFrame(n: number): void {
    this.#second!.set(FRAMES + BigInt(n * PAGE), 0n);
  }

  protectFrame(n: number): void {
    const at = FRAMES + BigInt(n * PAGE);
    this.#second!.set(at, this.#second!.get(at) & ~SS.w);
  }

  hideTable(space: VtdSpace, at: bigint): void {
    this.#second!.set(BigInt(space.tree.lastTable(at)), 0n);
  }

  used(space: VtdSpace, at: bigint) {
    const entry = space.tree.get(at);
    const bits = this.#first ? FS : SS;
    return { accessed: (entry & bits.a) !== 0n, dirty: (entry & bits.d) !== 0n };
  }

  invalidate(space: VtdSpace, at: bigint, pages = 1): void {
    const fields = { AM: Math.ceil(Math.log2(pages)), ADDR: Number(at / 4096n) };
    if (this.#first)
      for (const PASID of space.pasids)
        this.#m.describe(D.PASID_IOTLB_DESCRIPTOR, { TYPE: 6, G: 3, DID: space.tag, PASID, ...fields });
    else this.#m.describe(D.IOTLB_DESCRIPTOR, { TYPE: 2, G: 3, DID: space.tag, ...fields });
    this.#wait();
  }

  /** Large pages need an address mask as wide as they are (VT-d: IOTLB Invalidate Descriptor, AM). */
  invalidateBlock(space: VtdSpace, at: bigint): void {
    this.invalidate(space, at, this.blockBytes / PAGE);
  }

  invalidateSpace(space: VtdSpace): void {
    if (this.#first)
      for (const PASID of space.pasids)
        this.#m.describe(D.PASID_IOTLB_DESCRIPTOR, { TYPE: 6, G: 2, DID: space.tag, PASID });
    else this.#m.describe(D.IOTLB_DESCRIPTOR, { TYPE: 2, G: 2, DID: space.tag });
    this.#wait();
  }

  invalidateAll(): void {
    this.#m.describe(D.IOTLB_DESCRIPTOR, { TYPE: 2, G: 1 });
    this.#wait();
  }

  /** In scalable mode entries of its PASID tables go, too (VT-d: Guidance to Software for Invalidations). */
  forgetDevice(device: W.Device): void {
    this.#m.describe(D.CONTEXT_DESCRIPTOR, { TYPE: 1, G: 3, SID: device.requester });
    if (!this.#mode.legacy)
      for (const space of this.#spacesOf.get(device.requester) ?? [])
        this.#m.describe(D.PASID_CACHE_DESCRIPTOR, { TYPE: 7, G: 0, DID: space.tag });
    this.#wait();
  }

  forgetPasid(_device: W.Device, pasid: number, space: VtdSpace): void {
    this.#m.describe(D.PASID_CACHE_DESCRIPTOR, { TYPE: 7, G: 1, DID: space.tag, PASID: pasid });
    this.#wait();
  }

  forgetAll(): void {
    this.#m.describe(D.CONTEXT_DESCRIPTOR, { TYPE: 1, G: 1 });
    if (!this.#mode.legacy) this.#m.describe(D.PASID_CACHE_DESCRIPTOR, { TYPE: 7, G: 3 });
    this.#wait();
  }

  #waitWritten(): boolean {
    this.#m.store(STATUS, 0);
    this.#m.describe(D.WAIT_DESCRIPTOR, { TYPE: 5, SW: 1, STDATA: DONE, STADDR_LO: STATUS / 4 });
    return this.#m.load(STATUS) === BigInt(DONE);
  }

  #wait(): void {
    if (!this.#waitWritten()) throw new Error(`the queue stopped: FSTS ${this.#m.read(FSTS)}`);
  }

  access(device: W.Device, at: bigint, how: W.Access = {}): W.Landing {
    return this.#masters.landing(device, this.#masters.request(device, at, how));
  }

  faults(): readonly W.Told[] {
    const m = this.#m;
    const told: W.Told[] = [];
    const first = Number(m.read(FSTS) >> 8n) & 0xff;
    for (let k = 0; k < RECORDS; k++) {
      const i = (first + k) % RECORDS;
      const [low, high] = m.record(i);
      if (high >> 63n === 0n) continue;
      told.push({
        code: Number((high >> 32n) & 0xffn),
        requester: Number(high & 0xffffn),
        pasid: (high & (1n << 31n)) !== 0n ? Number((high >> 40n) & 0xfffffn) : W.PLAIN,
        page: low & ~0xfffn,
        write: (high & (1n << 62n)) === 0n,
      });
      m.write32(0x22c + i * 16, 0x80000000);
    }
    return told;
  }

  faultsLost(): boolean {
    const lost = (Number(this.#m.read(FSTS)) & PFO) !== 0;
    this.#m.write(FSTS, PFO);
    return lost;
  }

  faultInterrupts(): number {
    const all = this.#m.delivered.filter((d) => d.vector === VECTOR).length;
    const since = all - this.#announced;
    this.#announced = all;
    return since;
  }

  code(reason: W.Reason, write: boolean): number {
    return this.#codes[reason][write ? 1 : 0];
  }

  translationRequest(device: W.Device, at: bigint, write = false): W.Grant | 'nothing' | typeof W.REFUSED {
    return this.#masters.translationRequest(device, at, write);
  }

  translated(device: W.Device, at: bigint): W.Landing {
    return this.#masters.translated(device, at);
  }

  invalidateDevice(device: W.Device, at: bigint): boolean {
    const ADDR = Number(at / 4096n);
    const owner = { PFSID_LO: device.requester & 15, PFSID_HI: device.requester >>> 4 };
    const fields = { SID: device.requester, ADDR, ...owner };
    if (device.pasid === W.PLAIN) this.#m.describe(D.DEVICE_TLB_DESCRIPTOR, { TYPE: 3, ...fields });
    else this.#m.describe(D.PASID_DEVICE_TLB_DESCRIPTOR, { TYPE: 8, PASID: device.pasid, ...fields });
    const done = this.#waitWritten();
    // Longer than any function may take.
    if (!done) this.#m.clock.advanceTo(this.#m.clock.now + DEVICE_TLB_NS);
    if ((Number(this.#m.read(FSTS)) & ITE) !== 0) this.#m.write(FSTS, ITE);
    return done;
  }

  requestPage(device: W.Device, at: bigint, write: boolean, group: number, last: boolean): void {
    this.#masters.requestPage(device, at, write, group, last);
  }

  pageRequests(): readonly W.PageRequest[] {
    const m = this.#m;
    const out: W.PageRequest[] = [];
    const tail = Number(m.read(PQT));
    for (let head = Number(m.read(PQH)); head !== tail; head = (head + D.PAGE_REQUEST_BYTES) % PAGE) {
      const low = m.load(REQUESTS + head);
      const high = m.load(REQUESTS + head + 8);
      out.push({
        requester: Number((low >> 16n) & 0xffffn),
        pasid: (low & 0x100n) !== 0n ? Number((low >> 32n) & 0xfffffn) : W.PLAIN,
        page: high & ~0xfffn,
        write: (high & 2n) !== 0n,
        group: Number((high >> 3n) & 0x1ffn),
        last: (high & 4n) !== 0n,
      });
    }
    m.write(PQH, tail);
    return out;
  }

  respond(request: W.PageRequest, answer: W.Answer): void {
    this.#m.describe(D.PAGE_RESPONSE_DESCRIPTOR, {
      TYPE: 9,
      PP: request.pasid === W.PLAIN ? 0 : 1,
      RC: RESPONSES[answer],
      RID: request.requester,
      PASID: Math.max(request.pasid, 0),
      LPIG: 1,
      PRGI: request.group,
    });
    this.#wait();
  }

  requestsLost(): boolean {
    const lost = (Number(this.#m.read(PRS)) & PRO) !== 0;
    this.#m.write(PRS, PRO);
    return lost;
  }

  recover(device: W.Device, at: bigint, mend: () => void, answer: 'retry' | 'give up'): W.Landing {
    return recoverByPageRequest(this, device, at, mend, answer);
  }

  restart(): void {
    this.#m.disable(TE);
    this.forgetAll();
    this.invalidateAll();
    this.#m.command(TE);
  }
}
