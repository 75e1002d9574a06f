/**
 * RAM in a snapshot: only pages that are not all zero.
 *
 *     "TSVMRAM1"   u32 first page   u32 pages of RAM   u32 n      all little endian
 *     n x u32      page indexes from the first page, ascending
 *     n x 4096     their bytes
 */

const MAGIC = 'TSVMRAM1';
const HEAD = 20;
const PAGE = 4096;
const ZERO = Buffer.alloc(PAGE);

export function encodePages(memory: Uint8Array, base: number, end: number): Buffer {
  const source = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
  const used: number[] = [];
  for (let at = base; at < end; at += PAGE) {
    if (source.compare(ZERO, 0, PAGE, at, at + PAGE) !== 0) used.push((at - base) / PAGE);
  }
  const out = Buffer.allocUnsafe(HEAD + used.length * (4 + PAGE));
  out.write(MAGIC, 'latin1');
  out.writeUInt32LE(base / PAGE, 8);
  out.writeUInt32LE((end - base) / PAGE, 12);
  out.writeUInt32LE(used.length, 16);
  used.forEach((page, i) => void out.writeUInt32LE(page, HEAD + i * 4));
  const bytes = HEAD + used.length * 4;
  forEachRun(used, (from, count, first) => {
    source.copy(out, bytes + from * PAGE, base + first * PAGE, base + (first + count) * PAGE);
  });
  return out;
}

/** What is wrong with these bytes as the RAM of [base, end), or the pages they hold. */
export function pageIndexes(bytes: Uint8Array, base: number, end: number): string | number[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEAD || view.toString('latin1', 0, 8) !== MAGIC) return 'is no RAM image';
  const pages = (end - base) / PAGE;
  if (view.readUInt32LE(8) !== base / PAGE || view.readUInt32LE(12) !== pages)
    return 'is the RAM of a machine with other memory';
  const n = view.readUInt32LE(16);
  if (n > pages || view.length !== HEAD + n * (4 + PAGE)) return 'does not have the length its header gives';
  const used: number[] = [];
  for (let i = 0; i < n; i++) {
    const page = view.readUInt32LE(HEAD + i * 4);
    if (page >= pages || page <= (used[i - 1] ?? -1)) return `has a bad page index at entry ${i}`;
    used.push(page);
  }
  return used;
}

/** Writes all of [base, end); returns what is wrong with the bytes, before anything is written. */
export function decodePages(
  bytes: Uint8Array,
  memory: Uint8Array,
  base: number,
  end: number,
): string | undefined {
  const used = pageIndexes(bytes, base, end);
  if (typeof used === 'string') return used;
  clear(memory, base, end);
  const at = HEAD + used.length * 4;
  forEachRun(used, (from, count, first) => {
    memory.set(bytes.subarray(at + from * PAGE, at + (from + count) * PAGE), base + first * PAGE);
  });
  return undefined;
}

/** Zeroes what is not zero: memory that nobody has written to costs the host nothing as long as it stays so. */
function clear(memory: Uint8Array, base: number, end: number): void {
  const view = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
  for (let at = base; at < end; at += PAGE)
    if (view.compare(ZERO, 0, PAGE, at, at + PAGE) !== 0) view.fill(0, at, at + PAGE);
}

/** The 4096 bytes of the i-th page an image holds. */
export function pageBytes(bytes: Uint8Array, pages: number, i: number): Uint8Array {
  const at = HEAD + pages * 4 + i * PAGE;
  return bytes.subarray(at, at + PAGE);
}

/** Neighbouring pages at once: (place in the list, how many, page index of the first). */
function forEachRun(
  pages: readonly number[],
  visit: (from: number, count: number, first: number) => void,
): void {
  for (let i = 0; i < pages.length; ) {
    let n = 1;
    while (pages[i + n] === pages[i]! + n) n++;
    visit(i, n, pages[i]!);
    i += n;
  }
}
