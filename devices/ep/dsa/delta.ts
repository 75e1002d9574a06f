import { D_DST, D_OP, D_SIZE, D_SRC, STATUS } from './descriptor.ts';
import type { Job } from './job.ts';
import type { Transfer } from './transfer.ts';

/** A delta record is a row of these: an offset in units of 8 bytes, and the 8 bytes that belong there. */
export const DELTA_ENTRY = 10;
const UNIT = 8;
const BATCH = 4096;
const MAX_SIZE = D_OP + 2;

export const DELTA_EQUAL = 0;
export const DELTA_DIFFERENT = 1;
export const DELTA_OVERFLOW = 2;

/** Create Delta Record: job.done is the offset compared next, job.aux the bytes of the record so far. */
export function createDelta(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  while (job.done < size) {
    const n = Math.min(BATCH, size - job.done);
    const first = t.fetch(D_SRC, job.done, t.first, 0, n);
    const both = t.fetch(D_DST, job.done, t.second, 0, first) & ~(UNIT - 1);
    for (let i = 0; i < both; i += UNIT) {
      if (!unitDiffers(t, i)) {
        job.done += UNIT;
        continue;
      }
      if (job.aux + DELTA_ENTRY > job.word(MAX_SIZE)) {
        job.result = DELTA_OVERFLOW;
        return true;
      }
      if (!appendUnit(job, t, i)) return false;
      job.done += UNIT;
    }
    if (both < n) return false;
  }
  return true;
}

function unitDiffers(t: Transfer, at: number): boolean {
  for (let i = at; i < at + UNIT; i++) if (t.first[i] !== t.second[i]) return true;
  return false;
}

/** Behind the data that is being compared, there is room in the buffer. */
const SCRATCH = BATCH;

function appendUnit(job: Job, t: Transfer, at: number): boolean {
  const offset = job.done / UNIT;
  t.first[SCRATCH] = offset;
  t.first[SCRATCH + 1] = offset >>> 8;
  for (let i = 0; i < UNIT; i++) t.first[SCRATCH + 2 + i] = t.second[at + i]!;
  if (t.store(D_OP, job.aux, t.first, SCRATCH, DELTA_ENTRY) < DELTA_ENTRY) return false;
  job.aux += DELTA_ENTRY;
  job.specific = job.aux;
  job.result = DELTA_DIFFERENT;
  return true;
}

/** Apply Delta Record: job.done is the byte of the record, job.aux the last offset + 1. */
export function applyDelta(job: Job): boolean {
  const recordSize = job.word(D_OP);
  const units = job.word(D_SIZE) / UNIT;
  const t = job.transfer;
  while (job.done < recordSize) {
    if (t.fetch(D_SRC, job.done, t.first, 0, DELTA_ENTRY) < DELTA_ENTRY) return false;
    const offset = t.first[0]! | (t.first[1]! << 8);
    if (offset < job.aux) {
      job.status = STATUS.deltaOrder;
      return true;
    }
    if (offset >= units) {
      job.status = STATUS.deltaRange;
      return true;
    }
    if (t.store(D_DST, offset * UNIT, t.first, 2, UNIT) < UNIT) return false;
    job.aux = offset + 1;
    job.done += DELTA_ENTRY;
  }
  return true;
}
