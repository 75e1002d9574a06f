import { Bug } from '../../core/errors.ts';
import type { PhysicalFunction, ResetMethod } from '../vfio/physical.ts';

const COMMAND = 4;
/** Memory and I/O decode, bus mastering, INTx disable. */
const COMMAND_WRITABLE = 0x0407;
const BARS = 6;

/**
 * A function of which only a dump of its configuration space is there. LIMIT: it has no registers behind BARs, sends nothing, and of
 * its configuration space only the Command register can be written.
 */
export class DumpedFunction implements PhysicalFunction {
  readonly name: string;
  readonly segment = 0;
  readonly bus: number;
  readonly devfn: number;
  readonly configBytes: number;
  readonly bars = new Array<undefined>(BARS).fill(undefined);
  readonly hi = 0;
  readonly resets: readonly ResetMethod[] = [];
  readonly #space: DataView;

  constructor(name: string, routingId: number, space: Uint8Array) {
    this.name = name;
    this.bus = routingId >>> 8;
    this.devfn = routingId & 0xff;
    this.configBytes = space.length;
    this.#space = new DataView(space.slice().buffer);
  }

  configRead(offset: number, size: number): number {
    if (offset + size > this.configBytes) return 2 ** (8 * size) - 1;
    if (size === 1) return this.#space.getUint8(offset);
    return size === 2 ? this.#space.getUint16(offset, true) : this.#space.getUint32(offset, true);
  }

  configWrite(offset: number, size: number, value: number): void {
    if (offset > COMMAND + 1 || offset + size <= COMMAND) return;
    const shift = 8 * (offset - COMMAND);
    const mask = (2 ** (8 * size) - 1) * 2 ** Math.max(shift, 0);
    const written = shift < 0 ? Math.floor(value / 2 ** -shift) : value * 2 ** shift;
    const old = this.#space.getUint16(COMMAND, true);
    const bits = COMMAND_WRITABLE & (shift < 0 ? 0xffff : mask);
    this.#space.setUint16(COMMAND, (old & ~bits) | (written & bits), true);
  }

  barRead(): number {
    return 0xffff_ffff;
  }

  barWrite(): void {}

  connect(): void {}

  enableMessages(): void {}

  armMessage(): void {}

  disableMessages(): void {}

  reset(method: ResetMethod): void {
    throw new Bug(`${this.name} never said that it has ${method}`);
  }
}
