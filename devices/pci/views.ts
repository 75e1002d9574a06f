import type { DeviceView } from '../../vmm/bus/device.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex } from '../../vmm/core/u64.ts';
import type { PciFunction } from './function.ts';
import { CLASS, ID } from './header.ts';
import type { RootComplex } from './root-complex.ts';

/** One function as `info pci` shows it. */
export interface PciFunctionInfo {
  readonly bdf: string;
  readonly id: string;
  readonly vendor: string;
  readonly device: string;
  readonly class: string;
  readonly buses?: { readonly secondary: number; readonly subordinate: number };
  readonly bars: readonly {
    readonly index: number;
    readonly kind: string;
    readonly address: string;
    readonly size: string;
  }[];
  readonly interrupt: 'none' | 'msi' | 'msix' | 'intx';
  readonly busMaster: boolean;
  readonly behind: readonly PciFunctionInfo[];
}

/** Views of the whole hierarchy. */
export function pciViews(rc: RootComplex): DeviceView[] {
  return [
    {
      name: 'pci',
      doc: 'PCI functions by place, with BARs and interrupts',
      json: () => describeBus(rc, undefined),
      text: () =>
        describeBus(rc, undefined)
          .flatMap((f) => functionLines(f, 0))
          .join('\n'),
    },
  ];
}

function describeBus(rc: RootComplex, parent: PciFunction | undefined): PciFunctionInfo[] {
  return rc.functionsOn(parent).map((fn) => ({ ...describe(fn), behind: describeBus(rc, fn) }));
}

function describe(fn: PciFunction): Omit<PciFunctionInfo, 'behind'> {
  const { config } = fn.s;
  const id4 = (n: number) => n.toString(16).padStart(4, '0');
  return {
    bdf: bdfText(fn.bdf),
    id: fn.id,
    vendor: id4(ID.get.VENDOR(config, 0)),
    device: id4(ID.get.DEVICE(config, 0)),
    class: CLASS.get
      .CODE(config, CLASS.offset / 4)
      .toString(16)
      .padStart(6, '0'),
    ...(fn.isBridge ? { buses: { secondary: fn.secondary, subordinate: fn.subordinate } } : {}),
    bars: fn.w.layout.bars.map((bar) => ({
      index: bar.index,
      kind: bar.kind,
      address: hex(fn.barAddress(bar)),
      size: hex(bar.size),
    })),
    interrupt: interruptMode(fn),
    busMaster: fn.busMaster,
  };
}

function interruptMode(fn: PciFunction): PciFunctionInfo['interrupt'] {
  if (fn.msixEnabled) return 'msix';
  if (fn.msiEnabled) return 'msi';
  return fn.interruptPin === 0 ? 'none' : 'intx';
}

function functionLines(f: PciFunctionInfo, depth: number): string[] {
  const pad = '  '.repeat(depth);
  const buses = f.buses === undefined ? '' : ` bus ${f.buses.secondary}-${f.buses.subordinate}`;
  const state = `${f.interrupt}${f.busMaster ? ' bus-master' : ''}`;
  return [
    `${pad}${f.bdf} ${f.vendor}:${f.device} class ${f.class} ${f.id}${buses} ${state}`,
    ...f.bars.map((b) => `${pad}    BAR ${b.index} ${b.kind} at ${b.address} size ${b.size}`),
    ...f.behind.flatMap((g) => functionLines(g, depth + 1)),
  ];
}

/** Views of one function: its config space register by register. */
export function functionViews(fn: PciFunction): DeviceView[] {
  return [
    {
      name: 'config',
      doc: 'Config space, decoded',
      json: () => Object.fromEntries(configRows(fn).map(({ register, decode }) => [register.name, decode])),
      text: () =>
        configRows(fn)
          .map(
            ({ register, text }) =>
              `${register.offset.toString(16).padStart(3, '0')} ${register.name.padEnd(16)} ${text}`,
          )
          .join('\n'),
    },
  ];
}

function configRows(fn: PciFunction) {
  const registers = fn.w.layout.block.registers.toSorted((a, b) => a.offset - b.offset);
  return registers.map((register) => {
    const words = Uint32Array.of(fn.configRead(register.offset, 4));
    return { register, decode: register.decode(words), text: register.show(words) };
  });
}
