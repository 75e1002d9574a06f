import type { VtdConfig } from '../../viommu/vtd/config.ts';
import type { VtdIommu } from '../../viommu/vtd/device.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { DmaPort, NO_PASID } from '../../vmm/bus/dma.ts';
import type { Iommu } from '../../vmm/bus/iommu.ts';
import { completeOptions } from '../../vmm/bus/iommu.ts';
import { SystemMemory } from '../../vmm/bus/memory.ts';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { Rng } from '../../vmm/core/rng.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import type { SavedUnit } from '../../vmm/state/define.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { withUncountedMemory } from './uncounted-memory.ts';
import { SILENT_ENDPOINTS } from './vtd-machine.ts';

const RAM = 0x100_0000;

/** The page-request registers. */
const PAGES = [0xc0, 0xc8, 0xd0, 0xdc, 0xe0] as const;
/** Low bits of entries: paging entries, context entries of either mode, PASID-table entries of every type. */
const LEGACY_BITS = [1, 3, 7, 0x83, 5, 9, 0x11, 0] as const;
const SCALABLE_BITS = [1, 1, 3, 7, 0x27, 0x83, 0x1d, 0x1d, 0xe1d, 0x41, 0x85, 0xc5, 0x245, 0x101, 0] as const;

/** A unit that is handed nonsense. */
export class VtdTorment {
  readonly #rng: Rng;
  readonly #ram = withUncountedMemory(() => new GuestRam(0, RAM));
  readonly #mmio = new MmioBus();
  readonly #memory = new SystemMemory(this.#ram, this.#mmio);
  readonly #clock = new VirtualClock();
  readonly #base: number;
  readonly device: VtdIommu;
  readonly #iommu: Iommu;
  readonly #ports: DmaPort[];
  readonly #bytes = new Uint8Array(8192);
  readonly #scalable: boolean;
  delivered = 0;
  faults = 0;
  responses = 0;

  constructor(options: Partial<VtdConfig>, seed: number) {
    this.#rng = new Rng(seed);
    const config = completeOptions(INTEL_IOMMU, options);
    this.#base = config.base;
    this.#scalable = config.svm || config['scalable-mode'];
    const iommu = INTEL_IOMMU.create(config, {
      id: 'iommu0',
      memory: this.#memory,
      clock: this.#clock,
      tracer: new Tracer(() => this.#clock.now),
      interrupts: { deliver: () => this.delivered++ },
      onFault: () => this.faults++,
      provenance: { lastWriter: () => undefined, here: () => undefined },
      endpoints: {
        ...SILENT_ENDPOINTS,
        invalidate: () => this.#rng.below(8) >>> 1,
        pageResponse: (requester, _pasid, group) => this.#answered(requester, group),
      },
    });
    this.#iommu = iommu;
    this.device = iommu.device as VtdIommu;
    for (const range of iommu.mmio) this.#mmio.add(range);
    this.#ports = [0x00, 0x08, 0x10, 0xff, 0x100, 0xffff].map(
      (sid) => new DmaPort(`dev${sid}`, sid, iommu.translator, this.#memory),
    );
    for (const port of this.#ports) port.enabled = true;
  }

  /** Does one random thing. */
  step(): void {
    const kind = this.#rng.below(16);
    if (kind < 5) this.#register();
    else if (kind < 8) this.#table();
    else if (kind < 13) this.#request();
    else if (kind === 13) this.#pageRequest();
    else if (kind === 14) this.#queue();
    else this.#time();
  }

  /** A function that is answered may do anything: ask for another page, or write to the unit's registers. */
  #answered(requester: number, group: number): void {
    this.responses++;
    const port = this.#ports.find((p) => p.requester === requester);
    if (port === undefined) return;
    if (this.#rng.below(4) === 0) port.pageRequest(group << 12, 0, 1, group, this.#rng.below(8) !== 0);
    if (this.#rng.below(8) === 0) this.#register();
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#rng.below(list.length)]!;
  }

  #value(): number {
    const rng = this.#rng;
    switch (rng.below(6)) {
      case 0:
        return 0;
      case 1:
        return 0xffffffff;
      case 2:
        // Addresses of tables; as the root table's, of either mode.
        return (rng.below(64) << 12) | (rng.below(2) << 10) | rng.below(16);
      case 3:
        return (1 << rng.below(32)) >>> 0;
      case 4:
        return this.#pick([0xc7000000, 0xc6800000, 0x86000000, 0x44000000, 0x04000000]);
      default:
        return rng.next();
    }
  }

  #register(): void {
    const rng = this.#rng;
    const size = this.#pick([4, 4, 4, 8, 8, 1, 2] as const);
    let offset = rng.below(8) === 0 ? rng.below(4096) : rng.below(0x240 / 4) * 4;
    if (rng.below(3) === 0)
      offset = this.#pick([0x18, 0x18, 0x20, 0x28, 0x34, 0x38, 0x88, 0x90, 0xa0, 0xb8, 0xf0, 0xf8, ...PAGES]);
    if (offset + size > 4096) offset = 4096 - size;
    if (rng.below(3) === 0) this.#mmio.read(this.#base + offset, size);
    else
      this.#mmio.write(this.#base + offset, size, this.#value() >>> 0, size === 8 ? this.#value() >>> 0 : 0);
  }

  /** Entries of every kind look alike: an address in the first 64 pages and a few low bits, sometimes anything. */
  #table(): void {
    const rng = this.#rng;
    const at = rng.below(64 * 4096) & ~7;
    const lo =
      rng.below(4) === 0
        ? this.#value()
        : (rng.below(64) << 12) | this.#pick(this.#scalable ? SCALABLE_BITS : LEGACY_BITS);
    const hi = rng.below(4) === 0 ? this.#value() : rng.below(8);
    this.#ram.u32[at >>> 2] = lo >>> 0;
    this.#ram.u32[(at >>> 2) + 1] = hi >>> 0;
    this.#ram.wrote(at, 8);
  }

