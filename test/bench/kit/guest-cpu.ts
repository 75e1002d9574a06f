import { setFlagsFromString } from 'node:v8';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { defaultConfig } from '../../../vmm/machine/config.ts';
import { Machine } from '../../../vmm/machine/machine.ts';
import { planRam } from '../../../vmm/machine/ram-plan.ts';
import { rewrite } from '../../../vmm/vcpu/rewrite/index.ts';
import { Vcpu } from '../../../vmm/vcpu/run/vcpu.ts';

/** The default machine and a processor that runs functions of `wasm` on it as a guest's. */
export class GuestCpu {
  readonly machine: Machine;
  readonly exports: Readonly<Record<string, (...args: number[]) => number>>;
  readonly #vcpu: Vcpu;

  constructor(wasm: Uint8Array, env: WebAssembly.ModuleImports) {
    setFlagsFromString('--experimental-wasm-branch-hinting');
    const registry = builtinRegistry();
    this.machine = new Machine(defaultConfig(registry), registry);
    const { machine } = this;
    const { wasm: code, table } = rewrite(wasm, { layout: machine.ram.layout, fuel: 'exact' });
    this.#vcpu = new Vcpu({
      ram: machine.ram,
      mmio: machine.mmio,
      ports: machine.ports,
      clock: machine.clock,
      interrupts: machine.platform.interrupts,
      console: () => {},
      symbolize: () => [],
      busMaster: () => machine.memory.writer,
      fuelLimit: Number.MAX_SAFE_INTEGER,
    });
    const plan = planRam(machine.platform.map, machine.ram.size, undefined, machine.reservedBase);
    const instance = this.#vcpu.load({
      module: new WebAssembly.Module(code),
      platform: { rsdp: plan.rsdp, heapStart: plan.heapStart, heapEnd: plan.heapEnd },
      table,
      imports: { env },
    });
    machine.bootFirmware(plan);
    this.exports = instance.exports as never;
  }

  /** Calls an export without parameters as the guest's entry point. */
  run(entry: string): void {
    const end = this.#vcpu.run(entry);
    if (end.kind !== 'exit') throw new Error(`${entry}: ${JSON.stringify(end)}`);
  }

  /** Address of the first memory BAR of a device of this machine. */
  bar(id: string): number {
    const { fn } = this.machine.pciDevice(id)!;
    return this.machine.root.configRead(fn.bdf, 0x10, 4) & ~15;
  }
}
