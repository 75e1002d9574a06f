import { UNTRANSLATED_ONLY } from '../../vmm/bus/dma.ts';
import { LGN_READ, LGN_WRITE, LSS_READ_ERROR, LSS_RESERVED } from '../spec/vtd/faults.ts';
import { PAGE_MASK, SIZE_4K } from '../walk/iotlb.ts';
import { WALK_READ_ERROR, WALK_RESERVED, WALK_WRITE_DENIED } from '../walk/second-stage.ts';

/** Result of the translation procedure; halves signed. One object a unit, so that a translation allocates nothing. */
export class Translation {
  outLo = 0;
  outHi = 0;
  /** Bytes from the address to the end of what is mapped contiguously. */
  span = 0;
  pageSize = 0;
  /** READ, WRITE, EXEC and GRANTED_ bits. */
  granted = 0;

  /** An untranslated page. */
  identity(lo: number, hi: number, pageSize: number, granted: number): void {
    this.outLo = lo;
    this.outHi = hi;
    this.span = 4096 - (lo & 4095);
    this.pageSize = pageSize;
    this.granted = granted;
  }

  /**
   * The address (outLo, outHi) in a page of this size. False: a large page over the interrupt window, on either side, is
   * neither to be kept nor used as a whole.
   */
  page(lo: number, hi: number, outLo: number, outHi: number, size: number): boolean {
    const inside = ~PAGE_MASK[size]!;
    this.outLo = outLo;
    this.outHi = outHi;
    const whole = size === SIZE_4K || !(holdsWindow(lo, hi, inside) || holdsWindow(outLo, outHi, inside));
    this.span = whole ? inside + 1 - (lo & inside) : 4096 - (lo & 4095);
    this.pageSize = whole ? inside + 1 : 4096;
    return whole;
  }
}

/** Outcomes of the procedure besides 0 and the fault codes 01h-FFh. */
export const MESSAGE = 0x100;
/** Aborted without a record: protected memory, or a translation request while translation is off. */
export const BLOCKED = 0x101;

const FEE_BASE = 0xfee00000;

/** Whether the naturally aligned page that holds the address also holds the interrupt window. */
export function holdsWindow(lo: number, hi: number, inside: number): boolean {
  return hi === 0 && ((lo ^ FEE_BASE) & ~inside) === 0;
}

/** Upper-word address bits at and above the width of an AW value: 39, 48 or 57 bits. */
export function beyondWidth(width: number): number {
  return -1 << (9 * width - 2);
}

/** What a translation completion says, or what an untranslated request got. */
export function answerOf(granted: number, access: number): number {
  if (granted === UNTRANSLATED_ONLY) return UNTRANSLATED_ONLY;
  const permissions = granted & access & 7;
  return permissions === 0 ? 0 : permissions | (granted & ~7);
}

/** The fault of a second-stage walk in legacy mode. */
export function walkFault(outcome: number): number {
  if (outcome === WALK_READ_ERROR) return LSS_READ_ERROR;
  if (outcome === WALK_RESERVED) return LSS_RESERVED;
  return outcome === WALK_WRITE_DENIED ? LGN_WRITE : LGN_READ;
}
