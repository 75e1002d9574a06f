import * as C from '../../../viommu/spec/smmuv3/commands.ts';
import { DMA_STALLED, READ } from '../../../vmm/bus/dma.ts';
import type { Layout } from '../../../vmm/regs/layout.ts';
import { CMDQEN, COMMANDS, EVENTQEN, REG, SMMUEN } from '../../kit/smmu-machine.ts';
import { DEVICE, IOVA } from './dma.ts';
import type { Contender } from './rounds.ts';
import { ASID, mappedBySmmu, NESTED, STAGE1, STAGE2, VMID } from './smmu.ts';

export const LIVE = 65536;
const RING = 4096;
/** A full ring holds one less than it has places for. */
const EACH = RING - 1;
const OTHER = 9;
/** Event records there is place for. */
const RECORDS = 8192;
const ALL_STREAMS = 31;
/** Where messages of CMD_SYNC go. */
const MESSAGE = 0x40080000;
/** Ranges: 16 pages, and 512, of 4 KiB. */
const PAGES_16 = { TG: 1, NUM: 15 };
const PAGES_512 = { TG: 1, NUM: 15, SCALE: 5 };

type Fields = Readonly<Record<string, number>>;

/** A kind of command, and what is live before each ring of them. */
interface Kind {
  readonly layout: unknown;
  readonly opcode: number;
  readonly fields?: Fields;
  /** Address of the i-th. */
  readonly address?: (i: number) => number;
  readonly stage?: number;
  /** Pages that have to be fetched again after a ring. */
  readonly drops?: number;
}

const page = (i: number) => IOVA + i * 4096;
const kind = (layout: unknown, opcode: number, fields: Fields = {}, more: Partial<Kind> = {}): Kind => ({
  layout,
  opcode,
  fields,
  ...more,
});
const own = { VMID, ASID };
const other = { VMID, ASID: OTHER };
const pages = { address: page, drops: EACH };
const wide = { drops: 64 };

export const SMMU_COMMANDS = {
  PREFETCH_CONFIG: kind(C.PREFETCH_CONFIG, C.CMD_PREFETCH_CONFIG, { SID: DEVICE }),
  CFGI_STE: kind(C.CFGI_STE, C.CMD_CFGI_STE, { SID: DEVICE, Leaf: 1 }, wide),
  'CFGI_STE, another stream': kind(C.CFGI_STE, C.CMD_CFGI_STE, { SID: OTHER, Leaf: 1 }, wide),
  'CFGI_STE_RANGE, 32 streams': kind(C.CFGI_STE_RANGE, C.CMD_CFGI_STE_RANGE, { SID: 0, Range: 4 }, wide),
  CFGI_ALL: kind(C.CFGI_STE_RANGE, C.CMD_CFGI_STE_RANGE, { Range: ALL_STREAMS }, wide),
  CFGI_CD: kind(C.CFGI_CD, C.CMD_CFGI_CD, { SID: DEVICE, Leaf: 1 }, wide),
  CFGI_CD_ALL: kind(C.CFGI_CD_ALL, C.CMD_CFGI_CD_ALL, { SID: DEVICE }, wide),
  TLBI_NH_ALL: kind(C.TLBI_NH_ALL, C.CMD_TLBI_NH_ALL, { VMID }, wide),
  TLBI_NH_ASID: kind(C.TLBI_NH_ASID, C.CMD_TLBI_NH_ASID, own, wide),
  'TLBI_NH_ASID, another': kind(C.TLBI_NH_ASID, C.CMD_TLBI_NH_ASID, other),
  'TLBI_NH_VA, leaf': kind(C.TLBI_NH_VA, C.CMD_TLBI_NH_VA, { ...own, Leaf: 1 }, pages),
  'TLBI_NH_VA, not only leaf': kind(C.TLBI_NH_VA, C.CMD_TLBI_NH_VA, own, pages),
  'TLBI_NH_VA, another ASID': kind(C.TLBI_NH_VA, C.CMD_TLBI_NH_VA, other, { address: page }),
  'TLBI_NH_VA, 16 pages': kind(
    C.TLBI_NH_VA,
    C.CMD_TLBI_NH_VA,
    { ...own, ...PAGES_16, Leaf: 1 },
    { address: (i) => page(i * 16), drops: LIVE },
  ),
  'TLBI_NH_VA, 512 pages': kind(
    C.TLBI_NH_VA,
    C.CMD_TLBI_NH_VA,
    { ...own, ...PAGES_512, Leaf: 1 },
    { address: (i) => page((i * 512) % LIVE), drops: 64 },
  ),
  TLBI_NH_VAA: kind(C.TLBI_NH_VAA, C.CMD_TLBI_NH_VAA, { VMID, Leaf: 1 }, { address: page, ...wide }),
  TLBI_EL2_ALL: kind(C.TLBI_EL2_ALL, C.CMD_TLBI_EL2_ALL),
  TLBI_EL2_ASID: kind(C.TLBI_EL2_ASID, C.CMD_TLBI_EL2_ASID, { ASID }),
  TLBI_EL2_VA: kind(C.TLBI_EL2_VA, C.CMD_TLBI_EL2_VA, { ASID, Leaf: 1 }, { address: page }),
  TLBI_EL2_VAA: kind(C.TLBI_EL2_VAA, C.CMD_TLBI_EL2_VAA, { Leaf: 1 }, { address: page }),
  TLBI_S12_VMALL: kind(C.TLBI_S12_VMALL, C.CMD_TLBI_S12_VMALL, { VMID }, wide),
  TLBI_S2_IPA: kind(C.TLBI_S2_IPA, C.CMD_TLBI_S2_IPA, { VMID, Leaf: 1 }, { ...pages, stage: STAGE2 }),
  'TLBI_S2_IPA, both stages cached': kind(
    C.TLBI_S2_IPA,
    C.CMD_TLBI_S2_IPA,
    { VMID, Leaf: 1 },
    { address: page, stage: NESTED },
  ),
  TLBI_NSNH_ALL: kind(C.TLBI_NSNH_ALL, C.CMD_TLBI_NSNH_ALL, {}, wide),
  ATC_INV: kind(C.ATC_INV, C.CMD_ATC_INV, { SID: DEVICE }, { address: page }),
  PRI_RESP: kind(C.PRI_RESP, C.CMD_PRI_RESP, { SID: DEVICE, Resp: 2 }),
  'RESUME, nobody waits': kind(C.RESUME, C.CMD_RESUME, { SID: DEVICE, Ac: 1 }),
  'STALL_TERM, nobody waits': kind(C.STALL_TERM, C.CMD_STALL_TERM, { SID: DEVICE }),
  SYNC: kind(C.SYNC, C.CMD_SYNC),
  'SYNC, message': kind(C.SYNC, C.CMD_SYNC, { CS: 1, MSIData: 5 }, { address: () => MESSAGE }),
  'SYNC, wire': kind(C.SYNC, C.CMD_SYNC, { CS: 1 }),
} satisfies Readonly<Record<string, Kind>>;

