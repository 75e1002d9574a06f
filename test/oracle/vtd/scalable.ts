import { any, bit, bits, number } from './bits.ts';
import { faultRecord } from './record.ts';
import {
  FirstStage,
  type Limits,
  Refusal,
  SecondStage,
  type Stage,
  type TableMemory,
  type Wanted,
} from './stages.ts';
import { translate } from './translate.ts';
import type { Registers, Request, Unit } from './types.ts';

/** What became of one request in scalable mode. */
export type ScalableOutcome =
  | {
      readonly kind: 'ok';
      readonly gpa: bigint;
      /** Bytes of the smallest page in the translation; 0 where nothing was translated. */
      readonly page: bigint;
      readonly granted: Wanted;
      /** The answer to a translation request serves every PASID (ATS: Global Mapping). */
      readonly global: boolean;
      /** The answer is for privileged mode (ATS: Privileged Mode Access). */
      readonly privileged: boolean;
    }
  | ScalableFault
  | { readonly kind: 'blocked' }
  | { readonly kind: 'no-access' }
  | { readonly kind: 'untranslated-only' }
  | { readonly kind: 'interrupt' };

export interface ScalableFault {
  readonly kind: 'fault';
  readonly code: number;
  readonly recorded: boolean;
  readonly record: bigint;
}

/** PASID entry: PGTT. */
const FIRST = 1;
const SECOND = 2;
const NESTED = 3;
const PASS_THROUGH = 4;

/** Fault Reason Encodings: reported whatever FPD says; the others below the root are qualified. */
const UNQUALIFIED = [0x30, 0x33, 0x38, 0x39, 0x3a, 0x40, 0x50, 0x58];

/** Not recoverable for a translation request either. */
const READ_ERRORS = [0x70, 0x73, 0x78, 0x7b];

/** Interrupt address range. */
const FEE_FIRST = 0xfee0_0000n;
const FEE_LAST = 0xfeef_ffffn;

/** A fault of the process, thrown from where it is found and turned into an outcome at the top. */
class Stop {
  readonly code: number;

  constructor(code: number) {
    this.code = code;
  }
}

interface Context {
  readonly dte: boolean;
  readonly pasids: boolean;
  readonly pasidBits: number;
  readonly directory: bigint;
  readonly ridPasid: number;
  readonly ridPriv: boolean;
}

/** One PASID-table entry, as eight quadwords and the fields the process asks for. */
interface PasidEntry {
  readonly type: number;
  readonly aw: number;
  readonly ssee: boolean;
  readonly ssade: boolean;
  readonly secondTop: bigint;
  readonly snooped: boolean;
  readonly sre: boolean;
  readonly ere: boolean;
  readonly fspm: number;
  readonly wpe: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  readonly eafe: boolean;
  readonly firstTop: bigint;
}

/**
 * DMA remapping in scalable mode: one request within one 4 KiB page, without any cache, the steps in the order of the
 * specification. Sets accessed and dirty bits in `memory`. Legacy mode and disabled translation are translate()'s.
 */
export function translateScalable(
  unit: Unit,
  regs: Registers,
  memory: TableMemory,
  request: Request,
): ScalableOutcome {
  if (!regs.te || regs.ttm === 0) return asScalable(translate(unit, regs, () => undefined, request));
  return new Process(unit, regs, memory, request).run();
}

/** What translate() says while translation is off, in this file's words. */
function asScalable(outcome: ReturnType<typeof translate>): ScalableOutcome {
  if (outcome.kind !== 'ok') return outcome;
  const granted = { read: true, write: true, execute: false };
  return { kind: 'ok', gpa: outcome.gpa, page: 0n, granted, global: false, privileged: false };
}

class Process {
  readonly #unit: Unit;
  readonly #regs: Registers;
  readonly #memory: TableMemory;
  readonly #request: Request;
  /** An FPD of a structure already read is 1. */
  #fpd = false;

  constructor(unit: Unit, regs: Registers, memory: TableMemory, request: Request) {
    this.#unit = unit;
    this.#regs = regs;
    this.#memory = memory;
    this.#request = request;
  }

  run(): ScalableOutcome {
    try {
      return this.#steps();
    } catch (stop) {
      if (stop instanceof Stop) return this.#fault(stop.code);
      // A fault of a page table: a translation request is answered, with nothing granted, unless a table is no memory.
      if (stop instanceof Refusal)
        return this.#request.at === 1 && !READ_ERRORS.includes(stop.code)
          ? { kind: 'no-access' }
          : this.#fault(stop.code);
      throw stop;
    }
  }

