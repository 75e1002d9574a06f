import type { DeviceView } from '../../vmm/bus/device.ts';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { givenLayout } from '../pci/given-layout.ts';
import type { BarSpec, ConfigBacking, PciFunctionSpec } from '../pci/kind.ts';
import type { ConfigLayout, PlannedConfig } from '../pci/layout.ts';
import { type Agreement, isRefused } from './agreement.ts';
import { behindPort } from './behind-port.ts';
import { checkDevice } from './check.ts';
import type { FleetDevice } from './fleet.ts';
import { liveBytes } from './live.ts';
import type { Plan, PlanCapability } from './plan.ts';
import { hex } from './space.ts';
import { synthesise } from './synthesise.ts';

export interface VirtualConfigOptions {
  /** Whose config space it is, for refusals. */
  readonly id: string;
  readonly plan: Plan;
  /** The device as it is found when the VMM takes it. */
  readonly device: FleetDevice;
  /** Absent: nothing of the device is read or written, its bytes are constant. */
  readonly backing?: ConfigBacking;
  /** What is advertised of PASID, ATS and PRI here; absent: all that is planned. */
  readonly agreement?: readonly Agreement[];
  /** It is behind a port, not on the root bus. */
  readonly behindPort?: boolean;
}

/** How one capability of the plan is served on this device. */
interface Served {
  readonly capability: PlanCapability;
  readonly by: 'emulated' | 'constant' | 'device';
  /** Where the device has it. */
  readonly from: number | undefined;
}

/** Command, and the error bits of Status: the device has to see and to say them (PCI Local Bus 3.0: Device Control). */
const COMMAND = 4;
const STATUS_ERRORS = { at: 7, mask: 0xf9 } as const;
const NOWHERE = -1;
/** The device follows the power state that the guest has asked for; what the guest sees of it is its own. */
const isPowerState = (key: string, at: number): boolean => key === 'pm' && at === 4;
/** The PCI core has their registers. */
const EMULATED = ['pm', 'msi', 'msix', 'pcie', 'pasid', 'ats', 'pri'];

/**
 * The config space of one device as its guest sees it under a plan. What was inserted, moved or rewritten is emulated; control and
 * status registers are the device's, read and written where it has them; PASID, ATS and PRI of the device are never touched.
 */
export class VirtualConfig implements PlannedConfig {
  readonly frozen: string;
  readonly views: readonly DeviceView[];
  /** What the guest reads at first. */
  readonly space: Uint8Array;
  readonly agreement: readonly Agreement[];
  readonly #plan: Plan;
  readonly #device: FleetDevice;
  readonly #backing: ConfigBacking | undefined;
  readonly #served: readonly Served[];
  /** For each byte: where the device has it, and which bits of it are read from and written to the device. */
  readonly #from: Int16Array;
  readonly #seen: Uint8Array;
  readonly #passed: Uint8Array;

