import { leb, T } from './wasm-builder.ts';

/** Every instruction that touches memory: its name in the WebAssembly specification, its encoding, its operand types. */
export interface AccessForm {
  readonly name: string;
  readonly opcode: readonly number[];
  /** After the address. */
  readonly operands: readonly number[];
  readonly result: number | undefined;
  readonly lane: boolean;
}

const PLAIN =
  'i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load8_s i64.load8_u ' +
  'i64.load16_s i64.load16_u i64.load32_s i64.load32_u i32.store i64.store f32.store f64.store i32.store8 i32.store16 ' +
  'i64.store8 i64.store16 i64.store32';

const SIMD: Readonly<Record<number, string>> = Object.fromEntries([
  ...(
    'load load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u load8_splat load16_splat load32_splat ' +
    'load64_splat store'
  )
    .split(' ')
    .map((name, i) => [i, name]),
  ...(
    'load8_lane load16_lane load32_lane load64_lane store8_lane store16_lane store32_lane store64_lane load32_zero ' +
    'load64_zero'
  )
    .split(' ')
    .map((name, i) => [84 + i, name]),
]);

const ATOMIC_OPS = ['load', 'store', 'add', 'sub', 'and', 'or', 'xor', 'xchg', 'cmpxchg'] as const;
const ATOMIC_TYPES: readonly (readonly [string, string])[] = [
  ['i32', ''],
  ['i64', ''],
  ['i32', '8'],
  ['i32', '16'],
  ['i64', '8'],
  ['i64', '16'],
  ['i64', '32'],
];

function valueType(name: string): number {
  return T[name.slice(0, name.indexOf('.')) as keyof typeof T];
}

function plain(): AccessForm[] {
  return PLAIN.split(' ').map((name, i) => {
    const store = name.includes('store');
    const type = valueType(name);
    return {
      name,
      opcode: [0x28 + i],
      operands: store ? [type] : [],
      result: store ? undefined : type,
      lane: false,
    };
  });
}

function simd(): AccessForm[] {
  return Object.entries(SIMD).map(([code, name]) => {
    const lane = name.endsWith('_lane');
    const store = name.startsWith('store');
    return {
      name: `v128.${name}`,
      opcode: [0xfd, ...leb(Number(code))],
      operands: lane || store ? [T.v128] : [],
      result: store ? undefined : T.v128,
      lane,
    };
  });
}

function atomics(): AccessForm[] {
  const forms: AccessForm[] = [];
  let code = 0x10;
  for (const op of ATOMIC_OPS) {
    for (const [type, bits] of ATOMIC_TYPES) {
      const rmw = op === 'load' || op === 'store' ? `${op}${bits}` : `rmw${bits}.${op}`;
      const suffix = bits !== '' && op !== 'store' ? '_u' : '';
      const t = T[type as 'i32' | 'i64'];
      forms.push({
        name: `${type}.atomic.${rmw}${suffix}`,
        opcode: [0xfe, code++],
        operands: op === 'load' ? [] : op === 'cmpxchg' ? [t, t] : [t],
        result: op === 'store' ? undefined : t,
        lane: false,
      });
    }
  }
  forms.push(
    { name: 'memory.atomic.notify', opcode: [0xfe, 0], operands: [T.i32], result: T.i32, lane: false },
    { name: 'memory.atomic.wait32', opcode: [0xfe, 1], operands: [T.i32, T.i64], result: T.i32, lane: false },
    { name: 'memory.atomic.wait64', opcode: [0xfe, 2], operands: [T.i64, T.i64], result: T.i32, lane: false },
  );
  return forms;
}

export const ACCESS_FORMS: readonly AccessForm[] = [...plain(), ...simd(), ...atomics()];
