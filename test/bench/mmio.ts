/**
 * A register access of a guest (plain load or store, through the trap, the bus and the device) against a bare import call.
 * Plain registers cost next to nothing themselves: what they take is the trap. The others decode and trace as well.
 */

import { GSTS, IQA } from '../../viommu/spec/vtd/registers.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import { benchModule } from './kit/cc.ts';
import { GuestCpu } from './kit/guest-cpu.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { compare, finish } from './kit/row.ts';

const ACCESSES = 20_000;
const VTD = 0xfed90000;
/** In the gap below the VT-d's page. */
const PLAIN = 0xfed8_0000;
/** Fault Event Data Register: plain storage. */
const FEDATA = 0x3c;
const EDU_LIVENESS = 4;

interface Loops {
  set_up(count: number, address: number): void;
  bare_call(): number;
}

/** Nothing but storage. */
class PlainRegisters implements MmioHandler {
  readonly #words = new Int32Array(1024).fill(-2);

  read(offset: number, size: number, bus: MmioBus): number {
    if (size === 8) bus.hi = this.#words[(offset >>> 2) + 1]!;
    return this.#words[offset >>> 2]!;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    this.#words[offset >>> 2] = lo;
    if (size === 8) this.#words[(offset >>> 2) + 1] = hi;
  }
}

function bareCall(wasm: Uint8Array<ArrayBuffer>): Contender {
  const env = { bare: (_address: number, _offset: number) => 7 };
  const loops = new WebAssembly.Instance(new WebAssembly.Module(wasm), { env }).exports as unknown as Loops;
  loops.set_up(ACCESSES, VTD);
  return { name: 'bare import call', operations: ACCESSES, run: () => loops.bare_call() };
}

async function main(): Promise<void> {
  const wasm = benchModule('mmio-loops');
  const cpu = new GuestCpu(wasm, { bare: () => 0 });
  const access = (name: string, loop: string, address: number): Contender => ({
    name,
    operations: ACCESSES,
    prepare: () => cpu.exports['set_up']!(ACCESSES, address),
    run: () => cpu.run(loop),
  });
  cpu.machine.mmio.add({ name: 'plain', base: PLAIN, size: 4096, handler: new PlainRegisters() });
  const liveness = cpu.bar('edu0') + EDU_LIVENESS;
  const bare = bareCall(wasm);
  const traps = [
    access('trapped load32, plain register', 'load32', PLAIN + 8),
    access('trapped store32, plain register', 'store32', PLAIN + 8),
    access('trapped load64, plain register', 'load64', PLAIN + 8),
  ];
  const contenders = [
    ...traps,
    access('trapped load32, VT-d GSTS', 'load32', VTD + GSTS.offset),
    access('trapped store32, VT-d FEDATA', 'store32', VTD + FEDATA),
    access('trapped load64, VT-d IQA', 'load64', VTD + IQA.offset),
    access('trapped load32, edu liveness', 'load32', liveness),
    access('trapped store32, edu liveness', 'store32', liveness),
  ];
  const times = await rounds([bare, ...contenders]);
  const limit = { text: '<= 2x of a bare import call', ratio: 2 };
  for (const { name } of contenders)
    compare(name, 'ns', times[name]!, { name: bare.name, values: times[bare.name]! }, limit);
  finish();
}

await main();
