import { bit, bits, number } from '../vtd/bits.ts';
import {
  type Attributes,
  C_BAD_SUBSTREAMID,
  CLASS_CD,
  CLASS_IN,
  CLASS_TT,
  eventRecord,
  F_BAD_ATS_TREQ,
  F_CD_FETCH,
  F_PERMISSION,
  F_STE_FETCH,
  F_TRANSL_FORBIDDEN,
  type Problem,
} from './record.ts';
import { type Access, Fault, type Leaf, permits, type Rights, Stage1, Stage2 } from './stages.ts';
import { type Cd, cdIllegal, cdOf, type Ste, steIllegal, steOf, type Words, worldOf } from './structures.ts';
import type { Outcome, Refused, Registers, Request, TableMemory, Unit } from './types.ts';

const C_BAD_STREAMID = 0x02;
const C_BAD_STE = 0x04;
const F_STREAM_DISABLED = 0x06;
const C_BAD_CD = 0x0a;
const F_ADDR_SIZE = 0x11;

/** Request answered with UR, or aborted, and nobody is told. */
class Silent {}

/** One transaction or translation request, without any cache, step by step. */
export function translate(unit: Unit, regs: Registers, memory: TableMemory, request: Request): Outcome {
  return new Procedure(unit, regs, memory, request).run();
}

class Procedure {
  readonly #unit: Unit;
  readonly #regs: Registers;
  readonly #memory: TableMemory;
  readonly #request: Request;
  #attributes: Attributes;
  #ste: Ste | undefined;
  #cd: Cd | undefined;