  #steps(): ScalableOutcome {
    const { at, access, iova, length, pasid } = this.#request;
    const ecap = this.#unit.ecap;
    // Step 2. ECAP: 43 SMTS, 52 ADMS.
    const offered = [true, bit(ecap, 43), false, bit(ecap, 52)];
    if (!offered[this.#regs.ttm]) throw new Stop(0x30);
    // Step 3: only requests without PASID have an interrupt range.
    const window = pasid === undefined && iova >= FEE_FIRST && iova <= FEE_LAST;
    if (window && at === 0 && access === 'write' && length === 4) return { kind: 'interrupt' };
    if (window && at === 0) throw new Stop(0x87);
    if (this.#regs.ttm === 3) throw new Stop(0x33);
    if (window && at === 1) return { kind: 'untranslated-only' };

    const context = this.#context(this.#rootHalf());
    if (at !== 0 && !context.dte) throw new Stop(0x44);
    if (pasid !== undefined && !context.pasids) throw new Stop(0x45);
    if (pasid !== undefined && pasid >= 2 ** context.pasidBits) throw new Stop(0x46);
    if (pasid === undefined && context.ridPasid >= 2 ** context.pasidBits) throw new Stop(0x48);
    if (at === 2) return this.#translated();
    const privileged = pasid === undefined ? context.ridPriv : this.#request.privileged === true;
    const entry = this.#pasidEntry(context.directory, pasid ?? context.ridPasid);
    // Step 5: an execute request, then a privileged one. ERE and SRE matter to the first stage only.
    const first = entry.type === FIRST || entry.type === NESTED;
    const executes = this.#wanted().execute && (!first || entry.ere);
    // A translation request is granted what else it asks for.
    if (first && this.#wanted().execute && !executes && at !== 1) throw new Stop(0x5c);
    if (first && privileged && !entry.sre) throw new Stop(0x5d);
    return this.#translate(entry, privileged, { ...this.#wanted(), execute: executes });
  }

  /** Step 1: qwords 0 and 1 of a scalable root entry are its halves, for functions 00-7F and 80-FF of the bus. */
  #rootHalf(): bigint {
    const bus = BigInt(this.#request.sid >> 8);
    const upper = (this.#request.sid & 0x80) !== 0;
    const half = this.#memory.read(this.#regs.rootTable + bus * 16n + (upper ? 8n : 0n));
    if (half === undefined) throw new Stop(0x38);
    if (!bit(half, 0)) throw new Stop(0x39);
    if (any(half, 11, 1) || any(half, 63, this.#unit.haw)) throw new Stop(0x3a);
    return pointer(half);
  }

  /** Step 2. ECAP: 2 DT, 29 PRS, 40 PASID, 49 RPS, 53 RPRIVS. */
  #context(table: bigint): Context {
    const { ecap, haw } = this.#unit;
    const at = table + BigInt(this.#request.sid & 0x7f) * 32n;
    const words = this.#structure(at, 4);
    if (words === undefined) throw new Stop(0x40);
    const [q0, q1, q2, q3] = words as [bigint, bigint, bigint, bigint];
    this.#fpd ||= bit(q0, 1);
    if (!bit(q0, 0)) throw new Stop(0x41);
    const reserved = any(q0, 8, 5) || any(q0, 63, haw) || any(q1, 63, 21) || q2 !== 0n || q3 !== 0n;
    // Fields of what the unit lacks.
    const absent = (bit(q0, 2) && !bit(ecap, 2)) || (bit(q0, 4) && !bit(ecap, 29));
    if (reserved || absent) throw new Stop(0x42);
    const ridPasid = number(q1, 19, 0);
    const ridPriv = bit(q1, 20);
    if ((ridPasid !== 0 && !bit(ecap, 49)) || (ridPriv && !bit(ecap, 53))) throw new Stop(0x43);
    return {
      dte: bit(q0, 2),
      pasids: bit(q0, 3) && bit(ecap, 40),
      pasidBits: number(q0, 11, 9) + 13,
      directory: pointer(q0),
      ridPasid,
      ridPriv,
    };
  }

  /** Translated requests: no paging, only the host's address width and the interrupt range. */
  #translated(): ScalableOutcome {
    const { iova } = this.#request;
    if (iova >= 1n << BigInt(this.#unit.haw)) throw new Stop(0x83);
    return this.#ok(iova, 0n, { read: true, write: true, execute: true }, false, false);
  }

  /** Step 4. */
  #pasidEntry(directory: bigint, pasid: number): PasidEntry {
    const { haw } = this.#unit;
    const entry = this.#memory.read(directory + BigInt(pasid >> 6) * 8n);
    if (entry === undefined) throw new Stop(0x50);
    this.#fpd ||= bit(entry, 1);
    if (!bit(entry, 0)) throw new Stop(0x51);
    if (any(entry, 11, 2) || any(entry, 63, haw)) throw new Stop(0x52);
    const words = this.#structure(pointer(entry) + BigInt(pasid & 63) * 64n, 8);
    if (words === undefined) throw new Stop(0x58);
    const [q0, q1, q2] = words as [bigint, bigint, bigint];
    this.#fpd ||= bit(q0, 1);
    if (!bit(q0, 0)) throw new Stop(0x59);
    if (this.#pasidReserved(words)) throw new Stop(0x5a);
    // ECAP: 30 ERS, 31 SRS, 34 EAFS, 45 SSADS, 48 SMPWCS.
    const offered = (at: number) => bit(this.#unit.ecap, at);
    const fields: PasidEntry = {
      type: number(q0, 8, 6),
      aw: number(q0, 4, 2),
      ssee: bit(q0, 5) && offered(30),
      ssade: bit(q0, 9) && offered(45),
      secondTop: pointer(q0),
      snooped: bit(q1, 23) || !offered(48),
      sre: bit(q2, 0) && offered(31),
      ere: bit(q2, 1) && offered(30),
      fspm: number(q2, 3, 2),
      wpe: bit(q2, 4),
      nxe: bit(q2, 5),
      smep: bit(q2, 6),
      eafe: bit(q2, 7) && offered(34),
      firstTop: pointer(q2),
    };
    if (!this.#supported(fields)) throw new Stop(0x5b);
    return fields;
  }

  /** PASID Table Entry: reserved bits. Controls of what ECAP does not offer are ignored. */
  #pasidReserved(words: readonly bigint[]): boolean {
    const { haw } = this.#unit;
    const [q0, q1, q2] = words as [bigint, bigint, bigint];
    return (
      any(q0, 11, 10) ||
      any(q0, 63, haw) ||
      any(q1, 22, 16) ||
      any(q2, 11, 8) ||
      any(q2, 63, haw) ||
      words.slice(3).some((q) => q !== 0n)
    );
  }

  /** PGTT, AW and FSPM that the unit has. ECAP: 6 PT, 26 NEST, 46 SSTS, 47 FSTS; CAP: 60 FS5LP, 12:8 SAGAW. */
  #supported({ type, aw, fspm }: PasidEntry): boolean {
    const { cap, ecap } = this.#unit;
    const first = fspm === 0 || (fspm === 1 && bit(cap, 60));
    const second = aw >= 1 && aw <= 3 && bit(cap, 8 + aw);
    switch (type) {
      case FIRST:
        return bit(ecap, 47) && first;
      case SECOND:
        return bit(ecap, 46) && second;
      case NESTED:
        return bit(ecap, 26) && first && second;
      default:
        return type === PASS_THROUGH && bit(ecap, 6);
    }
  }

  /** Step 6. */
  #translate(entry: PasidEntry, privileged: boolean, wanted: Wanted): ScalableOutcome {
    const { iova, at } = this.#request;
    if (entry.type === PASS_THROUGH) {
      if (iova >= 1n << BigInt(this.#unit.haw)) throw new Refusal(0x83);
      return this.#ok(iova, 0n, { read: true, write: true, execute: false }, false, privileged);
    }
    const limits: Limits = { unit: this.#unit, memory: this.#memory, snooped: entry.snooped };
    const second = new SecondStage(limits, entry.secondTop, entry.aw, entry.ssee, entry.ssade);
    const stage: Stage =
      entry.type === SECOND
        ? second
        : new FirstStage(
            limits,
            entry.firstTop,
            entry,
            privileged,
            entry.type === NESTED ? second : undefined,
          );
    const page = stage.translate(iova, wanted, at === 1);
    const global = page.global && entry.type === FIRST;
    const { granted } = page;
    const nothing =
      !(granted.read && wanted.read) &&
      !(granted.write && wanted.write) &&
      !(granted.execute && wanted.execute);
    const ok = this.#ok(
      page.address,
      page.size,
      { ...granted, execute: granted.execute && wanted.execute },
      global,
      privileged,
    );
    return at === 1 && nothing ? { kind: 'no-access' } : ok;
  }

  /** Step 7. */
  #ok(gpa: bigint, page: bigint, granted: Wanted, global: boolean, privileged: boolean): ScalableOutcome {
    if (gpa >= FEE_FIRST && gpa <= FEE_LAST) throw new Stop(0x87);
    const echoed = privileged && this.#request.pasid !== undefined;
    return { kind: 'ok', gpa, page, granted, global, privileged: echoed };
  }

  #wanted(): Wanted {
    const { access, execute, pasid } = this.#request;
    return {
      read: access !== 'write' && access !== 'zero-length-read',
      write: access === 'write' || access === 'atomic',
      // Execute Requested travels in the PASID prefix.
      execute: execute === true && pasid !== undefined,
    };
  }

  #structure(gpa: bigint, quadwords: number): bigint[] | undefined {
    const words: bigint[] = [];
    for (let i = 0; i < quadwords; i++) {
      const word = this.#memory.read(gpa + BigInt(i) * 8n);
      if (word === undefined) return undefined;
      words.push(word);
    }
    return words;
  }

  #fault(code: number): ScalableFault {
    const { at, access, iova } = this.#request;
    // A translation request is no AtomicOp, whatever it asks for.
    const type = at === 1 && access === 'atomic' ? 'write' : access;
    return {
      kind: 'fault',
      code,
      recorded: UNQUALIFIED.includes(code) || !this.#fpd,
      record: faultRecord({ ...this.#request, access: type, code, info: iova }),
    };
  }
}

function pointer(entry: bigint): bigint {
  return bits(entry, 63, 12) << 12n;
}