  #request(): void {
    const rng = this.#rng;
    const port = this.#pick(this.#ports);
    port.at = rng.below(6) === 0 ? rng.below(3) : 0;
    port.pasid = this.#pasid();
    port.privileged = rng.below(8) === 0;
    const hi = this.#pick([0, 0, 0, 0x7f, 0xffff, rng.next()]);
    let lo = rng.below(3) === 0 ? rng.next() : rng.below(256 << 12);
    if (rng.below(8) === 0) lo = (0xfee00000 | rng.below(1 << 20)) >>> 0;
    switch (rng.below(6)) {
      case 0:
        port.read(lo, hi, this.#bytes, 0, 1 + rng.below(8192));
        break;
      case 1:
        rng.fill(this.#bytes.subarray(0, 64));
        port.write(lo, hi, this.#bytes, 0, 1 + rng.below(256));
        break;
      case 2:
        port.message(lo, 0, rng.below(4) === 0 ? rng.next() : rng.below(256));
        break;
      case 3:
        this.#iommu.explain(port, lo, hi, rng.below(4));
        break;
      default:
        port.translate(lo, hi, rng.below(8));
    }
    port.at = 0;
    port.pasid = NO_PASID;
  }

  #pasid(): number {
    const rng = this.#rng;
    if (rng.below(this.#scalable ? 2 : 16) !== 0) return NO_PASID;
    return rng.below(4) === 0 ? rng.below(1 << 20) : rng.below(4);
  }

  #pageRequest(): void {
    const rng = this.#rng;
    const port = this.#pick(this.#ports);
    port.pasid = this.#pasid();
    if (rng.below(4) === 0) port.invalidationComplete(rng.below(4));
    else
      port.pageRequest(
        rng.next(),
        rng.below(2) === 0 ? 0 : rng.next(),
        rng.below(8),
        rng.below(512),
        rng.below(2) === 0,
      );
    port.pasid = NO_PASID;
  }

  /** A queue that runs: a valid base and tail, descriptors mostly of known types. */
  #queue(): void {
    const rng = this.#rng;
    const page = rng.below(64) << 12;
    const wide = this.#scalable && rng.below(8) !== 0;
    const width = wide ? 32 : 16;
    const count = rng.below(4096 / width);
    for (let i = 0; i < count; i += 1 + rng.below(4)) {
      const at = (page + i * width) >>> 2;
      this.#ram.u32[at] = ((1 + rng.below(10)) | (rng.below(4) << 4) | (rng.below(8) << 16)) >>> 0;
      this.#ram.u32[at + 1] = rng.below(2) === 0 ? rng.below(4) : rng.below(0x20000);
      this.#ram.u32[at + 2] = rng.below(2) === 0 ? 0 : (rng.below(4096) << 12) | rng.below(20);
      this.#ram.u32[at + 3] = rng.below(4) === 0 ? rng.below(16) : 0;
      if (wide && rng.below(16) !== 0) this.#ram.u32.fill(0, at + 4, at + 8);
    }
    this.#ram.wrote(page, 4096);
    const write = (offset: number, value: number) => this.#mmio.write(this.#base + offset, 8, value, 0);
    write(0x90, page | (wide ? 0x800 : 0) | rng.below(3));
    this.#mmio.write(this.#base + 0x34, 4, 0x70, 0);
    this.#mmio.write(
      this.#base + 0x18,
      4,
      (this.#mmio.read(this.#base + 0x1c, 4) & 0x96ffffff) | 0x04000000,
      0,
    );
    write(0x88, count * width);
  }

  #time(): void {
    this.#clock.advanceTo(this.#clock.now + this.#rng.below(100_000));
    if (this.#rng.below(500) === 0) this.device.dropCache();
    if (this.#rng.below(500) === 0)
      for (const view of this.#iommu.views) JSON.stringify([view.text(), view.json()]);
    if (this.#rng.below(2000) === 0) this.device.reset(this.#pick(['cold', 'warm', 'flr'] as const));
  }

  /** What came out of the unit so far. */
  seen(): readonly number[] {
    return [this.faults, this.delivered, this.responses, this.#clock.now];
  }

  save(): SavedUnit {
    return this.device.stateDef().save(this.device.s);
  }

  load(unit: SavedUnit): void {
    this.device.stateDef().load(this.device.s, unit, 'iommu0');
    this.device.dropCache();
  }
}