  /** @throws TsvmmError when the device does not fit the plan, with every reason */
  constructor(options: VirtualConfigOptions) {
    const { id, plan, device, backing, agreement = [] } = options;
    const { misfits } = checkDevice(plan, device);
    if (misfits.length > 0) {
      throw new TsvmmError({
        code: 'vconfig-misfit',
        object: id,
        why: `the device does not fit its plan: ${misfits.map(({ key, why }) => `${key}: ${why}`).join('; ')}`,
        mend: "see 'tsvmm vconfig check'; a guest that has seen the plan must not notice another device",
      });
    }
    const agreed = plan.capabilities.filter(({ key }) => !isRefused(agreement, key));
    const shown = options.behindPort === true ? agreed.map(behindPort) : agreed;
    this.#plan = { ...plan, capabilities: shown };
    this.#device = device;
    this.#backing = backing;
    this.agreement = agreement;
    this.space = synthesise(this.#plan, device);
    this.frozen = frozenText(this.#plan);
    this.#served = shown.map((capability) => this.#serve(capability));
    this.#from = new Int16Array(plan.bytes).fill(NOWHERE);
    this.#seen = new Uint8Array(plan.bytes);
    this.#passed = new Uint8Array(plan.bytes);
    if (backing !== undefined) this.#connect();
    this.views = [this.#view()];
  }

  /** What PciServices.layout is for. */
  layout(id: string, spec: PciFunctionSpec): ConfigLayout {
    const bars = this.#plan.bars ?? spec.bars ?? [];
    return givenLayout(id, spec, {
      bytes: this.space,
      capabilities: this.#plan.capabilities,
      bars,
      planned: this,
    });
  }

  #serve(capability: PlanCapability): Served {
    const { key, served } = capability;
    const own = this.#device.anatomy.capabilities.find((one) => one.key === key);
    const from = served === 'device' ? own?.offset : undefined;
    if (EMULATED.includes(key)) return { capability, by: 'emulated', from };
    return {
      capability,
      by: from === undefined || this.#backing === undefined ? 'constant' : 'device',
      from,
    };
  }

  #connect(): void {
    for (const { capability, from } of this.#served) {
      if (from === undefined) continue;
      const own = this.#device.anatomy.capabilities.find((one) => one.offset === from);
      const length = Math.min(capability.length, own?.length ?? 0);
      for (const [at, mask] of liveBytes(capability.key, capability.chain === 'standard' ? 2 : 4, length))
        this.#join(capability.offset + at, from + at, isPowerState(capability.key, at) ? 0 : mask, mask);
    }
    for (const at of [COMMAND, COMMAND + 1]) this.#join(at, at, 0, 0xff);
    this.#join(STATUS_ERRORS.at, STATUS_ERRORS.at, STATUS_ERRORS.mask, STATUS_ERRORS.mask);
    // Registers that no capability claims stay where drivers look for them.
    for (const { start, end } of this.#device.blocked)
      for (let at = start; at < Math.min(end, this.space.length); at++) this.#join(at, at, 0xff, 0xff);
  }

  #join(at: number, from: number, seen: number, passed: number): void {
    this.#from[at] = from;
    this.#seen[at] = seen;
    this.#passed[at] = passed;
  }

  read32(offset: number, own: number): number {
    const backing = this.#backing;
    const mask = this.#dword(this.#seen, offset);
    if (mask === 0 || backing === undefined) return own;
    let value = 0;
    const from = this.#run(offset);
    if (from !== NOWHERE) value = backing.read(from, 4);
    else {
      for (let byte = 0; byte < 4; byte++)
        if (this.#seen[offset + byte] !== 0)
          value |= backing.read(this.#from[offset + byte] as number, 1) << (8 * byte);
    }
    return ((own & ~mask) | (value & mask)) >>> 0;
  }

  write32(offset: number, value: number, byteMask: number): void {
    const backing = this.#backing;
    const mask = this.#dword(this.#passed, offset) & byteMask;
    if (mask === 0 || backing === undefined) return;
    const from = this.#run(offset);
    if (from !== NOWHERE && mask === -1) {
      backing.write(from, 4, value >>> 0);
      return;
    }
    for (let half = 0; half < 4; half += 2) {
      const at = this.#from[offset + half] as number;
      const together = at !== NOWHERE && at % 2 === 0 && this.#from[offset + half + 1] === at + 1;
      const bits = (mask >>> (8 * half)) & 0xffff;
      // Both bytes were written: a register of 16 bits gets them at once.
      if (together && bits > 0xff && (bits & 0xff) !== 0)
        this.#put(backing, at, 2, value >>> (8 * half), bits);
      else {
        for (let byte = half; byte < half + 2; byte++)
          this.#put(
            backing,
            this.#from[offset + byte] as number,
            1,
            value >>> (8 * byte),
            (mask >>> (8 * byte)) & 0xff,
          );
      }
    }
  }

  /** Bits that are not the guest's stay as the device has them. */
  #put(backing: ConfigBacking, at: number, size: 1 | 2, value: number, mask: number): void {
    if (mask === 0) return;
    const all = size === 1 ? 0xff : 0xffff;
    const kept = mask === all ? 0 : backing.read(at, size) & ~mask;
    backing.write(at, size, ((value & mask) | kept) & all);
  }

  #dword(bytes: Uint8Array, offset: number): number {
    return (
      (bytes[offset] as number) |
      ((bytes[offset + 1] as number) << 8) |
      ((bytes[offset + 2] as number) << 16) |
      ((bytes[offset + 3] as number) << 24)
    );
  }

  /** Where the device has a dword as a dword. */
  #run(offset: number): number {
    const from = this.#from[offset] as number;
    if (from < 0 || from % 4 !== 0) return NOWHERE;
    for (let byte = 1; byte < 4; byte++) if (this.#from[offset + byte] !== from + byte) return NOWHERE;
    return from;
  }

  barBytes(bar: BarSpec): number {
    const own = this.#device.bars;
    if (own === undefined) return bar.size;
    return Math.min(bar.size, own.find(({ index }) => index === bar.index)?.size ?? 0);
  }

  #view(): DeviceView {
    const rows = () =>
      this.#served.map(({ capability, by, from }) => ({
        key: capability.key,
        offset: capability.offset,
        length: capability.length,
        by,
        ...(from === undefined ? {} : { device: from }),
      }));
    return {
      name: 'vconfig',
      doc: 'The virtual config space: who serves each capability, and what is advertised of PASID, ATS and PRI',
      json: () => ({ capabilities: rows(), advertised: this.agreement }),
      text: () =>
        [
          ...rows().map(
            ({ key, offset, length, by, device }) =>
              `${hex(offset, 3)} ${key.padEnd(16)} ${String(length).padStart(4)} bytes  ${by}${device === undefined || device === offset ? '' : `, the device has it at ${hex(device, 3)}`}`,
          ),
          ...this.agreement.map(
            ({ key, advertised, reasons }) =>
              `${key}: ${advertised ? 'advertised' : `not advertised: ${reasons.join('; ')}`}`,
          ),
        ].join('\n'),
    };
  }
}

/** What guests rely on, in a canonical order: the devices it was made for and the operator's wishes are not part of it. */
function frozenText({ bytes, header, capabilities, bars }: Plan): string {
  const seen = capabilities.map(({ key, chain, id, version, offset, length, contents, varies }) => [
    key,
    chain,
    id,
    version,
    offset,
    length,
    contents,
    varies,
  ]);
  const shapes =
    bars?.map(({ index, kind, prefetchable, size }) => [index, kind, prefetchable, size]) ?? null;
  return JSON.stringify([bytes, header, seen, shapes]);
}
