import { any, bit, bits, number } from './bits.ts';
import type { Unit } from './types.ts';

/** What tables are read from; setting accessed and dirty bits is the only way they are written. */
export interface TableMemory {
  /** A quadword, or undefined where there is no memory. */
  read(address: bigint): bigint | undefined;
  set(address: bigint, mask: bigint): void;
}

/** Rights that are wanted, or granted. None wanted: a zero-length read. */
export interface Wanted {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

export interface Limits {
  readonly unit: Unit;
  readonly memory: TableMemory;
  /** PASID entry: PWSNP. Without it accessed and dirty bits cannot be set. */
  readonly snooped: boolean;
}

export interface Page {
  readonly address: bigint;
  /** Bytes of the smallest page involved. */
  readonly size: bigint;
  readonly granted: Wanted;
  readonly global: boolean;
}

export interface Stage {
  /** @param asking a translation request: what is not permitted is not granted, instead of a fault */
  translate(input: bigint, wanted: Wanted, asking: boolean): Page;
}

/** A page-table fault: recoverable for a translation request. */
export class Refusal {
  readonly code: number;

  constructor(code: number) {
    this.code = code;
  }
}

/** Second-stage paging entry. */
const SS_ACCESSED = 1n << 8n;
const SS_DIRTY = 1n << 9n;
/** First-stage paging entry. */
const FS_ACCESSED = 1n << 5n;
const FS_DIRTY = 1n << 6n;
const FS_EXTENDED = 1n << 10n;

/** Second-stage paging: 3, 4 or 5 levels. */
export class SecondStage implements Stage {
  readonly #limits: Limits;
  readonly #top: bigint;
  readonly #levels: number;
  readonly #execute: boolean;
  readonly #marks: boolean;

  constructor(limits: Limits, top: bigint, aw: number, ssee: boolean, ssade: boolean) {
    this.#limits = limits;
    this.#top = top;
    this.#levels = aw + 2;
    this.#execute = ssee;
    this.#marks = ssade;
  }

