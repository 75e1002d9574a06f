import { type HiddenLayout, PAGE_SIZE } from '../../mem/layout.ts';
import { bodyWriter, constant, op1 } from './helpers.ts';
import { I32, OP, VOID } from './opcodes.ts';

const LOCAL_DST = 0;
const LOCAL_SRC = 1;
const LOCAL_LEN = 2;
const LOCAL_DST_ENTRY = 3;
const LOCAL_SRC_ENTRY = 4;
const INDEX_ROTATE = 10;
const INDEX_MASK = 0x3ffffc;

/**
 * memory.copy and memory.fill of a user process, (dst, src | value, len): straight when neither range leaves its page and both
 * pages are in the tables, else the host.
 */
export function mmuBulkBody(kind: 'copy' | 'fill', layout: HiddenLayout, host: number): Uint8Array {
  const out = bodyWriter([2, I32]);
  const withinPage = (local: number): void => {
    op1(out, OP.local_get, local);
    constant(out, PAGE_SIZE - 1);
    out.u8(OP.i32_and);
    op1(out, OP.local_get, LOCAL_LEN);
    out.u8(OP.i32_add);
    constant(out, PAGE_SIZE);
    out.u8(OP.i32_gt_u);
    op1(out, OP.br_if, 0);
  };
  const lookUp = (local: number, table: number, entry: number): void => {
    op1(out, OP.local_get, local);
    constant(out, INDEX_ROTATE);
    out.u8(OP.i32_rotr);
    constant(out, INDEX_MASK);
    out.u8x2(OP.i32_and, OP.i32_load);
    out.u8(2);
    out.u32(table);
    op1(out, OP.local_tee, entry);
    out.u8(OP.i32_eqz);
    op1(out, OP.br_if, 0);
  };
  const physical = (local: number, entry: number): void => {
    op1(out, OP.local_get, local);
    op1(out, OP.local_get, entry);
    out.u8(OP.i32_add);
    constant(out, 1);
    out.u8(OP.i32_add);
  };
  out.u8x2(OP.block, VOID);
  // A length of 4 GiB - x would wrap in the sum.
  op1(out, OP.local_get, LOCAL_LEN);
  constant(out, PAGE_SIZE);
  out.u8(OP.i32_gt_u);
  op1(out, OP.br_if, 0);
  withinPage(LOCAL_DST);
  lookUp(LOCAL_DST, layout.tlbWrite, LOCAL_DST_ENTRY);
  if (kind === 'copy') {
    withinPage(LOCAL_SRC);
    lookUp(LOCAL_SRC, layout.tlbRead, LOCAL_SRC_ENTRY);
  }
  physical(LOCAL_DST, LOCAL_DST_ENTRY);
  if (kind === 'copy') physical(LOCAL_SRC, LOCAL_SRC_ENTRY);
  else op1(out, OP.local_get, LOCAL_SRC);
  op1(out, OP.local_get, LOCAL_LEN);
  out.u8x2(OP.prefix_fc, kind === 'copy' ? 10 : 11);
  out.u8(0);
  if (kind === 'copy') out.u8(0);
  out.u8x2(OP.return, OP.end);
  for (const local of [LOCAL_DST, LOCAL_SRC, LOCAL_LEN]) op1(out, OP.local_get, local);
  op1(out, OP.call, host);
  out.u8(OP.end);
  return out.toBytes();
}

/** memory.init of one segment: the host has the bytes. */
export function mmuInitBody(segment: number, host: number): Uint8Array {
  const out = bodyWriter([]);
  for (const local of [LOCAL_DST, LOCAL_SRC, LOCAL_LEN]) op1(out, OP.local_get, local);
  constant(out, segment);
  op1(out, OP.call, host);
  out.u8(OP.end);
  return out.toBytes();
}
