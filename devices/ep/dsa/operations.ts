import { crcBegin, crcUpdate, crcValue } from './crc.ts';
import { applyDelta, createDelta } from './delta.ts';
import {
  D_DST,
  D_FLAGS,
  D_OP,
  D_SIZE,
  D_SRC,
  FLAG_OP0,
  FLAG_OP1,
  FLAG_OP2,
  OP_APPLY_DELTA,
  OP_CACHE_FLUSH,
  OP_COMPARE,
  OP_COMPARE_PATTERN,
  OP_COPY_CRC,
  OP_CRC,
  OP_CREATE_DELTA,
  OP_DUALCAST,
  OP_FILL,
  OP_MEMMOVE,
} from './descriptor.ts';
import type { Job } from './job.ts';
import { CHUNK, type Transfer } from './transfer.ts';

/**
 * Goes on with the operation from job.done. True: it is over, and job.status and job.result say how; false: a page is
 * missing and the transfer says which.
 */
export function operate(opcode: number, job: Job): boolean {
  switch (opcode) {
    case OP_MEMMOVE:
      return memmove(job);
    case OP_FILL:
      return fill(job);
    case OP_COMPARE:
      return compare(job);
    case OP_COMPARE_PATTERN:
      return comparePattern(job);
    case OP_CREATE_DELTA:
      return createDelta(job);
    case OP_APPLY_DELTA:
      return applyDelta(job);
    case OP_DUALCAST:
      return dualcast(job);
    case OP_CRC:
      return crc(job, false);
    case OP_COPY_CRC:
      return crc(job, true);
    case OP_CACHE_FLUSH:
      return cacheFlush(job);
    default:
      return true;
  }
}

const PAGE = 4096;

function memmove(job: Job): boolean {
  if (movesBackward(job)) return memmoveBackward(job);
  const size = job.word(D_SIZE);
  const t = job.transfer;
  while (job.done < size) {
    const n = Math.min(CHUNK, size - job.done);
    const got = t.fetch(D_SRC, job.done, t.first, 0, n);
    const put = t.store(D_DST, job.done, t.first, 0, got);
    job.done += put;
    if (put < n) return false;
  }
  return true;
}

/** The destination begins inside the source. */
function movesBackward(job: Job): boolean {
  const lo = (job.word(D_DST) - job.word(D_SRC)) >>> 0;
  const borrow = job.word(D_DST) < job.word(D_SRC) ? 1 : 0;
  const hi = (job.word(D_DST + 1) - job.word(D_SRC + 1) - borrow) | 0;
  return hi === 0 && lo !== 0 && lo < job.word(D_SIZE);
}

/** From the end; pieces stay inside a page of either side, so that each is done whole or not at all. */
function memmoveBackward(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  job.result = 1;
  while (job.done < size) {
    const end = size - job.done;
    const n = Math.min(end, inPageBefore(job.word(D_SRC) + end), inPageBefore(job.word(D_DST) + end));
    const at = end - n;
    if (t.fetch(D_SRC, at, t.first, 0, n) < n || t.store(D_DST, at, t.first, 0, n) < n) return false;
    job.done += n;
  }
  return true;
}

/** Bytes of the page that lie before an address; a whole page at its end. */
function inPageBefore(address: number): number {
  return ((address - 1) & (PAGE - 1)) + 1;
}

function fill(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  patternInto(t.first, job.word(D_SRC), job.word(D_SRC + 1), Math.min(size, CHUNK));
  while (job.done < size) {
    const n = Math.min(CHUNK - 8, size - job.done);
    const put = t.store(D_DST, job.done, t.first, job.done & 7, n);
    job.done += put;
    if (put < n) return false;
  }
  return true;
}

function patternInto(buffer: Uint8Array, lo: number, hi: number, length: number): void {
  for (let i = 0; i < 4; i++) {
    buffer[i] = lo >>> (8 * i);
    buffer[i + 4] = hi >>> (8 * i);
  }
  const end = Math.min(buffer.length, (length + 15) & ~7);
  for (let n = 8; n < end; n *= 2) buffer.copyWithin(n, 0, Math.min(n, end - n));
}

function compare(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  while (job.done < size) {
    const n = Math.min(CHUNK, size - job.done);
    const first = t.fetch(D_SRC, job.done, t.first, 0, n);
    const both = t.fetch(D_DST, job.done, t.second, 0, first);
    if (differs(job, t, both)) return true;
    if (both < n) return false;
  }
  return true;
}

function comparePattern(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  patternInto(t.second, job.word(D_DST), job.word(D_DST + 1), Math.min(size, CHUNK));
  while (job.done < size) {
    // Pieces of whole patterns, so that the buffer of patterns stays in step.
    const n = Math.min(CHUNK - (job.done & 7), size - job.done);
    const got = t.fetch(D_SRC, job.done, t.first, 0, n);
    if (differs(job, t, got, job.done & 7)) return true;
    if (got < n) return false;
  }
  return true;
}

/** True: the first difference is at job.done now, and the result says so. */
function differs(job: Job, t: Transfer, n: number, phase = 0): boolean {
  for (let i = 0; i < n; i++) {
    if (t.first[i] === t.second[i + phase]) continue;
    job.done += i;
    job.result = 1;
    return true;
  }
  job.done += n;
  return false;
}

function dualcast(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  while (job.done < size) {
    const n = Math.min(CHUNK, size - job.done);
    const got = t.fetch(D_SRC, job.done, t.first, 0, n);
    const one = t.store(D_DST, job.done, t.first, 0, got);
    const both = t.store(D_OP, job.done, t.first, 0, one);
    job.done += both;
    if (both < n) return false;
  }
  return true;
}

const SEED_ADDRESS = D_OP + 2;

function crc(job: Job, copies: boolean): boolean {
  const flags = job.word(D_FLAGS);
  const plain = (flags & FLAG_OP1) !== 0;
  const unreflected = (flags & FLAG_OP2) !== 0;
  const t = job.transfer;
  if (job.done === 0) {
    if ((flags & FLAG_OP0) !== 0 && t.fetch(SEED_ADDRESS, 0, t.second, 0, 4) < 4) return false;
    const read = t.second[0]! | (t.second[1]! << 8) | (t.second[2]! << 16) | (t.second[3]! << 24);
    job.aux = crcBegin((flags & FLAG_OP0) !== 0 ? read : job.word(D_OP), plain);
  }
  const size = job.word(D_SIZE);
  while (job.done < size) {
    const n = Math.min(CHUNK, size - job.done);
    const got = t.fetch(D_SRC, job.done, t.first, 0, n);
    const did = copies ? t.store(D_DST, job.done, t.first, 0, got) : got;
    job.aux = crcUpdate(job.aux, t.first, 0, did, unreflected);
    job.done += did;
    job.specific = crcValue(job.aux, plain);
    if (did < n) return false;
  }
  return true;
}

/** Memory is coherent with everything here: what remains of a flush is that its addresses have to be good. */
function cacheFlush(job: Job): boolean {
  const size = job.word(D_SIZE);
  const t = job.transfer;
  while (job.done < size) {
    if (!t.touch(D_DST, job.done)) return false;
    const left = PAGE - ((job.word(D_DST) + job.done) & (PAGE - 1));
    job.done = Math.min(size, job.done + left);
  }
  return true;
}
