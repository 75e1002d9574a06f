import {
  AT_TRANSLATION,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  type DmaTranslator,
  NO_PASID,
} from './dma.ts';
import { deliverCompatible, type InterruptTarget, inMsiWindow } from './interrupts.ts';

/** No IOMMU: addresses pass unchanged, messages go straight to the local APICs, translation requests are refused. */
export class Untranslated implements DmaTranslator {
  readonly #target: InterruptTarget | undefined;

  /** @param target absent where messages are writes like any other, to a register of the interrupt controller */
  constructor(target: InterruptTarget | undefined) {
    this.#target = target;
  }

  translate(port: DmaPort, lo: number, hi: number, _access: number): number {
    if (port.at === AT_TRANSLATION || port.pasid !== NO_PASID) return DMA_UR;
    if (this.#target !== undefined && inMsiWindow(lo, hi)) return DMA_MESSAGE;
    port.outLo = lo >>> 0;
    port.outHi = hi >>> 0;
    port.outSpan = 4096 - (lo & 4095);
    return DMA_OK;
  }

  message(_port: DmaPort, lo: number, _hi: number, data: number, length: number): number {
    if (length !== 4 || this.#target === undefined) return DMA_UR;
    deliverCompatible(this.#target, lo, data);
    return DMA_OK;
  }
}
