import { Writer } from './writer.ts';

export interface FuncType {
  readonly params: Uint8Array;
  readonly results: Uint8Array;
}

/** Function types the rewriter adds behind the module's own. */
export class TypePool {
  readonly base: number;
  private readonly added = new Map<string, number>();
  private readonly body = new Writer(64);

  constructor(base: number) {
    this.base = base;
  }

  get count(): number {
    return this.added.size;
  }

  intern(params: ArrayLike<number>, results: ArrayLike<number>): number {
    const key = `${Array.from(params).join()}>${Array.from(results).join()}`;
    const known = this.added.get(key);
    if (known !== undefined) return known;
    const index = this.base + this.added.size;
    this.added.set(key, index);
    this.body.u8(0x60);
    for (const list of [params, results]) {
      this.body.u32(list.length);
      for (let i = 0; i < list.length; i++) this.body.u8(list[i] as number);
    }
    return index;
  }

  emit(out: Writer): void {
    out.append(this.body);
  }
}
