import { PHMBASE, PHMLIMIT, PLMBASE, PLMLIMIT, PMEN, PROTECTED_SHIFT } from '../spec/vtd/registers.ts';

const LOW_BITS = 2 ** PROTECTED_SHIFT - 1;

export function protectionOn(regs: Uint32Array): boolean {
  return (regs[PMEN.offset / 4]! & 1) !== 0;
}

/**
 * True where protected memory is enabled and holds (lo, hi). Both limits are inclusive and their unimplemented low bits
 * act as ones, so a limit below its base protects nothing (VT-d: Protected Memory Ranges).
 */
export function isProtected(regs: Uint32Array, lo: number, hi: number): boolean {
  if (!protectionOn(regs)) return false;
  const a = lo >>> 0;
  if (hi === 0 && a >= regs[PLMBASE.offset / 4]! && a <= (regs[PLMLIMIT.offset / 4]! | LOW_BITS) >>> 0)
    return true;
  const base = PHMBASE.offset / 4;
  const limit = PHMLIMIT.offset / 4;
  const afterBase = hi > regs[base + 1]! || (hi === regs[base + 1]! && a >= regs[base]!);
  const beforeLimit =
    hi < regs[limit + 1]! || (hi === regs[limit + 1]! && a <= (regs[limit]! | LOW_BITS) >>> 0);
  return afterBase && beforeLimit;
}
