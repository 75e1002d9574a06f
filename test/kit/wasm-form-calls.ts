import type { AccessForm } from './wasm-access-forms.ts';
import { i32c, leb, mem, T, type WasmBuilder } from './wasm-builder.ts';

/** What the fuzz tests of access forms have in common: functions of one access, their arguments and results, random values. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }
  u32(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }
  below(n: number): number {
    return this.u32() % n;
  }
  pick<V>(list: readonly V[]): V {
    return list[this.below(list.length)]!;
  }
  u128(): bigint {
    let value = 0n;
    for (let i = 0; i < 4; i++) value = (value << 32n) | BigInt(this.u32());
    return value;
  }
}

export type Guest = Record<string, (...args: (number | bigint)[]) => unknown>;

/** What memory.init takes its bytes from. */
export const SEGMENT = Uint8Array.from({ length: 9000 }, (_, i) => (i * 7) & 255);

export interface FormCall {
  readonly off: number;
  readonly lane: number;
  /** The address, in place of the first argument. */
  readonly constant?: number;
  /** The access says that it is aligned, as atomic ones must. */
  readonly natural?: boolean;
}

export function widthOf(form: AccessForm): number {
  if (form.name.endsWith('notify')) return 4;
  const digits = /(?:load|store|rmw|wait)(\d+)(x\d)?/.exec(form.name);
  if (digits !== null) return digits[2] === undefined ? Number(digits[1]) / 8 : 8;
  if (form.name.startsWith('v128')) return 16;
  return form.name.includes('64') ? 8 : 4;
}

/** A function of one access. Values cross the boundary as integers, so that no NaN is quietened on the way. */
export function addForm(builder: WasmBuilder, name: string, form: AccessForm, call: FormCall): void {
  const params: number[] = [T.i32];
  const body: number[] = call.constant === undefined ? [0x20, 0] : i32c(call.constant);
  for (const type of form.operands) {
    const local = params.length;
    if (type === T.v128) {
      params.push(T.i64, T.i64);
      body.push(0x20, local, 0xfd, 0x12, 0x20, local + 1, 0xfd, 0x1e, 1);
    } else {
      params.push(type === T.f32 ? T.i32 : type === T.f64 ? T.i64 : type);
      body.push(0x20, local);
      if (type === T.f32) body.push(0xbe);
      if (type === T.f64) body.push(0xbf);
    }
  }
  const aligned = call.natural === true || form.opcode[0] === 0xfe;
  body.push(...mem(form.opcode, call.off, aligned ? Math.log2(widthOf(form)) : 0));
  if (form.lane) body.push(call.lane);
  if (form.result === T.v128) {
    const local = params.length;
    body.push(0x22, local, 0xfd, 0x1d, 0, 0x20, local, 0xfd, 0x1d, 1);
    builder.func(params, [T.i64, T.i64], body, { name, locals: [T.v128] });
    return;
  }
  const type = form.result === T.f32 ? T.i32 : form.result === T.f64 ? T.i64 : form.result;
  if (form.result === T.f32) body.push(0xbc);
  if (form.result === T.f64) body.push(0xbd);
  builder.func(params, type === undefined ? [] : [type], body, { name });
}

/** Functions `copy`, `fill` and `init` of three arguments, and the segment. */
export function addBulk(builder: WasmBuilder): void {
  builder.dataCount = true;
  builder.data.push([1, ...leb(SEGMENT.length), ...SEGMENT]);
  const three = [0x20, 0, 0x20, 1, 0x20, 2];
  const params = [T.i32, T.i32, T.i32];
  builder.func(params, [], [...three, 0xfc, 10, 0, 0], { name: 'copy' });
  builder.func(params, [], [...three, 0xfc, 11, 0], { name: 'fill' });
  builder.func(params, [], [...three, 0xfc, 8, 0, 0], { name: 'init' });
}

export function argument(type: number, bits: bigint): (number | bigint)[] {
  if (type === T.v128) return [BigInt.asIntN(64, bits), BigInt.asIntN(64, bits >> 64n)];
  if (type === T.i64 || type === T.f64) return [BigInt.asIntN(64, bits)];
  return [Number(BigInt.asIntN(32, bits))];
}

export function resultBits(type: number | undefined, value: unknown): bigint | undefined {
  if (type === undefined) return undefined;
  if (type === T.v128) {
    const [lo, hi] = value as [bigint, bigint];
    return BigInt.asUintN(64, lo) | (BigInt.asUintN(64, hi) << 64n);
  }
  if (typeof value === 'bigint') return BigInt.asUintN(64, value);
  return BigInt((value as number) >>> 0);
}

export function typeBits(type: number): number {
  if (type === T.v128) return 128;
  return type === T.i64 || type === T.f64 ? 64 : 32;
}
