/**
 * What trapping a register access costs: plain load or store of a guest, through the trap, the bus and a device that is
 * nothing but storage, against a bare import call. What devices' own decoding adds: mmio.ts.
 */
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import { RegisterAccess } from './kit/register-access.ts';
import { rounds } from './kit/rounds.ts';
import { compare, finish } from './kit/row.ts';

/** In the gap below the VT-d's page. */
const PLAIN = 0xfed8_0000;

class PlainRegisters implements MmioHandler {
  /** Bit 31 is set, as in the harder half of the values. */
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

async function main(): Promise<void> {
  const access = new RegisterAccess();
  access.cpu.machine.mmio.add({ name: 'plain', base: PLAIN, size: 4096, handler: new PlainRegisters() });
  const { bare } = access;
  const contenders = [
    access.contender('trapped load32, plain register', 'load32', PLAIN + 8),
    access.contender('trapped store32, plain register', 'store32', PLAIN + 8),
    access.contender('trapped load64, plain register', 'load64', PLAIN + 8),
  ];
  const times = await rounds([bare, ...contenders]);
  const limit = { text: '<= 2x of a bare import call', ratio: 2 };
  for (const { name } of contenders)
    compare(name, 'ns', times[name]!, { name: bare.name, values: times[bare.name]! }, limit);
  finish();
}

await main();
