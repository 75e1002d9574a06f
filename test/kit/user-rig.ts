import { MmioBus } from '../../vmm/bus/mmio.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Mmu } from '../../vmm/vcpu/process/mmu.ts';
import { Tlb } from '../../vmm/vcpu/process/tlb.ts';
import { type UserHost, UserPath } from '../../vmm/vcpu/process/user-path.ts';
import { X86Walker } from '../../vmm/vcpu/process/x86-walk.ts';
import { rewrite } from '../../vmm/vcpu/rewrite/index.ts';
import { mmuPathImports } from '../../vmm/vcpu/rewrite/mmu-path.ts';
import { GuestFault, TestDevice } from './wasm-trap-world.ts';

const ROOT = 0x1000;
const DEVICE = 0xfed90000;

/** Code of user mode over page tables in RAM, one device, and a kernel that is a function. */
export class UserRig implements UserHost {
  readonly ram: GuestRam;
  readonly mmio = new MmioBus();
  readonly mmu: Mmu;
  readonly path: UserPath;
  readonly device = new TestDevice(DEVICE, 0x1000);
  readonly space = { tlb: new Tlb(), rootLo: ROOT, rootHi: 0, levels: 4 };
  faults = 0;
  /** What the kernel does at a page fault: true repeats the access. */
  onFault: (address: number, code: number) => boolean = () => false;
  segments: (Uint8Array | undefined)[] = [];
  bulkDone = 0;
  #nextTable = ROOT + 0x1000;

  constructor(ramSize = 0x100000) {
    this.ram = new GuestRam(0, ramSize, 0, true);
    this.mmio.add({
      name: 'device',
      base: DEVICE,
      size: 0x1000,
      handler: {
        read: (offset, size, bus) => {
          const value = this.device.read(DEVICE + offset, size)!;
          bus.hi = Number(value >> 32n);
          return Number(value & 0xffff_ffffn);
        },
        write: (offset, size, lo, hi) => {
          this.device.write(DEVICE + offset, size, (BigInt(hi) << 32n) | BigInt(lo));
        },
      },
    });
    this.mmu = new Mmu(this.ram, new X86Walker(this.ram));
    this.path = new UserPath(this.ram, this.mmio, this.mmu, this);
    this.mmu.switchTo(this.space);
  }

  /** Where the leaf entry of the address lies; tables are made from the pages behind the root. */
  pteAt(va: number): number {
    let table = ROOT;
    for (let level = 3; level > 0; level--) {
      const index = level === 3 ? 0 : Math.floor(va / 2 ** (12 + 9 * level)) & 511;
      const at = table + index * 8;
      if ((this.ram.u32[at >>> 2]! & 1) === 0) {
        this.ram.u32[at >>> 2] = this.#nextTable | 7;
        this.#nextTable += 0x1000;
      }
      table = this.ram.u32[at >>> 2]! & ~0xfff;
    }
    return table + ((va >>> 12) & 511) * 8;
  }

  setPte(va: number, lo: number, hi = 0): void {
    const at = this.pteAt(va);
    this.ram.u32[at >>> 2] = lo;
    this.ram.u32[(at >>> 2) + 1] = hi;
  }

  pte(va: number): number {
    return this.ram.u32[this.pteAt(va) >>> 2]!;
  }

  instantiate(wasm: Uint8Array, fuel: 'exact' | 'off' = 'off'): WebAssembly.Exports {
    const result = rewrite(wasm, { layout: this.ram.layout, fuel, userMode: true });
    this.segments = result.programSegments.map((segment) =>
      segment.active ? undefined : wasm.subarray(segment.offset, segment.offset + segment.size),
    );
    return new WebAssembly.Instance(new WebAssembly.Module(result.wasm), {
      tsvmm_vm: mmuPathImports(this.path, this.ram.memory),
    }).exports;
  }

  pageFault(address: number, code: number): boolean {
    this.faults++;
    if (!this.onFault(address, code)) throw new GuestFault('address');
    return true;
  }

  livelock(): never {
    throw new GuestFault('livelock');
  }

  kill(_signal: number, reason: string): never {
    throw new GuestFault(/aligned/.test(reason) ? 'misaligned' : /wait/.test(reason) ? 'wait' : 'address');
  }

  afterAccess(): void {}
  safepoint(): void {}
  resumed(): void {}

  segment(index: number): Uint8Array | undefined {
    return this.segments[index];
  }
}