export type SmmuCommand = keyof typeof SMMU_COMMANDS;

/** Rings of one kind of command, with `live` pages cached before each, outside the timing. */
export function smmuRing(name: SmmuCommand, live: number): Contender {
  const { layout, opcode, fields, address, stage, drops = 0 }: Kind = SMMU_COMMANDS[name];
  // Everything that has commands; both of a kind have the same caches.
  const m = mappedBySmmu(stage ?? STAGE1, live, { svm: true });
  const { machine } = m.world;
  const words = Int32Array.from((layout as Layout).pack({ OP: opcode, ...fields }));
  for (let i = 0; i < RING; i++) {
    const at = address?.(i) ?? 0;
    m.world.put(COMMANDS + i * 16, [words[0]!, words[1]!, words[2]! | at, words[3]!]);
  }
  const refill = (count: number) => {
    const n = Math.min(count, live);
    for (let i = 0; i < n; i++) m.port.translate(m.addresses[i]! | 0, 0, READ);
  };
  refill(LIVE);
  return {
    name: `${name}, ${live} live`,
    operations: EACH,
    prepare: () => refill(drops),
    run: doorbell(machine),
  };
}

function doorbell(machine: ReturnType<typeof mappedBySmmu>['world']['machine']): () => void {
  let prod = 0;
  return () => {
    prod = (prod + EACH) & (2 * RING - 1);
    machine.write32(REG.cmdqProd, prod);
    if (machine.read32(REG.cmdqCons) !== prod) throw new Error('the queue has stopped');
  };
}

/** CMD_RESUME, of one of many stalled transactions. */
export function resumeRing(): Contender {
  const m = mappedBySmmu(STAGE1, 1, { svm: true, 'stall-max': 8192 }, undefined, { S: 1 });
  const { world, port } = m;
  const { machine } = world;
  machine.write32(REG.cr0, 0);
  machine.write64(REG.eventqBase, world.page(RECORDS * 32) + Math.log2(RECORDS));
  machine.write32(REG.cr0, SMMUEN | CMDQEN | EVENTQEN);
  port.mayStall = true;
  const words = Int32Array.from(C.RESUME.pack({ OP: C.CMD_RESUME, SID: DEVICE, Ac: 1 }));
  const run = doorbell(machine);
  let at = 0;
  const prepare = () => {
    machine.write32(REG.eventqCons, machine.read32(REG.eventqProd));
    for (let i = 0; i < EACH; i++) {
      if (port.translate((IOVA + 4096 + i * 4096) | 0, 0, READ) !== DMA_STALLED)
        throw new Error('not stalled');
      words[2] = port.stallTag;
      world.put(COMMANDS + at * 16, words);
      at = (at + 1) % RING;
    }
  };
  return { name: `RESUME of one of ${EACH}`, operations: EACH, prepare, run };
}
