/** What a range in a device-TLB descriptor means: its aligned start is lo, hi. */
export class DeviceTlbRange {
  lo = 0;
  hi = 0;
  /** log2 of its pages; 52 for everything. */
  order = 0;

  /** S = 0 is one page; else the lowest 0 bit of ADDR[63:12] gives the size. */
  decode(lo: number, hi: number, larger: boolean): void {
    const order = larger ? rangeOrder(lo, hi) : 0;
    this.order = order;
    this.lo = order >= 20 ? 0 : (lo & (-4096 << order)) >>> 0;
    this.hi = order < 20 ? hi >>> 0 : order >= 52 ? 0 : (hi & (-1 << (order - 20))) >>> 0;
  }
}

function rangeOrder(lo: number, hi: number): number {
  let order = 1;
  for (let bit = 12; bit < 64; bit++, order++) {
    const set = bit < 32 ? (lo >>> bit) & 1 : (hi >>> (bit - 32)) & 1;
    if (set === 0) break;
  }
  return Math.min(order, 52);
}
