import { type CD, STE } from '../../viommu/spec/smmuv3/structures.ts';
import { DMA_OK, type DmaPort, READ } from '../../vmm/bus/dma.ts';
import {
  CMDQEN,
  CONTEXT,
  DATA,
  EVENTQEN,
  SMMUEN,
  SmmuMachine,
  type SmmuMachineOptions,
  STREAMS,
  TABLE,
} from './smmu-machine.ts';

/** The stream of these. */
export const SID = 0x18;
/** The unit with its command and event queues. */
export const ALL = SMMUEN | EVENTQEN | CMDQEN;
/** Stage 2 tables. */
export const SECOND = 0x40080000;
/** Low bits of a page that EL0 may read and write too. */
export const PAGE = 0x743n;

/** Where (lo, hi) leads, or the status of a refusal. */
export function to(port: DmaPort, lo: number, access = READ, hi = 0): string | number {
  const status = port.translate(lo, hi, access);
  return status === DMA_OK ? (port.outHi * 2 ** 32 + port.outLo).toString(16) : status;
}

/** Stage 1 with a page at address 0. */
export function stage1(
  cd: Partial<Record<keyof typeof CD.fields, number>> = {},
  options: SmmuMachineOptions = {},
): { m: SmmuMachine; port: DmaPort } {
  const m = new SmmuMachine(options);
  m.stage1(SID, cd);
  m.map();
  m.start(ALL);
  return { m, port: m.port(SID) };
}

/** The leaf of page 0 gets these bits beside the address of DATA. */
export function leaf(m: SmmuMachine, bits: bigint): void {
  m.store(TABLE + 0x2000, BigInt(DATA) | bits);
}

/** 39-bit stage 2 with 4 KiB pages from level 1: its first GiB is empty, the second one is RAM as it is, by a block. */
export function stage2(
  config: 6 | 7,
  ste: Partial<Record<keyof typeof STE.fields, number>> = {},
): SmmuMachine {
  const m = new SmmuMachine();
  m.stage1(SID);
  m.map();
  const words = STE.pack({
    V: 1,
    Config: config,
    S2T0SZ: 25,
    S2SL0: 1,
    S2PS: 4,
    S2AA64: 1,
    S2R: 1,
    S2VMID: 7,
    ...ste,
  });
  if (config === 7) words[0]! |= CONTEXT;
  words[6]! |= SECOND;
  m.storeWords(STREAMS + SID * 64, words);
  m.store(SECOND + 8, 0x40000000n | 0x7fdn);
  m.start(ALL);
  return m;
}