  constructor(unit: Unit, regs: Registers, memory: TableMemory, request: Request) {
    this.#unit = unit;
    this.#regs = regs;
    this.#memory = memory;
    this.#request = request;
    // Translated transactions, and translation requests without PASID, are unprivileged data.
    const plain = request.at === 2 || (request.at === 1 && request.ssid === undefined);
    this.#attributes = {
      write: request.write,
      instruction: request.instruction && !plain,
      privileged: request.privileged && !plain,
    };
  }

  run(): Outcome {
    try {
      return this.#steps();
    } catch (thrown) {
      if (thrown instanceof Silent) return this.#silently();
      if (!(thrown instanceof Fault)) throw thrown;
      const outcome = this.#outcome(thrown.problem);
      if (thrown.or === undefined || outcome.kind !== 'refused') return outcome;
      return { ...outcome, or: this.#outcome(thrown.or) };
    }
  }

  #silently(): Refused {
    const answer = this.#request.at === 1 ? 'ur' : 'abort';
    return { kind: 'refused', answer, event: undefined, name: 'silent' };
  }

  #steps(): Outcome {
    const { at, address } = this.#request;
    if (!this.#regs.enabled) return this.#disabled();
    if (at === 2 && !this.#regs.atsCheck) return this.#translatedUnchecked();
    const ste = this.#fetchSte();
    if (ste.config < 4) throw new Silent();
    this.#override(ste);
    const eats = this.#effectiveEats(ste);
    if (at !== 0 && eats === 0) throw new Fault({ code: at === 1 ? F_BAD_ATS_TREQ : F_TRANSL_FORBIDDEN });
    if (at === 2) return eats === 1 ? this.#translatedUnchecked() : this.#splitStage(ste);
    const substream = this.#substream(ste);
    const stage2 = ste.s2 ? new Stage2(this.#unit, ste.stage2, this.#memory) : undefined;
    if (substream === undefined) return this.#withoutStage1(ste, stage2, address);
    const world = worldOf(this.#unit, this.#regs, ste);
    const cd = cdOf(this.#fetchCd(ste, substream, stage2), world);
    if (cdIllegal(this.#unit, ste, world, cd)) throw new Fault({ code: C_BAD_CD });
    this.#cd = cd;
    const stage1 = new Stage1(this.#unit, world, cd, this.#memory, stage2);
    return at === 1 ? this.#grant(stage1, stage2, eats === 2) : this.#transaction(stage1, stage2);
  }

  /** SMMUEN = 0. */
  #disabled(): Outcome {
    const { at, address } = this.#request;
    if (at === 1) throw new Fault({ code: F_BAD_ATS_TREQ });
    if (at === 2) throw new Fault({ code: F_TRANSL_FORBIDDEN });
    if (this.#regs.abort || this.#beyond(address)) throw new Silent();
    return { kind: 'ok', address, size: 0n };
  }

  /** Beyond the output size a unit aborts and tells nobody, or truncates. */
  #translatedUnchecked(): Outcome {
    const { address } = this.#request;
    if (!this.#beyond(address)) return { kind: 'ok', address, size: 0n };
    const truncated: Outcome = { kind: 'ok', address: bits(address, this.#unit.oas - 1, 0), size: 0n };
    return { ...this.#silently(), or: truncated };
  }

  #beyond(address: bigint): boolean {
    return address >> BigInt(this.#unit.oas) !== 0n;
  }

  #fetchSte(): Ste {
    const words = this.#structure(this.#steAddress(), 64, F_STE_FETCH);
    const ste = steOf(words);
    if (steIllegal(this.#unit, ste)) throw new Fault({ code: C_BAD_STE });
    this.#ste = ste;
    return ste;
  }

  /** Linear or two-level stream table. */
  #steAddress(): bigint {
    const { strtabBase, strtabConfig } = this.#regs;
    const sid = BigInt(this.#request.sid);
    const log2 = bits(strtabConfig, 5, 0);
    const effective = log2 < BigInt(this.#unit.sidSize) ? log2 : BigInt(this.#unit.sidSize);
    if (sid >> effective !== 0n) throw new Fault({ code: C_BAD_STREAMID });
    const base = bits(strtabBase, 55, 6) << 6n;
    const twoLevel = this.#unit.twoLevelStreams && number(strtabConfig, 17, 16) === 1;
    if (!twoLevel) return base - (base % (1n << (log2 + 6n))) + sid * 64n;

    const written = number(strtabConfig, 10, 6);
    const split = BigInt([6, 8, 10].includes(written) ? written : 6);
    const entries = log2 > split ? 1n << (log2 - split) : 1n;
    const bytes = entries * 8n > 64n ? entries * 8n : 64n;
    const at = base - (base % bytes) + (sid >> split) * 8n;
    const [entry] = this.#structure(at, 8, F_STE_FETCH) as [bigint];
    const span = bits(entry, 4, 0);
    if (span === 0n || span > 11n || span > split + 1n) throw new Fault({ code: C_BAD_STREAMID });
    const index = sid % (1n << split);
    if (index >> (span - 1n) !== 0n) throw new Fault({ code: C_BAD_STREAMID });
    const table = bits(entry, 55, 6) << 6n;
    return table - (table % (1n << (5n + span))) + index * 64n;
  }

  /** STE.INSTCFG and PRIVCFG. */
  #override(ste: Ste): void {
    if (!this.#unit.permissionOverrides) return;
    const { write, instruction, privileged } = this.#attributes;
    this.#attributes = {
      write,
      instruction: ste.instCfg < 2 ? instruction : ste.instCfg === 3,
      privileged: ste.privCfg < 2 ? privileged : ste.privCfg === 3,
    };
  }

  /** STE.EATS: 0, 1 or 2. */
  #effectiveEats(ste: Ste): number {
    if (!this.#unit.ats || ste.config === 4 || ste.eats === 3) return 0;
    return ste.eats === 2 && !this.#regs.atsCheck ? 0 : ste.eats;
  }

  /** The CD to use, or undefined where stage 1 is not used. */
  #substream(ste: Ste): number | undefined {
    const { ssid } = this.#request;
    const width = this.#cdMax(ste);
    if (ssid !== undefined) {
      const there = ste.s1 && width > 0 && ssid < 2 ** width;
      if (!there) throw new Fault({ code: C_BAD_SUBSTREAMID });
      if (ssid === 0 && ste.dss === 2) throw new Fault({ code: F_STREAM_DISABLED });
      return ssid;
    }
    if (!ste.s1) return undefined;
    if (width === 0) return 0;
    if (ste.dss === 1) return undefined;
    if (ste.dss !== 2) throw new Fault({ code: F_STREAM_DISABLED });
    return 0;
  }

  /** A unit without SubstreamIDs ignores the field. */
  #cdMax(ste: Ste): number {
    return this.#unit.ssidSize === 0 ? 0 : ste.cdMax;
  }

  #fetchCd(ste: Ste, substream: number, stage2: Stage2 | undefined): Words {
    const index = BigInt(substream);
    const width = BigInt(this.#cdMax(ste));
    const twoLevel = width > 0n && (ste.fmt === 1 || ste.fmt === 2);
    if (!twoLevel) return this.#cdWords(below(ste.contextPtr, 64n << width) + index * 64n, 64, stage2);
    const leafBits = ste.fmt === 1 ? 6n : 10n;
    const first = width > leafBits + 3n ? below(ste.contextPtr, 8n << (width - leafBits)) : ste.contextPtr;
    const [entry] = this.#cdWords(first + (index >> leafBits) * 8n, 8, stage2) as [bigint];
    const pointer = bits(entry, 55, 12) << 12n;
    if (!bit(entry, 0) || this.#beyond(pointer)) throw new Fault({ code: C_BAD_SUBSTREAMID });
    const table = below(pointer, 64n << leafBits);
    return this.#cdWords(table + (index % (1n << leafBits)) * 64n, 64, stage2);
  }

  /** L1CD or CD, through stage 2 where there is one. Stage 2 never marks a page dirty for it. */
  #cdWords(at: bigint, bytes: number, stage2: Stage2 | undefined): Words {
    const access: Access = { write: false, instruction: false, privileged: true };
    const physical = stage2?.access(at, access, CLASS_CD).address ?? at;
    return this.#structure(physical, bytes, F_CD_FETCH);
  }

  #structure(at: bigint, bytes: number, code: number): Words {
    const words: bigint[] = [];
    for (let i = 0; i < bytes; i += 8) {
      const word = this.#memory.read(at + BigInt(i));
      if (word === undefined) throw new Fault({ code, fetch: at });
      words.push(word);
    }
    return words;
  }

  /** Config 100 and 110, and streams whose transactions without SubstreamID skip stage 1. */
  #withoutStage1(ste: Ste, stage2: Stage2 | undefined, address: bigint): Outcome {
    // Without AArch32 tables the intermediate size is the output size.
    if (this.#beyond(address)) throw new Fault({ code: F_ADDR_SIZE, stage2: false, class: CLASS_IN });
    const asking = this.#request.at === 1;
    if (stage2 === undefined && !asking) return { kind: 'ok', address, size: 0n };
    if (stage2 === undefined) {
      const writeIsOptional = !this.#request.write;
      return { kind: 'granted', address, size: 0n, read: true, write: true, writeIsOptional, execute: false };
    }
    if (asking) {
      const page = stage2.leaf(address, CLASS_IN, this.#attributes.privileged);
      const split = this.#effectiveEats(ste) === 2;
      return this.#answer(page.rights, undefined, page, page.size, split ? address : page.address, split, {
        stage2,
      });
    }
    const page = stage2.access(address, this.#attributes, CLASS_IN);
    return { kind: 'ok', address: page.address, size: page.size };
  }

  /** A translated transaction under split-stage ATS: its address is an IPA. */
  #splitStage(ste: Ste): Outcome {
    const { address } = this.#request;
    if (this.#beyond(address)) throw new Fault({ code: F_ADDR_SIZE, stage2: false, class: CLASS_IN });
    const page = new Stage2(this.#unit, ste.stage2, this.#memory).access(address, this.#attributes, CLASS_IN);
    return { kind: 'ok', address: page.address, size: page.size };
  }

  #transaction(stage1: Stage1, stage2: Stage2 | undefined): Outcome {
    const access = this.#attributes;
    const first = stage1.leaf(this.#request.address, access.privileged);
    if (!permits(first.rights, access)) {
      stage1.mayMark(first, false);
      throw new Fault({ code: F_PERMISSION, stage2: false, class: CLASS_IN });
    }
    let second: Leaf | undefined;
    try {
      second = stage2?.permitted(first.address, access, CLASS_IN);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      // Updates of stage 1 are permitted although stage 2 refuses; what that meets may come first.
      throw new Fault(fault.problem, stage1.mayMark(first, access.write));
    }
    stage1.mark(first, access.write);
    if (second === undefined) return { kind: 'ok', address: first.address, size: first.size };
    stage2!.mark(second, access.write);
    return { kind: 'ok', address: second.address, size: smaller(first.size, second.size) };
  }

  #grant(stage1: Stage1, stage2: Stage2 | undefined, split: boolean): Outcome {
    const { privileged } = this.#attributes;
    const first = stage1.leaf(this.#request.address, privileged);
    if (nothing(this.#granted(first.rights))) {
      stage1.mayMark(first, false);
      return NOTHING;
    }
    let second: Leaf | undefined;
    try {
      second = stage2?.leaf(first.address, CLASS_IN, privileged);
    } catch (fault) {
      stage1.mayMark(first, this.#request.write);
      throw fault;
    }
    const size = second === undefined ? first.size : smaller(first.size, second.size);
    const address = second === undefined || split ? first.address : second.address;
    const rights = second === undefined ? first.rights : both(first.rights, second.rights);
    return this.#answer(rights, first, second, size, address, split, { stage1, stage2 });
  }

  /** Grants, and the updates they bring about. */
  #answer(
    rights: Rights,
    first: Leaf | undefined,
    second: Leaf | undefined,
    size: bigint,
    address: bigint,
    split: boolean,
    stages: { readonly stage1?: Stage1; readonly stage2?: Stage2 | undefined },
  ): Outcome {
    const granted = this.#granted(rights);
    const asked = this.#request.write;
    if (nothing(granted)) {
      if (first !== undefined) stages.stage1!.mayMark(first, asked);
      if (second !== undefined) stages.stage2!.mayMark(second, false);
      return NOTHING;
    }
    const writes = asked && granted.write;
    if (!granted.read && !asked) {
      // There is only a right to write, which was not asked for and need not be granted.
      if (first !== undefined) stages.stage1!.mayMark(first, false);
      if (second !== undefined) stages.stage2!.mayMark(second, false);
      return { kind: 'granted', address, size, ...granted };
    }
    if (first !== undefined) {
      stages.stage1!.mark(first, writes);
      // Stage 1 would let it write, stage 2 does not.
      if (asked && !writes) stages.stage1!.mayMark(first, true);
    }
    // Under split-stage ATS the translated transaction that follows may do it as well.
    if (second !== undefined && split) stages.stage2!.mayMark(second, writes);
    else if (second !== undefined) stages.stage2!.mark(second, writes);
    return { kind: 'granted', address, size, ...granted };
  }

  /** PCIe permission attributes: what a translation request gets. */
  #granted(rights: Rights): Grants {
    const { instruction: asked, write, ssid } = { ...this.#request };
    const exe = asked && ssid !== undefined;
    const inst = this.#unit.permissionOverrides ? (this.#ste?.instCfg ?? 0) : 0;
    const writeIsOptional = !write;
    const w = rights.write && (write || !rights.clean);
    if (inst === 3)
      return { read: rights.execute, write: w, writeIsOptional, execute: exe && rights.execute };
    const execute = exe && rights.read && (inst === 2 || rights.execute);
    return { read: rights.read, write: w, writeIsOptional, execute };
  }

  /** What becomes of a transaction with a problem, and whether it is recorded. */
  #outcome(problem: Problem): Outcome {
    const { at, mayStall } = this.#request;
    const { code } = problem;
    const translation = code >= 0x10;
    if (at === 1 && translation) return NOTHING;
    if (at !== 0 && !translation) return this.#atsProblem(problem);
    const ste = this.#ste;
    let stalls = false;
    let recorded = true;
    if (code === C_BAD_STREAMID) recorded = this.#regs.recordInvalidStreams;
    else if (translation && problem.stage2 === true) {
      stalls = ste!.s2s;
      recorded = ste!.s2s || ste!.s2r;
    } else if (translation && this.#cd !== undefined) {
      stalls = this.#cd.s;
      recorded = this.#cd.s || this.#cd.r;
    }
    return this.#refuse(problem, stalls && mayStall && at === 0 ? 'stall' : 'abort', recorded);
  }

  #atsProblem(problem: Problem): Refused {
    const { at } = this.#request;
    const { code } = problem;
    if (code === F_BAD_ATS_TREQ) return this.#refuse(problem, 'ur', true);
    if (code === F_TRANSL_FORBIDDEN) return this.#refuse(problem, 'abort', true);
    // The walk of stage 2 under split-stage ATS is that of an ordinary transaction.
    const ordinary = at === 2 && problem.class !== undefined;
    let recorded = ordinary || (this.#unit.atsErrors && this.#regs.recordAtsErrors);
    if (at === 1 && code === C_BAD_STREAMID) recorded &&= this.#regs.recordInvalidStreams;
    return this.#refuse(problem, at === 1 ? 'ca' : 'abort', recorded);
  }

  #refuse(problem: Problem, answer: Refused['answer'], recorded: boolean): Refused {
    const event = eventRecord(problem, this.#request, this.#attributes, answer === 'stall');
    const { code, stage2, class: cls } = problem;
    const where = cls === undefined ? '' : ` s${stage2 === true ? 2 : 1} ${CLASSES[cls]}`;
    const name = `${code.toString(16).padStart(2, '0')}${where}${problem.tableWrite === true ? ' write' : ''}`;
    return { kind: 'refused', answer, event: recorded ? event : undefined, name };
  }
}

const CLASSES: Readonly<Record<number, string>> = { [CLASS_CD]: 'cd', [CLASS_TT]: 'tt', [CLASS_IN]: 'in' };

interface Grants {
  readonly read: boolean;
  readonly write: boolean;
  readonly writeIsOptional: boolean;
  readonly execute: boolean;
}

/** R = W = 0. */
const NOTHING: Outcome = {
  kind: 'granted',
  address: 0n,
  size: 0n,
  read: false,
  write: false,
  writeIsOptional: false,
  execute: false,
};

/** Nothing, but perhaps for a write that was not asked for. */
function nothing(granted: Grants): boolean {
  return !granted.read && !granted.write;
}

function both(a: Rights, b: Rights): Rights {
  return {
    read: a.read && b.read,
    write: a.write && b.write,
    clean: a.clean || b.clean,
    execute: a.execute && b.execute,
  };
}

/** Aligned to a number of bytes. */
function below(address: bigint, bytes: bigint): bigint {
  return address - (address % bytes);
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
