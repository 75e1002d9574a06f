import { read16 } from '../../../devices/vconfig/capability-table.ts';
import type { Allocations } from '../kernel/allocations.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { IRQ, IRQS } from './abi.ts';
import { COMMAND_INTX_DISABLE, VirtualConfig } from './config-space.ts';
import { resetFunction, saveFunction } from './function-reset.ts';
import { Irqs } from './irqs.ts';
import { LowPower } from './low-power.ts';
import { Migration } from './migration.ts';
import type { PhysicalFunction } from './physical.ts';
import { capabilityAt, readSpace } from './raw-space.ts';
import { type MsixPlace, Regions } from './regions.ts';
import type { VfTokens } from './vf-token.ts';

const COMMAND = 4;
const BUS_MASTER = 4;
const PM_CSR = 4;
const D3_HOT = 3;
const NO_SOFT_RESET = 8;

/** A device while somebody uses it: all that its files share (Linux, vfio_pci_core.c: vfio_pci_core_enable and _disable). */
export class OpenDevice {
  readonly fn: PhysicalFunction;
  readonly allocations: Allocations;
  readonly config: VirtualConfig;
  readonly irqs: Irqs;
  readonly regions: Regions;
  readonly power: LowPower;
  readonly migration: Migration | undefined;
  /** Of a physical function with virtual ones. */
  readonly tokens: VfTokens | undefined;
  /** How many interrupts there are, by index. */
  readonly irqCounts: readonly number[];
  readonly msix: MsixPlace | undefined;
  logging = false;
  /** What power state D3 lost. */
  #restore: (() => void) | undefined;

  /** Takes the device over: reset, and without bus mastering. Throws ENOMEM. */
  constructor(fn: PhysicalFunction, allocations: Allocations, tokens: VfTokens | undefined) {
    allocations.take('config');
    this.fn = fn;
    this.allocations = allocations;
    this.tokens = tokens;
    fn.configWrite(COMMAND, 2, fn.configRead(COMMAND, 2) & ~BUS_MASTER);
    const [method] = fn.resets;
    if (method !== undefined) resetFunction(fn, method);
    fn.configWrite(COMMAND, 2, fn.configRead(COMMAND, 2) & ~COMMAND_INTX_DISABLE);
    const space = readSpace(fn);
    this.irqCounts = countIrqs(fn, space);
    this.msix = msixPlace(space);
    this.power = new LowPower(fn);
    this.config = new VirtualConfig(fn, {
      reset: () => this.#tryReset(),
      intxDisabled: (disabled) => this.irqs.intxDisabled(disabled),
      power: (state) => this.#setPower(state),
      msi: () => this.irqs.msi,
    });
    this.irqs = new Irqs(fn, allocations, this.irqCounts, () => this.config.intxDisabled);
    this.regions = new Regions(fn, this.config, this.msix, this.power);
    this.migration = fn.migration === undefined ? undefined : new Migration(fn.migration, allocations);
  }

  get resettable(): boolean {
    return this.fn.resets.length > 0;
  }

  /** VFIO_DEVICE_RESET. Throws EINVAL where nothing resets it. */
  reset(): void {
    demand(this.resettable, 'EINVAL', `${this.fn.name} has no way to be reset`);
    this.#setPower(0);
    this.#tryReset();
  }

  #tryReset(): void {
    const [method] = this.fn.resets;
    if (method === undefined) return;
    resetFunction(this.fn, method);
    this.afterReset();
  }

  /** The function was reset: what its driver had set up comes back. */
  afterReset(): void {
    this.irqs.restore();
    this.migration?.reset();
  }

  /** A device whose state D3 loses gets its registers back when it leaves D3. */
  #setPower(state: number): void {
    const { fn, power } = this;
    const pm = this.config.find('standard', 'pm');
    if (pm === undefined || state === power.state) return;
    if ((fn.enabledVirtual ?? 0) > 0 && state > 0) return;
    const control = fn.configRead(pm + PM_CSR, 2);
    const loses = (control & NO_SOFT_RESET) === 0;
    if (loses && state === D3_HOT) this.#restore = saveFunction(fn);
    fn.configWrite(pm + PM_CSR, 2, (control & ~3) | state);
    const now = fn.configRead(pm + PM_CSR, 2) & 3;
    if (power.state === D3_HOT && now === 0) {
      this.#restore?.();
      this.#restore = undefined;
    }
    power.state = now;
  }

  /** Throws EINVAL where it logs already. */
  startLog(ranges: readonly { readonly start: bigint; readonly last: bigint }[], pageSize: bigint): bigint {
    const log = this.fn.dmaLog ?? refuse('ENOTTY', 'the device does not log DMA');
    demand(!this.logging, 'EINVAL', 'DMA is logged already');
    this.allocations.take('log');
    try {
      const size = log.start(ranges, pageSize);
      this.logging = true;
      return size;
    } catch (cause) {
      this.allocations.give('log');
      throw cause;
    }
  }

  /** Success also where nothing is logged. */
  stopLog(): void {
    if (!this.logging) return;
    this.fn.dmaLog?.stop();
    this.logging = false;
    this.allocations.give('log');
  }

  /** Gives the device back: awake, without interrupts and bus mastering, reset. */
  close(): void {
    const { fn } = this;
    this.power.end();
    this.#setPower(0);
    fn.configWrite(COMMAND, 2, fn.configRead(COMMAND, 2) & ~BUS_MASTER);
    this.irqs.end();
    this.stopLog();
    this.migration?.end();
    const [method] = fn.resets;
    if (method !== undefined) resetFunction(fn, method);
    this.allocations.give('config');
  }
}

function countIrqs(fn: PhysicalFunction, space: Uint8Array): readonly number[] {
  const at = (key: string) => capabilityAt(space, key);
  const counts = new Array<number>(IRQS).fill(0);
  const [msi, msix] = [at('msi'), at('msix')];
  counts[IRQ.INTX] = fn.virtual === undefined && space[0x3d] !== 0 ? 1 : 0;
  if (msi !== undefined) counts[IRQ.MSI] = 1 << ((read16(space, msi + 2) >> 1) & 7);
  if (msix !== undefined) counts[IRQ.MSIX] = (read16(space, msix + 2) & 0x7ff) + 1;
  counts[IRQ.ERR] = at('pcie') === undefined ? 0 : 1;
  counts[IRQ.REQ] = 1;
  return counts;
}

function msixPlace(space: Uint8Array): MsixPlace | undefined {
  const msix = capabilityAt(space, 'msix');
  if (msix === undefined) return undefined;
  const table = new DataView(space.buffer).getUint32(msix + 4, true);
  const start = table & ~7;
  return { bar: table & 7, start, end: start + ((read16(space, msix + 2) & 0x7ff) + 1) * 16 };
}
