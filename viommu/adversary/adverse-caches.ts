import {
  AT_TRANSLATED,
  AT_UNTRANSLATED,
  DMA_OK,
  DmaPort,
  type DmaTranslator,
  NO_PASID,
} from '../../vmm/bus/dma.ts';
import type { SystemMemory } from '../../vmm/bus/memory.ts';
import { nextChance } from './chance.ts';

const PAGE = 4096;

/** A unit whose caches somebody else spoils between two requests. */
export interface AdverseUnit extends DmaTranslator {
  readonly s: { chance: number };
  /** Each cache may lose one entry; `random` says which. */
  dropSome(random: number): void;
  /** Caches what a request of the port would need, where all of that is good as it is. Raises nothing and changes no memory. */
  fetchAhead(port: DmaPort, lo: number, hi: number): void;
  /** Likewise the interrupt entry beside that of the last message. */
  fetchEntryAhead?(): void;
}

/** `cache=random`: after every request the caches lose entries, each with the same chance wherever it lies. */
export class ForgetfulCaches implements DmaTranslator {
  readonly #unit: AdverseUnit;
  readonly #seed: number;

  constructor(unit: AdverseUnit, seed: number) {
    this.#unit = unit;
    this.#seed = seed;
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const status = this.#unit.translate(port, lo, hi, access);
    this.#forget();
    return status;
  }

  message(port: DmaPort, lo: number, hi: number, data: number, length: number): number {
    const status = this.#unit.message(port, lo, hi, data, length);
    this.#forget();
    return status;
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    const status = this.#unit.pageRequest!(port, lo, hi, access, group, last);
    this.#forget();
    return status;
  }

  invalidationComplete(port: DmaPort, tag: number): void {
    this.#unit.invalidationComplete!(port, tag);
  }

  /** The chance is the unit's state: a snapshot goes on as the machine would have. */
  #forget(): void {
    const { s } = this.#unit;
    s.chance = nextChance(s.chance === 0 ? this.#seed : s.chance);
    this.#unit.dropSome(s.chance);
  }
}

/**
 * `cache=prefetch`: a request that was translated brings along the pages before and after its own, and the structures of the
 * function and of the PASID beside it.
 */
export class EagerCaches implements DmaTranslator {
  readonly #unit: AdverseUnit;
  readonly #probe: DmaPort;

  constructor(unit: AdverseUnit, memory: SystemMemory) {
    this.#unit = unit;
    this.#probe = new DmaPort('prefetch', 0, unit, memory);
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const status = this.#unit.translate(port, lo, hi, access);
    if (status === DMA_OK && port.at !== AT_TRANSLATED) this.#fetch(port, lo, hi);
    return status;
  }

  message(port: DmaPort, lo: number, hi: number, data: number, length: number): number {
    const status = this.#unit.message(port, lo, hi, data, length);
    this.#unit.fetchEntryAhead?.();
    return status;
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    return this.#unit.pageRequest!(port, lo, hi, access, group, last);
  }

  invalidationComplete(port: DmaPort, tag: number): void {
    this.#unit.invalidationComplete!(port, tag);
  }

  #fetch(port: DmaPort, lo: number, hi: number): void {
    const probe = this.#probe;
    probe.requester = port.requester;
    probe.pasid = port.pasid;
    probe.privileged = port.privileged;
    probe.at = AT_UNTRANSLATED;
    const unit = this.#unit;
    const after = (lo + PAGE) | 0;
    unit.fetchAhead(probe, after, after >>> 0 < PAGE ? (hi + 1) | 0 : hi | 0);
    if (lo >>> 0 >= PAGE) unit.fetchAhead(probe, (lo - PAGE) | 0, hi | 0);
    if (port.pasid !== NO_PASID) {
      probe.pasid = port.pasid ^ 1;
      unit.fetchAhead(probe, lo | 0, hi | 0);
      probe.pasid = port.pasid;
    }
    probe.requester = port.requester ^ 1;
    unit.fetchAhead(probe, lo | 0, hi | 0);
  }
}
