import { PGTT_NESTED } from '../spec/vtd/structures.ts';
import {
  FS_DIRTY_ONCE,
  FS_EAFE,
  FS_NOT_COHERENT,
  FS_NXE,
  FS_SMEP,
  FS_WPE,
  type StageTables,
} from '../walk/first-stage.ts';
import { SS_ACCESSED_DIRTY, SS_EXECUTE, SS_NOT_COHERENT, SS_STRUCTURE_FIRST } from '../walk/second-stage.ts';
import type { VtdConfig } from './config.ts';
import type { ScalableOptions } from './scalable-structures.ts';
import { beyondWidth } from './translation.ts';

/** Words of a PASID-table entry and the fields in them. */
const SSEE = 1 << 5;
const SSADE = 1 << 9;
const PWSNP = 1 << 23;
const WPE = 1 << 4;
const NXE = 1 << 5;
const SMEP = 1 << 6;
const EAFE = 1 << 7;

/** What a PASID-table entry says of walks (VT-d: Scalable-Mode PASID Table Entry). */
export class PasidFields {
  readonly #options: ScalableOptions;
  readonly #coherent: boolean;

  /** @param coherent walks are, whatever PWSNP says */
  constructor(options: ScalableOptions, coherent: boolean) {
    this.#options = options;
    this.#coherent = coherent;
  }

  /** How second-stage tables are walked, by words 0 and 2: a set of SS_ bits. */
  secondMode(e0: number, e2: number): number {
    // docs/deviations.md: vtd-second-stage-order.
    if (this.#options.qemu) return 0;
    const own = e0 & this.#options.offered[0];
    return (
      SS_STRUCTURE_FIRST |
      ((own & SSADE) !== 0 ? SS_ACCESSED_DIRTY : 0) |
      ((own & SSEE) !== 0 ? SS_EXECUTE : 0) |
      (this.#coherent || (e2 & PWSNP) !== 0 ? 0 : SS_NOT_COHERENT)
    );
  }

  /** The tables a first-stage or nested entry names; its words begin at `at`. True: there is a second stage to be tagged. */
  fill(t: StageTables, e: Uint32Array, at: number): boolean {
    const own = e[at]!;
    const controls = e[at + 4]! & this.#options.offered[1];
    const coherent = this.#coherent || (e[at + 2]! & PWSNP) !== 0;
    t.tableLo = controls & -4096;
    t.tableHi = e[at + 5]! | 0;
    t.levels = ((controls >>> 2) & 3) === 1 ? 5 : 4;
    t.controls =
      ((controls & WPE) !== 0 ? FS_WPE : 0) |
      ((controls & NXE) !== 0 ? FS_NXE : 0) |
      ((controls & SMEP) !== 0 ? FS_SMEP : 0) |
      ((controls & EAFE) !== 0 ? FS_EAFE : 0) |
      // docs/deviations.md: vtd-dirty-once.
      (this.#options.qemu ? FS_DIRTY_ONCE : 0) |
      (coherent ? 0 : FS_NOT_COHERENT);
    t.nested = ((own >>> 6) & 7) === PGTT_NESTED;
    if (!t.nested) return false;
    const width = (own >>> 2) & 7;
    t.secondLo = own | 0;
    t.secondHi = e[at + 1]! | 0;
    t.secondLevels = width + 2;
    t.secondMode = this.secondMode(own, e[at + 2]!);
    t.secondBeyond = beyondWidth(width);
    return true;
  }
}

/** How a unit takes them. Without ECAP.SMPWCS nothing says that walks are not coherent; here they are. */
export function pasidFields(config: VtdConfig, options: ScalableOptions): PasidFields {
  return new PasidFields(options, !config['accessed-dirty']);
}

/** PASIDs that the directory of a context entry has room for: 2^(PDTS+13). */
export function pasidLimit(e0: number): number {
  return 1 << (((e0 >>> 9) & 7) + 13);
}

/** Upper-word bits that have to equal bit 63: 63:47 with 4 levels, 63:56 with 5. */
export function beyondCanonical(levels: number): number {
  return levels === 5 ? -1 << 24 : -1 << 15;
}

/** docs/deviations.md: vtd-canonical-width. */
export function isCanonicalInQemu(lo: number, hi: number, width: number, most: number): boolean {
  const bits = Math.min(30 + 9 * width, most);
  if (bits > 32) return ((hi ^ ((hi << (64 - bits)) >> 31)) & (-1 << (bits - 32))) === 0;
  const sign = (lo << (32 - bits)) >> 31;
  return hi === sign && ((lo ^ sign) & (-1 << bits)) === 0;
}
