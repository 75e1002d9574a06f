/** Tables of the binary format: what follows an opcode, and what each memory instruction means. */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
export const EXTERNREF = 0x6f;
export const EXNREF = 0x69;
export const VOID = 0x40;

/** Single-byte opcodes that the rewriter emits or asks for by name. */
export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  try: 0x06,
  catch: 0x07,
  throw: 0x08,
  rethrow: 0x09,
  throw_ref: 0x0a,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  return_call: 0x12,
  return_call_indirect: 0x13,
  delegate: 0x18,
  catch_all: 0x19,
  drop: 0x1a,
  try_table: 0x1f,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  global_get: 0x23,
  global_set: 0x24,
  i32_load: 0x28,
  i32_load8_u: 0x2d,
  i64_load32_u: 0x35,
  memory_size: 0x3f,
  memory_grow: 0x40,
  i32_const: 0x41,
  i64_const: 0x42,
  i32_eqz: 0x45,
  i32_ne: 0x47,
  i32_gt_u: 0x4b,
  i32_le_u: 0x4d,
  i64_lt_s: 0x53,
  i64_eq: 0x51,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_shr_u: 0x76,
  i32_rotr: 0x78,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_shl: 0x86,
  i64_shr_u: 0x88,
  i32_wrap_i64: 0xa7,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  i32_reinterpret_f32: 0xbc,
  i64_reinterpret_f64: 0xbd,
  f32_reinterpret_i32: 0xbe,
  f64_reinterpret_i64: 0xbf,
  ref_func: 0xd2,
  prefix_fc: 0xfc,
  simd: 0xfd,
  atomic: 0xfe,
} as const;

/** What follows an opcode byte. SPECIAL ones are handled one by one. */
export const IMM = {
  invalid: 0,
  none: 1,
  leb1: 2,
  leb2: 3,
  i64: 4,
  bytes4: 5,
  bytes8: 6,
  access: 7,
  special: 8,
  gc: 9,
} as const;

function immediates(): Uint8Array {
  const table = new Uint8Array(256);
  const set = (from: number, to: number, kind: number): void => {
    table.fill(kind, from, to + 1);
  };
  set(0x00, 0x13, IMM.special);
  table[0x01] = IMM.none; // nop
  set(0x14, 0x15, IMM.gc); // call_ref, return_call_ref
  table[OP.delegate] = IMM.special;
  table[OP.catch_all] = IMM.special;
  set(0x1a, 0x1b, IMM.none); // drop, select
  table[0x1c] = IMM.special; // select t*
  table[OP.try_table] = IMM.special;
  set(0x20, 0x26, IMM.leb1); // local.*, global.*, table.get, table.set
  set(0x28, 0x3e, IMM.access);
  set(OP.memory_size, OP.i32_const, IMM.special);
  table[OP.i64_const] = IMM.i64;
  table[0x43] = IMM.bytes4;
  table[0x44] = IMM.bytes8;
  set(0x45, 0xc4, IMM.none);
  table[0xd0] = IMM.special; // ref.null
  table[0xd1] = IMM.none; // ref.is_null
  table[OP.ref_func] = IMM.special;
  set(0xd3, 0xd6, IMM.gc); // ref.eq, ref.as_non_null, br_on_null, br_on_non_null
  table[0xfb] = IMM.gc;
  set(0xfc, 0xfe, IMM.special);
  return table;
}

export const IMMEDIATES = immediates();

export const CLS = { load: 0, store: 1, loadLane: 2, storeLane: 3, atomic: 4 } as const;

/** How a slow load's i32 becomes the instruction's result: opcode bytes after the import call; `wide` loads first join hi. */
export interface Access {
  readonly cls: number;
  /** Bytes in memory. */
  readonly width: number;
  /** Value type of the result (loads) or of the operand (stores). */
  readonly type: number;
  readonly tail: readonly number[];
  /** atomic only: operation index (see ATOMIC) and number of value operands. */
  readonly op: number;
  readonly operands: number;
}

/** Groups of the 0xFE opcodes, seven instructions each. */
export const ATOMIC = {
  load: 0,
  store: 1,
  add: 2,
  sub: 3,
  and: 4,
  or: 5,
  xor: 6,
  xchg: 7,
  cmpxchg: 8,
  notify: 9,
  wait: 10,
} as const;

export const KEY_SIMD = 0x100;
export const KEY_ATOMIC = 0x200;

/** By access key: plain opcodes as they are, 0xFD and 0xFE ones behind KEY_SIMD and KEY_ATOMIC. */
export const ACCESS: readonly (Access | undefined)[] = accesses();

