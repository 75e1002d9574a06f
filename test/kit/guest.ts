import wabt from 'wabt';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { rewrite } from '../../vmm/vcpu/rewrite/index.ts';
import type { CpuInterrupts } from '../../vmm/vcpu/run/cpu-interrupts.ts';
import { Vcpu } from '../../vmm/vcpu/run/vcpu.ts';

const tools = await wabt();

/** A module from WAT text. */
export function assemble(text: string): Uint8Array {
  const module = tools.parseWat('guest.wat', text, {
    threads: true,
    simd: true,
    bulk_memory: true,
    exceptions: true,
  });
  const { buffer } = module.toBinary({ write_debug_names: true });
  module.destroy();
  return buffer;
}

/** An interrupt controller with a queue and no priorities. */
export class FakeInterrupts implements CpuInterrupts {
  readonly raised: number[] = [];
  readonly log: string[] = [];
  nmi = false;

  pending(): number {
    return this.raised[0] ?? -1;
  }

  accept(vector: number): void {
    this.raised.splice(this.raised.indexOf(vector), 1);
    this.log.push(`accept ${vector}`);
  }

  eoi(): void {
    this.log.push('eoi');
  }

  nmiPending(): boolean {
    return this.nmi;
  }

  takeNmi(): boolean {
    const was = this.nmi;
    this.nmi = false;
    return was;
  }
}

/** A vCPU with RAM, a clock and buses, and a guest made from WAT. */
export function bareGuest(
  wat: string,
  fuelLimit = 100_000_000,
  timeLimit?: number,
  more: { readonly eventLimit?: number } = {},
) {
  const ram = new GuestRam(0, 4 << 20);
  const mmio = new MmioBus();
  const ports = new PortBus();
  const clock = new VirtualClock();
  const interrupts = new FakeInterrupts();
  const output: string[] = [];
  const result = rewrite(assemble(wat), { layout: ram.layout, fuel: 'exact' });
  const vcpu = new Vcpu({
    ram,
    mmio,
    ports,
    clock,
    interrupts,
    console: (bytes) => output.push(Buffer.from(bytes).toString()),
    symbolize: (frames) => frames.map((f) => ({ function: f.name })),
    busMaster: () => 'dma',
    fuelLimit,
    ...(timeLimit === undefined ? {} : { timeLimit }),
    ...more,
  });
  const instance = vcpu.load({
    module: new WebAssembly.Module(result.wasm),
    platform: { rsdp: 0xe0000, heapStart: 0x100000, heapEnd: 0x3f0000 },
    table: result.table,
    imports: {},
  });
  return { ram, mmio, ports, clock, interrupts, output, vcpu, instance, result };
}
