import type { PciFunction } from './function.ts';

/** What the root complex does for the functions plugged into it. */
export interface PciFabric {
  /** Decoding, windows, bus numbers, bus mastering or power of a function changed. */
  changed(): void;
  /** The INTx output of a function may have changed. */
  intx(): void;
  /** Secondary Bus Reset of a bridge was set. */
  resetBehind(bridge: PciFunction): void;
}

/** Where a function is plugged in; the root complex fills it in. */
export interface PciPlace {
  fabric: PciFabric | undefined;
  parent: PciFunction | undefined;
  /** Number of its bus where no bridge says it: root complexes of real hosts have several root buses. */
  rootBus: number;
  /** Device 7:3, function 2:0. */
  devfn: number;
  /** Another function shares the device. */
  multifunction: boolean;
  /** A bridge: something is plugged in behind it. */
  occupied: boolean;
}

export function unplugged(): PciPlace {
  return {
    fabric: undefined,
    parent: undefined,
    rootBus: 0,
    devfn: 0,
    multifunction: false,
    occupied: false,
  };
}