function accesses(): (Access | undefined)[] {
  const table: (Access | undefined)[] = new Array(0x300).fill(undefined);
  const put = (key: number, cls: number, width: number, type: number, ...tail: number[]): void => {
    table[key] = { cls, width, type, tail, op: 0, operands: 0 };
  };
  plainAccesses(put);
  simdAccesses(put);
  const forms: readonly [number, number][] = [
    [I32, 4],
    [I64, 8],
    [I32, 1],
    [I32, 2],
    [I64, 1],
    [I64, 2],
    [I64, 4],
  ];
  for (let op = ATOMIC.load; op <= ATOMIC.cmpxchg; op++) {
    const operands = op === ATOMIC.load ? 0 : op === ATOMIC.cmpxchg ? 2 : 1;
    forms.forEach(([type, width], i) => {
      table[KEY_ATOMIC + 0x10 + op * 7 + i] = { cls: CLS.atomic, width, type, tail: [], op, operands };
    });
  }
  table[KEY_ATOMIC] = { cls: CLS.atomic, width: 4, type: I32, tail: [], op: ATOMIC.notify, operands: 1 };
  table[KEY_ATOMIC + 1] = { cls: CLS.atomic, width: 4, type: I32, tail: [], op: ATOMIC.wait, operands: 2 };
  table[KEY_ATOMIC + 2] = { cls: CLS.atomic, width: 8, type: I64, tail: [], op: ATOMIC.wait, operands: 2 };
  return table;
}

type Put = (key: number, cls: number, width: number, type: number, ...tail: number[]) => void;

function plainAccesses(put: Put): void {
  const { load, store } = CLS;
  put(0x28, load, 4, I32);
  put(0x29, load, 8, I64);
  put(0x2a, load, 4, F32, OP.f32_reinterpret_i32);
  put(0x2b, load, 8, F64, OP.f64_reinterpret_i64);
  put(0x2c, load, 1, I32, 0xc0); // i32.extend8_s
  put(0x2d, load, 1, I32);
  put(0x2e, load, 2, I32, 0xc1); // i32.extend16_s
  put(0x2f, load, 2, I32);
  put(0x30, load, 1, I64, OP.i64_extend_i32_u, 0xc2); // i64.extend8_s
  put(0x31, load, 1, I64, OP.i64_extend_i32_u);
  put(0x32, load, 2, I64, OP.i64_extend_i32_u, 0xc3); // i64.extend16_s
  put(0x33, load, 2, I64, OP.i64_extend_i32_u);
  put(0x34, load, 4, I64, OP.i64_extend_i32_s);
  put(0x35, load, 4, I64, OP.i64_extend_i32_u);
  put(0x36, store, 4, I32);
  put(0x37, store, 8, I64);
  put(0x38, store, 4, F32);
  put(0x39, store, 8, F64);
  put(0x3a, store, 1, I32);
  put(0x3b, store, 2, I32);
  put(0x3c, store, 1, I64);
  put(0x3d, store, 2, I64);
  put(0x3e, store, 4, I64);
}

function simdAccesses(put: Put): void {
  const splat64 = [OP.simd, 0x12];
  // The upper half becomes zero: i64.const 0, i64x2.replace_lane 1.
  const zeroUpper = [...splat64, OP.i64_const, 0, OP.simd, 0x1e, 1];
  const { load, store, loadLane, storeLane } = CLS;
  put(KEY_SIMD, load, 16, V128);
  // load8x8_s .. load32x2_u: splat, then iNxM.extend_low_*.
  [0x87, 0x89, 0xa7, 0xa9, 0xc7, 0xc9].forEach((extend, i) => {
    put(KEY_SIMD + 1 + i, load, 8, V128, ...splat64, OP.simd, extend, 1);
  });
  put(KEY_SIMD + 7, load, 1, V128, OP.simd, 0x0f);
  put(KEY_SIMD + 8, load, 2, V128, OP.simd, 0x10);
  put(KEY_SIMD + 9, load, 4, V128, OP.simd, 0x11);
  put(KEY_SIMD + 10, load, 8, V128, ...splat64);
  put(KEY_SIMD + 11, store, 16, V128);
  // replace_lane of i8x16, i16x8, i32x4, i64x2; then extract_lane of the same.
  put(KEY_SIMD + 0x54, loadLane, 1, V128, OP.simd, 0x17);
  put(KEY_SIMD + 0x55, loadLane, 2, V128, OP.simd, 0x1a);
  put(KEY_SIMD + 0x56, loadLane, 4, V128, OP.simd, 0x1c);
  put(KEY_SIMD + 0x57, loadLane, 8, V128, OP.simd, 0x1e);
  put(KEY_SIMD + 0x58, storeLane, 1, V128, OP.simd, 0x16);
  put(KEY_SIMD + 0x59, storeLane, 2, V128, OP.simd, 0x19);
  put(KEY_SIMD + 0x5a, storeLane, 4, V128, OP.simd, 0x1b);
  put(KEY_SIMD + 0x5b, storeLane, 8, V128, OP.simd, 0x1d);
  put(KEY_SIMD + 0x5c, load, 4, V128, OP.i64_extend_i32_u, ...zeroUpper);
  put(KEY_SIMD + 0x5d, load, 8, V128, ...zeroUpper);
}
