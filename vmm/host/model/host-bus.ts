import { PciFunction } from '../../../devices/pci/function.ts';
import { BUSES, COMMAND } from '../../../devices/pci/header.ts';
import type { PciDevice, PciServices } from '../../../devices/pci/kind.ts';
import type { PciFabric } from '../../../devices/pci/place.ts';
import { SRIOV_CONTROL, SRIOV_NUM } from '../../../devices/pci/sriov-registers.ts';
import { Bug } from '../../core/errors.ts';

/** Told of changes of a function by the bus of the host. */
export interface BusListener {
  intx(level: boolean): void;
}

/** Where a function is. */
export interface BusPlace {
  readonly bus: number;
  /** Device 7:3, function 2:0. */
  readonly devfn: number;
  /** Another function shares the device. */
  readonly multifunction: boolean;
}

interface Plugged {
  readonly fn: PciFunction;
  level: boolean;
}

const MEM_AND_MASTER = (1 << COMMAND.fields.MEM.lo) | (1 << COMMAND.fields.BME.lo);

/**
 * The PCI buses of a host, as far as its modelled functions need them: requester ids, bus mastering, INTx, resets of buses. The
 * host's software reaches functions directly, so nothing is decoded: BARs have no addresses here.
 */
export class HostBus implements PciFabric {
  readonly #functions: Plugged[] = [];
  readonly #listeners = new Map<PciFunction, BusListener>();
  readonly #behind = new Map<PciFunction, PciFunction[]>();

  /** A port whose secondary bus is numbered, with everything passing. Nothing but what is plugged in behind it looks at it. */
  addPort(
    services: PciServices,
    place: BusPlace,
    secondary: number,
    parent: PciFunction | undefined,
  ): PciFunction {
    const fn = new PciFunction(services, {
      vendor: 0x1b36,
      device: 0x000c,
      classCode: 0x060400,
      revision: 0,
      header: 'bridge',
      capabilities: [{ id: 'pcie', type: 'root-port' }],
    });
    fn.reset('cold');
    fn.configWrite(BUSES.offset, 4, place.bus | (secondary << 8) | (0xff << 16));
    fn.configWrite(COMMAND.offset, 2, MEM_AND_MASTER);
    this.#plug(fn, place, parent);
    return fn;
  }

  /** A device with its virtual functions, `enabled` of which the host has switched on. */
  add(
    { device, fn, virtual }: PciDevice,
    place: BusPlace,
    parent: PciFunction | undefined,
    enabled: number,
  ): void {
    if (device !== fn) device.reset('cold');
    fn.reset('cold');
    for (const one of virtual ?? []) {
      if (one.device !== one.fn) one.device.reset('cold');
      one.fn.reset('cold');
    }
    this.#plug(fn, place, parent);
    for (const one of virtual ?? []) this.#plug(one.fn, { ...place, multifunction: false }, parent);
    if (enabled > 0) enableVirtual(fn, enabled);
    this.changed();
  }

  #plug(fn: PciFunction, place: BusPlace, parent: PciFunction | undefined): void {
    const { bus, devfn, multifunction } = place;
    Object.assign(fn.w.place, { fabric: this, parent, rootBus: bus, devfn, multifunction });
    this.#functions.push({ fn, level: false });
    if (parent === undefined) return;
    parent.w.place.occupied = true;
    const siblings = this.#behind.get(parent) ?? [];
    this.#behind.set(parent, [...siblings, fn]);
  }

  listen(fn: PciFunction, listener: BusListener | undefined): void {
    if (listener === undefined) this.#listeners.delete(fn);
    else this.#listeners.set(fn, listener);
  }

  /** Functions that share the secondary bus a function is on. */
  neighbours(fn: PciFunction): readonly PciFunction[] {
    const { parent } = fn.w.place;
    return parent === undefined ? [] : (this.#behind.get(parent) ?? []);
  }

  /** The function of a requester id, as messages of an IOMMU find it. */
  find(requester: number): PciFunction | undefined {
    return this.#functions.find(({ fn }) => fn.present && fn.bdf === requester)?.fn;
  }

  changed(): void {
    for (const { fn } of this.#functions) {
      fn.w.dma.setRequester(fn.bdf);
      fn.w.dma.enabled = fn.busMaster;
    }
  }

  intx(): void {
    for (const one of this.#functions) {
      const level = one.fn.intxOutput;
      if (level === one.level) continue;
      one.level = level;
      this.#listeners.get(one.fn)?.intx(level);
    }
  }

  resetBehind(bridge: PciFunction): void {
    for (const fn of this.#behind.get(bridge) ?? []) {
      fn.resetWithBackend('warm');
      this.resetBehind(fn);
    }
  }

  /** What a hot reset of the bus of a function does. */
  resetBus(fn: PciFunction): void {
    const { parent } = fn.w.place;
    if (parent === undefined) throw new Bug(`${fn.id} is on a root bus, which has no reset`);
    this.resetBehind(parent);
  }
}

/** The host's administrator: number of virtual functions, then VF Enable and VF MSE. */
function enableVirtual(fn: PciFunction, count: number): void {
  const at = fn.w.layout.sriov;
  fn.configWrite(at + SRIOV_NUM.offset, 2, count);
  const bits = (1 << SRIOV_CONTROL.fields.VFE.lo) | (1 << SRIOV_CONTROL.fields.MSE.lo);
  fn.configWrite(at + SRIOV_CONTROL.offset, 2, bits);
}