  /** True when the address is beyond min(MGAW, AGAW). */
  beyond(input: bigint): boolean {
    const mgaw = number(this.#limits.unit.cap, 21, 16) + 1;
    return input >= 1n << BigInt(Math.min(12 + 9 * this.#levels, mgaw));
  }

  translate(input: bigint, wanted: Wanted, asking: boolean): Page {
    if (this.beyond(input)) throw new Refusal(0x84);
    const { memory, unit } = this.#limits;
    let table = this.#top;
    let read = true;
    let write = true;
    let execute = true;
    for (let level = this.#levels; ; level--) {
      const { span, index } = place(input, level);
      const at = table + index * 8n;
      const entry = memory.read(at);
      if (entry === undefined) throw new Refusal(level === this.#levels ? 0x7b : 0x78);
      // X alone makes an entry present only where it means something.
      if (!bit(entry, 0) && !bit(entry, 1) && !(this.#execute && bit(entry, 2))) throw new Refusal(0x79);
      const leaf = level === 1 || (bit(entry, 7) && this.#large(level));
      if (this.#reserved(entry, level, leaf)) throw new Refusal(0x7a);
      read &&= bit(entry, 0);
      write &&= bit(entry, 1);
      execute &&= !this.#execute || bit(entry, 2);
      const granted = { read, write, execute };
      if (!asking) demand(unit, wanted, granted, this.#execute);
      else if (!read && !write && !(this.#execute && execute)) throw new Refusal(0x86);
      if (this.#marks) {
        const marks = leaf && wanted.write && write ? SS_ACCESSED | SS_DIRTY : SS_ACCESSED;
        mark(this.#limits, at, entry, marks, 0x7c);
      }
      if (leaf) return { address: inPage(entry, span, input), size: span, granted, global: false };
      table = pointer(entry);
    }
  }

  /** CAP.SSLPS: 34 for 2 MiB, 35 for 1 GiB. */
  #large(level: number): boolean {
    const { cap } = this.#limits.unit;
    return (level === 2 && bit(cap, 34)) || (level === 3 && bit(cap, 35));
  }

  /** Second-Stage Paging Entries: reserved bits. */
  #reserved(entry: bigint, level: number, leaf: boolean): boolean {
    const { haw, ecap } = this.#limits.unit;
    if (any(entry, 51, haw)) return true;
    if (level > 1 && bit(entry, 7) && !leaf) return true;
    if (leaf && level > 1 && any(entry, 12 + 9 * (level - 1) - 1, 12)) return true;
    return leaf && bit(entry, 11) && !bit(ecap, 7);
  }
}

/** PASID entry: what the first stage asks of it. */
export interface FirstStageFields {
  readonly fspm: number;
  readonly wpe: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  readonly eafe: boolean;
}

/** First-stage paging, 4 or 5 levels; nested: its tables and its pages are addresses of the second stage. */
export class FirstStage implements Stage {
  readonly #limits: Limits;
  readonly #top: bigint;
  readonly #fields: FirstStageFields;
  readonly #privileged: boolean;
  readonly #second: SecondStage | undefined;

  constructor(
    limits: Limits,
    top: bigint,
    fields: FirstStageFields,
    privileged: boolean,
    second: SecondStage | undefined,
  ) {
    this.#limits = limits;
    this.#top = top;
    this.#fields = fields;
    this.#privileged = privileged;
    this.#second = second;
  }

  translate(input: bigint, wanted: Wanted, asking: boolean): Page {
    const levels = this.#fields.fspm === 1 ? 5 : 4;
    if (!canonical(input, levels)) throw new Refusal(0x80);
    let table = this.#top;
    let user = true;
    let writable = true;
    let executable = true;
    for (let level = levels; ; level--) {
      const { span, index } = place(input, level);
      const gpa = table + index * 8n;
      const at = this.#tableAddress(gpa, level === levels);
      const entry = this.#limits.memory.read(at);
      if (entry === undefined) throw new Refusal(level === levels ? 0x73 : 0x70);
      if (!bit(entry, 0)) throw new Refusal(0x71);
      user &&= bit(entry, 2);
      writable &&= bit(entry, 1);
      executable &&= !bit(entry, 63);
      if (!this.#privileged && !user) throw new Refusal(0x81);
      const mayWrite = writable || (this.#privileged && !this.#fields.wpe);
      if (wanted.write && !mayWrite && !asking) throw new Refusal(0x85);
      const leaf = level === 1 || (bit(entry, 7) && this.#large(level));
      if (this.#reserved(entry, level, leaf)) throw new Refusal(0x72);
      const mayExecute = executable && !(this.#privileged && this.#fields.smep && user);
      if (leaf && wanted.execute && !mayExecute && !asking) throw new Refusal(0x82);
      const dirty = leaf && wanted.write && mayWrite;
      this.#mark(gpa, at, entry, dirty);
      if (!leaf) {
        table = pointer(entry);
        continue;
      }
      const granted = { read: true, write: mayWrite, execute: mayExecute };
      const address = inPage(entry, span, input);
      return this.#final({ address, size: span, granted, global: bit(entry, 8) }, wanted, asking);
    }
  }

  /** Where an entry of a first-stage table lies; nested, the second stage has to let it be read. */
  #tableAddress(gpa: bigint, top: boolean): bigint {
    const second = this.#second;
    if (second === undefined) return gpa;
    if (second.beyond(gpa)) throw new Refusal(0x74);
    try {
      return second.translate(gpa, { read: true, write: false, execute: false }, false).address;
    } catch (refusal) {
      if (refusal instanceof Refusal && refusal.code === 0x86) throw new Refusal(top ? 0x75 : 0x76);
      throw refusal;
    }
  }

  /** A in every entry, D in a leaf that is written, EA with EAFE; nested, the second stage has to let it be written. */
  #mark(gpa: bigint, at: bigint, entry: bigint, dirty: boolean): void {
    const marks = FS_ACCESSED | (dirty ? FS_DIRTY : 0n) | (this.#fields.eafe ? FS_EXTENDED : 0n);
    if ((entry & marks) === marks) return;
    const second = this.#second;
    if (second !== undefined && this.#limits.snooped) {
      try {
        second.translate(gpa, { read: true, write: true, execute: false }, false);
      } catch (refusal) {
        if (refusal instanceof Refusal && refusal.code === 0x85) throw new Refusal(0x77);
        throw refusal;
      }
    }
    mark(this.#limits, at, entry, marks, 0x90);
  }

  /** Nested: the page's address goes through the second stage; rights are those of both, the size the smaller. */
  #final(page: Page, wanted: Wanted, asking: boolean): Page {
    if (this.#second === undefined) return page;
    const final = this.#second.translate(page.address, limited(wanted, page.granted, asking), asking);
    const granted = {
      read: page.granted.read && final.granted.read,
      write: page.granted.write && final.granted.write,
      execute: page.granted.execute && final.granted.execute,
    };
    const size = final.size < page.size ? final.size : page.size;
    return { address: final.address, size, granted, global: page.global };
  }

  /** CAP: 56 FS1GP. */
  #large(level: number): boolean {
    return level === 2 || (level === 3 && bit(this.#limits.unit.cap, 56));
  }

  /** First-Stage Paging Entries: reserved bits. Nested, the second stage judges addresses. */
  #reserved(entry: bigint, level: number, leaf: boolean): boolean {
    if (this.#second === undefined && any(entry, 51, this.#limits.unit.haw)) return true;
    if (bit(entry, 63) && !this.#fields.nxe) return true;
    if (level > 1 && bit(entry, 7) && !leaf) return true;
    return leaf && level > 1 && any(entry, 12 + 9 * (level - 1) - 1, 13);
  }
}

/** What a translation request asks of the second stage: no more than the first stage grants. */
function limited(wanted: Wanted, granted: Wanted, asking: boolean): Wanted {
  if (!asking) return wanted;
  return {
    read: wanted.read && granted.read,
    write: wanted.write && granted.write,
    execute: wanted.execute && granted.execute,
  };
}

/** Write is asked before read, and both before execute. A zero-length read needs R, or with CAP.ZLR (22) any right. */
function demand(unit: Unit, wanted: Wanted, granted: Wanted, executable: boolean): void {
  if (wanted.write && !granted.write) throw new Refusal(0x85);
  if (wanted.read && !granted.read) throw new Refusal(0x86);
  if (wanted.execute && !granted.execute) throw new Refusal(0x82);
  if (wanted.read || wanted.write || granted.read) return;
  const any = granted.write || (executable && granted.execute);
  if (!(bit(unit.cap, 22) && any)) throw new Refusal(0x86);
}

/** Sets what is missing of an entry's accessed and dirty bits. */
function mark({ memory, snooped }: Limits, at: bigint, entry: bigint, marks: bigint, code: number): void {
  if ((entry & marks) === marks) return;
  if (!snooped) throw new Refusal(code);
  memory.set(at, marks);
}

function place(input: bigint, level: number): { span: bigint; index: bigint } {
  const shift = 12 + 9 * (level - 1);
  return { span: 1n << BigInt(shift), index: bits(input, shift + 8, shift) };
}

/** The address in a leaf's page. */
function inPage(entry: bigint, span: bigint, input: bigint): bigint {
  return (pointer(entry) & ~(span - 1n)) + (input % span);
}

function pointer(entry: bigint): bigint {
  return bits(entry, 51, 12) << 12n;
}

/** 4 levels: bits 63:47 are equal; 5 levels: 63:56. */
function canonical(input: bigint, levels: number): boolean {
  const top = levels === 5 ? 56 : 47;
  const upper = bits(input, 63, top);
  return upper === 0n || upper === (1n << BigInt(64 - top)) - 1n;
}
