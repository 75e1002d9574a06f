import { D_FLAGS } from './descriptor.ts';
import { DSA_GENCTRL, DSA_INTCAUSE, DSA_SWERROR, DSA_SWERROR1, DSA_SWERROR2 } from './registers.ts';

const ERROR = DSA_SWERROR.offset / 4;
const DETAILS = DSA_SWERROR1.offset / 4;
const ADDRESS = DSA_SWERROR2.offset / 4;
const VALID = 1;
const OVERFLOW = 2;

export interface SoftwareError {
  readonly status: number;
  readonly wq: number;
  /** PASID + 1; 0: none. */
  readonly pasid: number;
  readonly privileged: boolean;
  /** Index in its batch, or -1. */
  readonly batchIndex: number;
  readonly invalidFlags: number;
  readonly write: boolean;
  readonly addressLo: number;
  readonly addressHi: number;
}

/**
 * SWERROR: where errors go that no completion record can tell. One is kept; more set the overflow bit.
 * @returns whether vector 0 is to be raised
 */
export function recordError(
  regs: Uint32Array,
  descriptor: Uint32Array,
  at: number,
  e: SoftwareError,
): boolean {
  if ((regs[ERROR]! & VALID) !== 0) {
    regs[ERROR]! |= OVERFLOW;
    return false;
  }
  regs.fill(0, ERROR, ADDRESS + 2);
  const set = DSA_SWERROR.set.bind(DSA_SWERROR);
  set(regs, ERROR, 'VALID', 1);
  set(regs, ERROR, 'DESCRIPTOR', 1);
  set(regs, ERROR, 'WQ_VALID', 1);
  set(regs, ERROR, 'BATCH', e.batchIndex >= 0 ? 1 : 0);
  set(regs, ERROR, 'WRITE', e.write ? 1 : 0);
  set(regs, ERROR, 'PRIVILEGED', e.privileged ? 1 : 0);
  set(regs, ERROR, 'ERROR', e.status);
  set(regs, ERROR, 'WQ', e.wq);
  set(regs, ERROR, 'OPERATION', descriptor[at + D_FLAGS]! >>> 24);
  set(regs, ERROR, 'PASID', Math.max(0, e.pasid - 1));
  regs[DETAILS] = Math.max(0, e.batchIndex);
  regs[DETAILS + 1] = e.invalidFlags;
  regs[ADDRESS] = e.addressLo;
  regs[ADDRESS + 1] = e.addressHi;
  regs[DSA_INTCAUSE.offset / 4]! |= 1 << DSA_INTCAUSE.fields.ERROR.lo;
  return (regs[DSA_GENCTRL.offset / 4]! & 1) !== 0;
}
