import type { SmmuPort, StreamBinding } from '../port/smmuv3.ts';
import { C_BAD_STE } from '../spec/smmuv3/faults.ts';
import { CR0ACK, CR2, GBPA } from '../spec/smmuv3/registers.ts';
import { ReadEntry } from './access-record.ts';
import { identification } from './config.ts';
import type { SmmuV3 } from './device.ts';
import { smmuSecondOpinion } from './second-opinion.ts';
import { decodeSte, isLegalSte, Stream, StreamTable } from './stream-table.ts';
import { STALLS_NEVER, type UnitFeatures, unitFeatures } from './unit.ts';

const CR0_WORD = CR0ACK.offset / 4;
const CR2_WORD = CR2.offset / 4;
const GBPA_WORD = GBPA.offset / 4;
const SMMUEN = 1;
const ATSCHK = 1 << 4;
const E2H = 1;
const GBPA_ABORT = 1 << 20;
const CONFIG_BYPASS = 4;
const STE_WORDS = 16;

/** The port of a unit: looks at the stream table in memory, and checks STEs as the unit does. */
export function smmuPort(device: SmmuV3): SmmuPort {
  const { config, forward } = device.w;
  const features = unitFeatures(config);
  const { idr0, idr1, idr3, idr5 } = identification(config);
  return {
    architecture: 'smmuv3',
    identity: [idr0[0]!, idr1[0]!, 0, idr3[0]!, 0, idr5[0]!],
    addressBits: features.oas,
    substreamBits: features.ssidSize,
    stage1: features.s1,
    stage2: features.s2,
    deviceTlb: features.ats,
    pageRequests: features.pri,
    stalls: features.stallModel !== STALLS_NEVER,
    connect: (backend) => {
      forward.to = backend;
    },
    binding: (sid, out) => look(device, features, sid, out),
    secondOpinion: () => smmuSecondOpinion(device),
    event: (words) => {
      device.relayEvent(words);
    },
    hold: (port, lo, hi, access) => device.hold(port, lo, hi, access),
  };
}

function look(device: SmmuV3, features: UnitFeatures, sid: number, out: StreamBinding): void {
  const { regs } = device.s;
  const memory = device.w.services.memory.ram;
  out.words.fill(0);
  out.fault = 0;
  if ((regs[CR0_WORD]! & SMMUEN) === 0) {
    out.kind = (regs[GBPA_WORD]! & GBPA_ABORT) !== 0 ? 'abort' : 'bypass';
    return;
  }
  out.kind = 'abort';
  const ste = new ReadEntry(STE_WORDS);
  out.fault = new StreamTable(regs, memory, features, features.qemu).fetch(sid, new ReadEntry(2), ste);
  if (out.fault !== 0) return;
  out.words.set(ste.words);
  if (!isLegalSte(out.words, 0, features)) {
    out.fault = C_BAD_STE;
    return;
  }
  const stream = new Stream();
  const controls = {
    checksTranslated: (regs[CR0_WORD]! & ATSCHK) !== 0,
    e2h: (regs[CR2_WORD]! & E2H) !== 0,
  };
  decodeSte(out.words, 0, features, controls, stream);
  if (stream.config < CONFIG_BYPASS) return;
  if (stream.stage1) out.kind = stream.stage2 ? 'nested' : 'stage1';
  else out.kind = stream.stage2 ? 'stage2' : 'bypass';
}
