/**
 * Tag as generation: every id (domain, ASID, ...) has a unique 32-bit tag which its cache rows carry. Dropping all rows of
 * an id is taking a new tag, dropping everything is raising the floor: both O(1) however many rows live. Rows with a dead
 * tag are overwritten in time.
 *
 * Tags are never used twice; when the 32-bit supply ends, every row is cleared and counting starts again.
 */
export class GenerationTags {
  readonly #table: Uint32Array;
  /** [next tag - 1, first tag that is alive]: zero-filled state is the fresh state. */
  readonly #counters: Uint32Array;
  readonly #rows: readonly Uint32Array[];
  readonly #onWrap: () => void;

  constructor(
    table: Uint32Array,
    counters: Uint32Array,
    rows: readonly Uint32Array[],
    onWrap: () => void = () => {},
  ) {
    this.#table = table;
    this.#counters = counters;
    this.#rows = rows;
    this.#onWrap = onWrap;
  }

  /** The tag of `id`, a new one if it has none that is alive. Never 0. */
  tagOf(id: number): number {
    const tag = this.#table[id]!;
    return tag > this.#counters[1]! ? tag : this.#take(id);
  }

  /** True when `tag` is what `id` carries now; asks without taking a tag. */
  isLive(id: number, tag: number): boolean {
    return this.#table[id] === tag && tag > this.#counters[1]!;
  }

  /** The tag of `id` if it has one that is alive, else 0. */
  peek(id: number): number {
    const tag = this.#table[id]!;
    return tag > this.#counters[1]! ? tag : 0;
  }

  renew(id: number): void {
    this.#table[id] = 0;
  }

  renewFrom(id: number, count: number): void {
    this.#table.fill(0, id, id + count);
  }

  renewAll(): void {
    this.#counters[1] = this.#counters[0]!;
  }

  /** A tag that no id has. */
  next(): number {
    if (this.#counters[0] === 0xffffffff) this.#wrap();
    const tag = this.#counters[0]! + 1;
    this.#counters[0] = tag;
    return tag;
  }

  /** The tag taken last: tags taken from now on are larger. */
  get last(): number {
    return this.#counters[0]!;
  }

  /** Tags up to this one are dead. */
  get floor(): number {
    return this.#counters[1]!;
  }

  #take(id: number): number {
    const tag = this.next();
    this.#table[id] = tag;
    return tag;
  }

  #wrap(): void {
    this.#table.fill(0);
    this.#counters.fill(0);
    for (const rows of this.#rows) rows.fill(0);
    this.#onWrap();
  }
}
