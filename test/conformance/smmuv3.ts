import * as C from '../../viommu/spec/smmuv3/commands.ts';
import { EVENT, PRI_ENTRY } from '../../viommu/spec/smmuv3/events.ts';
import { EVENT_BY_CODE, HAS_INPUT, HAS_RNW, HAS_SYNDROME } from '../../viommu/spec/smmuv3/faults.ts';
import { CD, STE } from '../../viommu/spec/smmuv3/structures.ts';
import { DEVICE_TLB_NS } from '../../vmm/bus/device-tlbs.ts';
import { DMA_STALLED } from '../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_TIMEOUT } from '../../vmm/bus/iommu.ts';
import { u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import {
  CMDQEN,
  EVENTQEN,
  EVENTS,
  PRIQEN,
  REG,
  REQUESTS,
  SMMUEN,
  SmmuMachine,
  STREAMS,
} from '../kit/smmu-machine.ts';
import { address, BusMasters, recoverByPageRequest } from './bus-masters.ts';
import { PageTree } from './page-tree.ts';
import * as W from './world.ts';

export type SmmuType = 'stage 1' | 'stage 2' | 'nested' | 'bypass';

export interface SmmuMode {
  readonly type: SmmuType;
  /** log2 of the granule. */
  readonly granule: 12 | 14 | 16;
  /** SubstreamID of the devices' own requests, or none. */
  readonly substream: number;
  /** Faults stall. */
  readonly stall: boolean;
}

/** 39 bits of input: level 1 is the first one with 4 and 16 KiB, level 2 with 64 KiB. */
const INPUT_BITS = 39;
const SIZE = 64 - INPUT_BITS;
/** Frames begin at 4 GiB; stage 2 puts them 16 GiB further up. */
const FRAMES = 0x1_0000_0000n;
const MOVED = 0x4_0000_0000n;
const TABLES = 0x40200000;
const CD_TABLE_LOG2 = 6;
const CR2 = 0x2c;
const RECINVSID = 2;
const ATSCHK = 16;
const QUEUE_LOG2 = 4;
const EVENT_WIRE = 106;
const OVERFLOW = 0x80000000;
const INDEX = 2 ** (QUEUE_LOG2 + 1) - 1;
const VMID = 1;

/** Descriptor bits: table and page, block, AF, stage 1 AP[1] (EL0), AP[2] (read-only), nG, UXN; stage 2 R, W, XN; DBM. */
const D = {
  page: 3n,
  block: 1n,
  af: 1n << 10n,
  el0: 1n << 6n,
  readOnly: 1n << 7n,
  nG: 1n << 11n,
  uxn: 1n << 54n,
  s2r: 1n << 6n,
  s2w: 1n << 7n,
  s2xn: 2n << 53n,
  normal: 0xfn << 2n,
  dbm: 1n << 51n,
};

/** Codes of granules in CD.TG0 and STE.S2TG, and in range invalidations. */
const TG0 = { 12: 0, 14: 2, 16: 1 } as const;
const TG = { 12: 1, 14: 2, 16: 3 } as const;
const S2SL0 = { 12: 1, 14: 2, 16: 1 } as const;
const CONFIG: Record<SmmuType, number> = { bypass: 4, 'stage 1': 5, 'stage 2': 6, nested: 7 };
/** CMD_PRI_RESP.Resp, and response codes as functions get them. */
const RESPONSES: Record<W.Answer, readonly [number, number]> = {
  success: [2, 0],
  invalid: [1, 1],
  failure: [0, 15],
};

/** Events by the tables of the architecture (SMMUv3: Event records); the access makes no difference. */
const CODES: Record<W.Reason, number> = {
  'no-device': 0x04,
  'bad-device': 0x04,
  'no-bus': 0x02,
  'no-pasid': 0x0a,
  plain: 0x06,
  'bad-pasid': 0x0a,
  'pasid-range': 0x08,
  'pasids-off': 0x08,
  'not-mapped': 0x10,
  'write-denied': 0x13,
  'execute-denied': 0x13,
  privilege: 0x13,
  beyond: 0x10,
  'lost-table': 0x0b,
  'bad-entry': -1,
  'wide-output': 0x11,
  'second-not-mapped': 0x10,
  'second-write-denied': 0x13,
  'table-not-mapped': 0x10,
  'translated-forbidden': 0x07,
};
const F_ADDR_SIZE = 0x11;

class SmmuSpace implements W.Space {
  readonly tag: number;
  readonly tree: PageTree;

  constructor(tag: number, tree: PageTree) {
    this.tag = tag;
    this.tree = tree;
  }
}

export class SmmuWorld implements W.World {
  readonly pageBytes: number;
  readonly blockBytes: number;
  readonly inputBits: number;
  readonly pasidLimit = 1 << CD_TABLE_LOG2;
  readonly faultRoom = 1 << QUEUE_LOG2;
  readonly requestRoom = 1 << QUEUE_LOG2;
  readonly sent: W.SentInvalidation[] = [];
  readonly #m: SmmuMachine;
  readonly #mode: SmmuMode;
  readonly #masters = new BusMasters((requester) => {
    const port = this.#m.port(requester);
    port.mayStall = this.#mode.stall;
    return port;
  });
  readonly #contexts = new Map<number, number>();
  #second: PageTree | undefined;
  answering = true;
  #next = TABLES;
  #spaces = 0;
  #announced = 0;
  #eventAt = 0;
  #requestAt = 0;

  constructor(mode: SmmuMode) {
    this.#mode = mode;
    this.pageBytes = 1 << mode.granule;
    this.blockBytes = 1 << (2 * mode.granule - 3);
    this.inputBits = mode.type === 'bypass' ? 44 : INPUT_BITS;
    this.#m = new SmmuMachine({
      config: { svm: true, stall: mode.stall ? 'optional' : 'terminate' },
      invalidated: () => (this.answering ? DEVICE_TLB_DONE : DEVICE_TLB_TIMEOUT),
    });
    this.#start();
  }

  renew(): void {
    this.#m.reset(this.#next);
    this.#masters.forget();
    this.#contexts.clear();
    this.#second = undefined;
    this.#next = TABLES;
    this.#spaces = 0;
    this.#announced = 0;
    this.#eventAt = 0;
    this.#requestAt = 0;
    this.sent.length = 0;
    this.answering = true;
    this.#start();
  }

  #start(): void {
    if (this.#mode.type === 'nested') this.#second = this.#secondStage();
    this.#m.write32(CR2, RECINVSID);
    this.#m.start(0, QUEUE_LOG2);
    this.#m.write32(REG.cr0, SMMUEN | PRIQEN | EVENTQEN | CMDQEN | ATSCHK);
  }

  #secondStage(): PageTree {
    const tree = this.#tree(() => this.#page());
    const frames = Math.min(this.blockBytes / this.pageBytes, 512);
    for (let n = 0; n < frames; n++) {
      const at = FRAMES + BigInt(n * this.pageBytes);
      tree.set(at, (at + MOVED) | D.page | D.af | D.s2r | D.s2w | D.normal);
    }
    return tree;
  }

  #tree(table = () => this.#table()): PageTree {
    const { granule } = this.#mode;
    const stride = granule - 3;
    const shifts: number[] = [];
    for (let shift = granule; shift < INPUT_BITS; shift += stride) shifts.unshift(shift);
    const shape = { shifts, inputBits: INPUT_BITS, pointer: (table: number) => BigInt(table) | D.page };
    const memory = { store: this.#m.store.bind(this.#m), load: this.#m.load.bind(this.#m) };
    return new PageTree(memory, shape, table);
  }

  #page(): number {
    const page = this.#next;
    this.#next += this.pageBytes;
    return page;
  }

  /** A page for a table or for CDs, which stage 2 maps to itself. */
  #table(): number {
    const table = this.#page();
    const leaf = D.page | D.af | D.s2r | D.s2w | D.normal;
    this.#second?.set(BigInt(table), BigInt(table) | leaf);
    return table;
  }

  get #stage1(): boolean {
    return this.#mode.type === 'stage 1' || this.#mode.type === 'nested';
  }

  device(index: number): W.Device {
    return { requester: (3 + index) << 3, pasid: this.#mode.substream };
  }

  stranger(): W.Device {
    return { requester: 0x118, pasid: this.#mode.substream };
  }

  using(device: W.Device, pasid: number): W.Device {
    return { ...device, pasid };
  }

  space(): SmmuSpace {
    this.#spaces++;
    return new SmmuSpace(this.#spaces, this.#tree());
  }

  attach(device: W.Device, space: SmmuSpace, how: W.Attachment = {}): void {
    const { type, granule, substream, stall } = this.#mode;
    const second = type === 'stage 2' ? space.tree : this.#second;
    const ste = STE.pack({
      V: 1,
      Config: CONFIG[type],
      // Who stalls has no ATS: with S2S they are ILLEGAL together.
      EATS: how.ats === true && !stall ? 1 : 0,
      S1CDMax: this.#stage1 && substream !== W.PLAIN && how.noPasids !== true ? CD_TABLE_LOG2 : 0,
      SHCFG: 1,
      ...(second === undefined
        ? {}
        : {
            S2VMID: type === 'stage 2' ? space.tag : VMID,
            S2T0SZ: SIZE,
            S2SL0: S2SL0[granule],
            S2TG: TG0[granule],
            S2PS: 4,
            S2AA64: 1,
            S2HA: 1,
            S2HD: 1,
            S2R: how.silent === true ? 0 : 1,
            S2S: stall && type === 'stage 2' ? 1 : 0,
          }),
    });
    if (this.#stage1) ste[0]! |= this.#contextTable(device.requester);
    if (second !== undefined) ste[6]! |= second.top;
    this.#m.storeWords(this.#steAt(device), ste);
    if (this.#stage1) this.#describe(device, Math.max(substream, 0), space, how.silent === true);
  }

  #steAt(device: W.Device): number {
    return STREAMS + device.requester * 64;
  }

  #contextTable(requester: number): number {
    let table = this.#contexts.get(requester);
    if (table === undefined) {
      table = this.#table();
      this.#contexts.set(requester, table);
    }
    return table;
  }

  #describe(device: W.Device, substream: number, space: SmmuSpace, silent: boolean): void {
    const { granule, stall } = this.#mode;
    const words = CD.pack({
      V: 1,
      T0SZ: SIZE,
      TG0: TG0[granule],
      EPD1: 1,
      IPS: 4,
      AA64: 1,
      HA: 1,
      HD: 1,
      R: silent ? 0 : 1,
      A: 1,
      S: stall ? 1 : 0,
      ASID: space.tag,
    });
    words[2]! |= space.tree.top;
    this.#m.storeWords(this.#contextTable(device.requester) + substream * 64, words);
  }

  bind(device: W.Device, pasid: number, space: SmmuSpace): void {
    this.#describe(device, pasid, space, false);
  }

  unbind(device: W.Device, pasid: number): void {
    this.#m.storeWords(this.#contextTable(device.requester) + pasid * 64, new Uint32Array(16));
  }

  /** AArch32 tables, which the unit does not have. */
  corruptPasid(device: W.Device, pasid: number): void {
    this.#m.storeWords(this.#contextTable(device.requester) + pasid * 64, CD.pack({ V: 1, AA64: 0 }));
  }

  detach(device: W.Device): void {
    this.#m.storeWords(this.#steAt(device), new Uint32Array(16));
  }

  /** Stage 2 with AArch32 tables is ILLEGAL. */
  corruptDevice(device: W.Device): void {
    this.#m.storeWords(this.#steAt(device), STE.pack({ V: 1, Config: 6, S2AA64: 0 }));
  }

  passThrough(device: W.Device): void {
    this.#m.storeWords(this.#steAt(device), STE.pack({ V: 1, Config: 4 }));
  }

  frame(n: number, offset = 0): bigint {
    const moved = this.#second === undefined ? 0n : MOVED;
    return FRAMES + moved + BigInt(n * this.pageBytes + offset);
  }

  /** Writable pages are clean: the unit makes them dirty. */
  map(space: SmmuSpace, at: bigint, n: number, rights: W.Rights = {}): void {
    const { write = true, execute = true, user = true, block = false } = rights;
    const type = block ? D.block : D.page;
    const target = (FRAMES + BigInt(n * this.pageBytes)) | type | (write ? D.dbm : 0n);
    const bits = this.#stage1
      ? D.readOnly | D.nG | (user ? D.el0 : 0n) | (execute ? 0n : D.uxn)
      : D.s2r | D.normal | (execute ? 0n : D.s2xn);
    space.tree.set(at, target | bits, block ? 1 : 0);
  }

  unmap(space: SmmuSpace, at: bigint): void {
    const block = (space.tree.get(at, 1) & 3n) === D.block;
    space.tree.set(at, 0n, block ? 1 : 0);
  }

  loseTable(space: SmmuSpace, at: bigint): void {
    space.tree.set(at, FRAMES | D.page, 1);
  }

  replaceTable(space: SmmuSpace, at: bigint, n: number): void {
    space.tree.replaceLastTable(at);
    this.map(space, at, n);
  }

  corruptEntry(): void {
    throw new Error('VMSAv8-64 has no such entries');
  }

  /** Bit 45: beyond IPS, S2PS and OAS, which are 44 bits. */
  widen(space: SmmuSpace, at: bigint): void {
    space.tree.set(at, space.tree.get(at) | (1n << 45n));
  }

  hideFrame(n: number): void {
    this.#second!.set(FRAMES + BigInt(n * this.pageBytes), 0n);
  }

  protectFrame(n: number): void {
    const at = FRAMES + BigInt(n * this.pageBytes);
    this.#second!.set(at, this.#second!.get(at) & ~D.s2w);
  }

  hideTable(space: SmmuSpace, at: bigint): void {
    this.#second!.set(BigInt(space.tree.lastTable(at)), 0n);
  }

  used(space: SmmuSpace, at: bigint) {
    const entry = space.tree.get(at);
    const written = this.#stage1 ? (entry & D.readOnly) === 0n : (entry & D.s2w) !== 0n;
    return { accessed: (entry & D.af) !== 0n, dirty: written };
  }

  #command(layout: Pick<Layout, 'pack'>, fields: Record<string, number>): void {
    const w = layout.pack(fields);
    this.#m.submit(u64(w[0]!, w[1]!), u64(w[2]!, w[3]!));
  }

  /** True: everything before it is complete. */
  #synced(): boolean {
    this.#command(C.SYNC, { OP: C.CMD_SYNC });
    return (this.#m.read32(REG.cmdqCons) & INDEX) === (this.#m.read32(REG.cmdqProd) & INDEX);
  }

  #sync(): void {
    if (!this.#synced()) throw new Error(`the queue stopped: ${this.#m.stopped}`);
  }

  invalidate(space: SmmuSpace, at: bigint, pages = 1): void {
    const { granule } = this.#mode;
    const range = pages === 1 ? {} : { NUM: pages - 1, SCALE: 0, TG: TG[granule] };
    const where = { Address: Number(at / 4096n), ...range };
    if (this.#stage1) this.#command(C.TLBI_NH_VA, { OP: C.CMD_TLBI_NH_VA, ...this.#scope(space), ...where });
    else this.#command(C.TLBI_S2_IPA, { OP: C.CMD_TLBI_S2_IPA, VMID: space.tag, ...where });
    this.#sync();
  }

  #scope(space: SmmuSpace): { VMID: number; ASID: number } {
    return { VMID: this.#second === undefined ? 0 : VMID, ASID: space.tag };
  }

  /** Any address in a block invalidates what was cached of its descriptor (DDI 0487: TLB maintenance instructions). */
  invalidateBlock(space: SmmuSpace, at: bigint): void {
    this.invalidate(space, at + BigInt(3 * this.pageBytes));
  }

  invalidateSpace(space: SmmuSpace): void {
    if (this.#stage1) this.#command(C.TLBI_NH_ASID, { OP: C.CMD_TLBI_NH_ASID, ...this.#scope(space) });
    else this.#command(C.TLBI_S12_VMALL, { OP: C.CMD_TLBI_S12_VMALL, VMID: space.tag });
    this.#sync();
  }

  invalidateAll(): void {
    this.#command(C.TLBI_NSNH_ALL, { OP: C.CMD_TLBI_NSNH_ALL });
    this.#sync();
  }

  forgetDevice(device: W.Device): void {
    this.#command(C.CFGI_STE, { OP: C.CMD_CFGI_STE, SID: device.requester, Leaf: 1 });
    this.#sync();
  }

  forgetPasid(device: W.Device, pasid: number): void {
    this.#command(C.CFGI_CD, { OP: C.CMD_CFGI_CD, SID: device.requester, SSID: pasid, Leaf: 1 });
    this.#sync();
  }

  forgetAll(): void {
    this.#command(C.CFGI_STE_RANGE, { OP: C.CMD_CFGI_STE_RANGE, Range: 31 });
    this.#sync();
  }

  /** A stalled access is given up, as a driver without demand paging does. */
  access(device: W.Device, at: bigint, how: W.Access = {}): W.Landing {
    const status = this.#masters.request(device, at, how);
    if (status === DMA_STALLED && this.#resume(device, this.#masters.port(device).stallTag, false))
      throw new Error('a terminated transaction was retried');
    return this.#masters.landing(device, status);
  }

  /** Returns what the function was told: to retry, or not. */
  #resume(device: W.Device, tag: number, retry: boolean): boolean {
    const Ac = retry ? 1 : 0;
    this.#command(C.RESUME, { OP: C.CMD_RESUME, Ac, Ab: 1 - Ac, SID: device.requester, STAG: tag });
    this.#sync();
    const [requester, stalled, retried] = this.#m.resumes.at(-1) ?? [];
    if (requester !== device.requester || stalled !== tag) throw new Error('nothing was resumed');
    return retried!;
  }

  faults(): readonly W.Told[] {
    const m = this.#m;
    const told: W.Told[] = [];
    const prod = m.read32(REG.eventqProd);
    for (; this.#eventAt !== (prod & INDEX); this.#eventAt = (this.#eventAt + 1) & INDEX) {
      const at = (EVENTS + (this.#eventAt & (this.faultRoom - 1)) * 32) >>> 2;
      told.push(toldBy(m.ram.u32.subarray(at, at + 8)));
    }
    const acknowledged = m.read32(REG.eventqCons) & OVERFLOW;
    m.write32(REG.eventqCons, (acknowledged | this.#eventAt) >>> 0);
    return told;
  }

  faultsLost(): boolean {
    return this.#overflowed(REG.eventqProd, REG.eventqCons);
  }

  #overflowed(prod: number, cons: number): boolean {
    const happened = this.#m.read32(prod) & OVERFLOW;
    const index = this.#m.read32(cons);
    this.#m.write32(cons, (happened | (index & INDEX)) >>> 0);
    return happened !== (index & OVERFLOW);
  }

  faultInterrupts(): number {
    const all = this.#m.pulses.filter((wire) => wire === EVENT_WIRE).length;
    const since = all - this.#announced;
    this.#announced = all;
    return since;
  }

  code(reason: W.Reason): number {
    return reason === 'beyond' && this.#mode.type === 'bypass' ? F_ADDR_SIZE : CODES[reason];
  }

  translationRequest(device: W.Device, at: bigint, write = false): W.Grant | 'nothing' | typeof W.REFUSED {
    return this.#masters.translationRequest(device, at, write);
  }

  translated(device: W.Device, at: bigint): W.Landing {
    return this.#masters.translated(device, at);
  }

  invalidateDevice(device: W.Device, at: bigint): boolean {
    const m = this.#m;
    const substream = device.pasid === W.PLAIN ? {} : { SSV: 1, SSID: device.pasid };
    const fields = { SID: device.requester, Size: 0, Address: Number(at / 4096n), ...substream };
    this.#command(C.ATC_INV, { OP: C.CMD_ATC_INV, ...fields });
    const done = this.#synced();
    // Longer than any function may take.
    if (!done) m.clock.advanceTo(m.clock.now + DEVICE_TLB_NS);
    const [requester, pasid, lo, hi, order] = m.invalidations.at(-1) ?? [];
    this.sent.push({ requester: requester!, pasid: pasid!, page: address(lo!, hi!), order: order! });
    if (!done) {
      // CERROR_ATC_INV_SYNC: acknowledged, the CMD_SYNC is done again.
      m.write32(REG.gerrorn, m.read32(REG.gerror));
      this.#sync();
    }
    return done;
  }

  requestPage(device: W.Device, at: bigint, write: boolean, group: number, last: boolean): void {
    this.#masters.requestPage(device, at, write, group, last);
  }

  pageRequests(): readonly W.PageRequest[] {
    const m = this.#m;
    const out: W.PageRequest[] = [];
    const prod = m.read32(REG.priqProd) & INDEX;
    for (; this.#requestAt !== prod; this.#requestAt = (this.#requestAt + 1) & INDEX) {
      const at = (REQUESTS + (this.#requestAt & (this.requestRoom - 1)) * 16) >>> 2;
      const entry = PRI_ENTRY.decode(m.ram.u32.subarray(at, at + 4));
      out.push({
        requester: entry.StreamID,
        pasid: entry.SSV === 1 ? entry.SubstreamID : W.PLAIN,
        page: BigInt(entry.PageAddr) * 4096n,
        write: entry.W === 1,
        group: entry.PRGIndex,
        last: entry.Last === 1,
      });
    }
    const acknowledged = m.read32(REG.priqCons) & OVERFLOW;
    m.write32(REG.priqCons, (acknowledged | this.#requestAt) >>> 0);
    return out;
  }

  respond(request: W.PageRequest, answer: W.Answer): void {
    const substream = request.pasid === W.PLAIN ? {} : { SSV: 1, SSID: request.pasid };
    this.#command(C.PRI_RESP, {
      OP: C.CMD_PRI_RESP,
      SID: request.requester,
      PRGIndex: request.group,
      Resp: RESPONSES[answer][0],
      ...substream,
    });
    this.#sync();
  }

  get responses(): readonly (readonly [number, number, number, W.Answer])[] {
    const named = (code: number) =>
      (Object.keys(RESPONSES) as W.Answer[]).find((a) => RESPONSES[a][1] === code)!;
    return this.#m.responses.map(([sid, pasid, group, code]) => [sid!, pasid!, group!, named(code!)]);
  }

  requestsLost(): boolean {
    return this.#overflowed(REG.priqProd, REG.priqCons);
  }

  recover(device: W.Device, at: bigint, mend: () => void, answer: 'retry' | 'give up'): W.Landing {
    if (!this.#mode.stall) return recoverByPageRequest(this, device, at, mend, answer);
    const status = this.#masters.request(device, at, {});
    if (status !== DMA_STALLED) return this.#masters.landing(device, status);
    const tag = this.#masters.port(device).stallTag;
    mend();
    return this.#resume(device, tag, answer === 'retry') ? this.access(device, at) : W.REFUSED;
  }

  restart(): void {
    const enabled = this.#m.read32(REG.cr0);
    this.#m.write32(REG.cr0, enabled & ~SMMUEN);
    this.forgetAll();
    this.invalidateAll();
    this.#m.write32(REG.cr0, enabled);
  }
}

function toldBy(words: Uint32Array): W.Told {
  const event = EVENT.decode(words);
  const { fields } = EVENT_BY_CODE[event.Type]!;
  const hasInput = (fields & HAS_INPUT) !== 0;
  const hasAccess = (fields & (HAS_SYNDROME | HAS_RNW)) !== 0;
  return {
    code: event.Type,
    requester: event.StreamID,
    pasid: event.SSV === 1 ? event.SubstreamID : W.PLAIN,
    page: hasInput ? address(event.InputAddr_LO, event.InputAddr_HI) & ~0xfffn : undefined,
    write: hasAccess ? event.RnW === 0 : undefined,
  };
}
