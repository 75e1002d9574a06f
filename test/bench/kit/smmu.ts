import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { CD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import type { DmaPort } from '../../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, type DmaEndpoints } from '../../../vmm/bus/iommu.ts';
import { CMDQEN, EVENTQEN, SMMUEN, SmmuMachine, STREAMS } from '../../kit/smmu-machine.ts';
import { DEVICE, IOVA, type Reached } from './dma.ts';

export const STAGE1 = 1;
export const STAGE2 = 2;
export const NESTED = 3;

const RAM = 512 << 20;
/** From here on tables are made. */
const TABLES = 0x40200000;
const TARGET = 0x50000000;
/** Pages that input pages lead to, over and over. */
const TARGETS = 65536;
/** Page, EL0 may write, shareable, accessed, not global; of stage 2: Normal, may be read and written. */
const LEAF1 = 0xf43;
const LEAF2 = 0x7ff;
/** The ASID and the VMID of everything here, unless substreams have their own. */
export const ASID = 5;
export const VMID = 7;

/** Nobody notes anything. */
export const DEAF: DmaEndpoints = {
  invalidate: () => DEVICE_TLB_DONE,
  pageResponse: () => {},
  resume: () => {},
};

export interface SmmuMapped extends Reached {
  readonly world: SmmuWorld;
}

/** A machine with an SMMUv3 and tables of 4 KiB granules, 4 levels a stage. */
export class SmmuWorld {
  readonly machine: SmmuMachine;
  readonly #u32: Uint32Array;
  #next = TABLES;

  constructor(config: Partial<SmmuConfig> = {}, endpoints: DmaEndpoints = DEAF) {
    this.machine = new SmmuMachine({ config, ramBytes: RAM, endpoints });
    this.#u32 = this.machine.ram.u32;
  }

  page(bytes = 4096): number {
    const page = Math.ceil(this.#next / bytes) * bytes;
    this.#next = page + bytes;
    return page;
  }

  /** Writes words to RAM. */
  put(address: number, words: ArrayLike<number>): void {
    const at = this.word(address);
    for (let i = 0; i < words.length; i++) this.#u32[at + i] = words[i]!;
  }

  /** The place of an address in RAM's words. */
  word(address: number): number {
    return this.machine.ram.locate(address, 0, 8) >>> 2;
  }

  /** One page below 4 GiB. */
  map(top: number, input: number, entry: number): void {
    let table = top;
    for (let shift = 39; shift > 12; shift -= 9) {
      const at = this.word(table + (Math.floor(input / 2 ** shift) % 512) * 8);
      if (this.#u32[at] === 0) this.#u32[at] = this.page() | 3;
      table = this.#u32[at]! & -4096;
    }
    this.#u32[this.word(table + ((input >>> 12) & 511) * 8)] = entry;
  }

  /** Input pages from IOVA on, below `top`. */
  mapInput(top: number, pages: number, leaf: number): void {
    for (let i = 0; i < pages; i++) this.map(top, IOVA + i * 4096, target(i) | leaf);
  }

  /** The context descriptor of the tables at `top`: 48 bits, the lower half only. */
  contextWords(top: number, asid: number, fields: Partial<Record<keyof typeof CD.fields, number>> = {}) {
    const words = CD.pack({ T0SZ: 16, EPD1: 1, V: 1, IPS: 4, AA64: 1, R: 1, A: 1, ASID: asid, ...fields });
    words[2]! |= top;
    return words;
  }

  /** The stream of DEVICE: stages as `stage` says, with CDs at `contexts`. */
  stream(
    stage: number,
    contexts: number,
    second: number,
    fields: Partial<Record<keyof typeof STE.fields, number>> = {},
  ): void {
    const two = (stage & STAGE2) !== 0;
    const stage2 = { S2T0SZ: 20, S2SL0: 2, S2PS: 4, S2AA64: 1, S2R: 1 };
    const words = STE.pack({ V: 1, Config: 4 | stage, S2VMID: VMID, ...(two ? stage2 : {}), ...fields });
    words[0]! |= contexts;
    words[6]! |= two ? second : 0;
    this.put(STREAMS + DEVICE * 64, words);
  }

  /** On, with a command queue of 4096 commands. */
  start(more = 0): DmaPort {
    this.machine.start(SMMUEN | CMDQEN | EVENTQEN | more, 4, 12);
    return this.machine.port(DEVICE);
  }

  /** Stage 2 tables that lead what stage 1 uses to itself: tables, CDs and targets. */
  identity(pages: number): number {
    const used = this.#next;
    const top = this.page();
    for (let page = TABLES; page < used; page += 4096) this.map(top, page, page | LEAF2);
    for (let i = 0; i < Math.min(pages, TARGETS); i++) this.map(top, target(i), target(i) | LEAF2);
    return top;
  }
}

function target(page: number): number {
  return TARGET + (page % TARGETS) * 4096;
}

/** `pages` pages of a stream: stage 1 under ASID, stage 2 under VMID, or both. */
export function mappedBySmmu(
  stage: number,
  pages: number,
  config: Partial<SmmuConfig> = {},
  order?: (pages: number) => Uint32Array,
  fields: Partial<Record<keyof typeof CD.fields, number>> = {},
): SmmuMapped {
  const world = new SmmuWorld(config);
  const top = world.page();
  world.mapInput(top, pages, stage === STAGE2 ? LEAF2 : LEAF1);
  const context = world.page();
  world.put(context, world.contextWords(top, ASID, fields));
  const second = stage === NESTED ? world.identity(pages) : top;
  world.stream(stage, stage === STAGE2 ? 0 : context, second);
  const port = world.start();
  const numbers = order?.(pages) ?? Uint32Array.from({ length: pages }, (_, i) => i);
  return { world, port, addresses: numbers.map((page) => IOVA + page * 4096) };
}

const SPACE = 1 << 20;
/** CDs of a leaf of 4 KiB. */
const LEAF_CDS = 64;

/** `count` substreams spread over all there are, each with the same pages; ASIDs of their own as far as there are so many. */
export function substreams(count: number, pages: number, config: Partial<SmmuConfig> = {}) {
  const world = new SmmuWorld({ svm: true, ...config });
  const top = world.page();
  world.mapInput(top, pages, LEAF1);
  const directory = world.page((SPACE / LEAF_CDS) * 8);
  const ssids = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * SPACE) / count));
  for (const [i, ssid] of ssids.entries()) {
    const at = world.word(directory + (ssid >>> 6) * 8);
    const u32 = world.machine.ram.u32;
    if (u32[at] === 0) u32[at] = world.page() | 1;
    world.put((u32[at]! & -4096) + (ssid & 63) * 64, world.contextWords(top, i & 0xffff));
  }
  world.stream(STAGE1, directory, 0, { S1CDMax: 20, S1Fmt: 1, S1DSS: 0 });
  return { world, port: world.start(), ssids };
}
