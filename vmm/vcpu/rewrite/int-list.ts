/** A growing list of u32. */
export class IntList {
  values: Uint32Array;
  length = 0;

  constructor(capacity = 256) {
    this.values = new Uint32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Uint32Array(this.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  at(index: number): number {
    return this.values[index] as number;
  }

  clear(): void {
    this.length = 0;
  }

  toArray(): Uint32Array<ArrayBuffer> {
    return this.values.slice(0, this.length) as Uint32Array<ArrayBuffer>;
  }
}
