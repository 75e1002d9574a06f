import { benchModule } from './cc.ts';
import { GuestCpu } from './guest-cpu.ts';
import type { Contender } from './rounds.ts';

const ACCESSES = 20_000;

interface Loops {
  set_up(count: number, address: number): void;
  bare_call(): number;
}

/** Loops of a guest that access a register, and the bare call of an import that they are measured by. */
export class RegisterAccess {
  readonly cpu: GuestCpu;
  readonly bare: Contender;

  constructor() {
    const wasm = benchModule('mmio-loops');
    this.cpu = new GuestCpu(wasm, { bare: () => 0 });
    this.bare = bareCall(wasm);
  }

  /** @param loop load32, store32 or load64 */
  contender(name: string, loop: string, address: number): Contender {
    const { cpu } = this;
    return {
      name,
      operations: ACCESSES,
      prepare: () => cpu.exports['set_up']!(ACCESSES, address),
      run: () => cpu.run(loop),
    };
  }
}

function bareCall(wasm: Uint8Array<ArrayBuffer>): Contender {
  const env = { bare: (_address: number, _offset: number) => 7 };
  const loops = new WebAssembly.Instance(new WebAssembly.Module(wasm), { env }).exports as unknown as Loops;
  loops.set_up(ACCESSES, 0xfed9_0000);
  return { name: 'bare import call', operations: ACCESSES, run: () => loops.bare_call() };
}
