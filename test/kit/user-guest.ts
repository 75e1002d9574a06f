import { MmioBus, type MmioHandler } from '../../vmm/bus/mmio.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Processes } from '../../vmm/vcpu/process/processes.ts';
import { X86Walker } from '../../vmm/vcpu/process/x86-walk.ts';
import { rewrite } from '../../vmm/vcpu/rewrite/index.ts';
import { Vcpu } from '../../vmm/vcpu/run/vcpu.ts';
import { assemble, FakeInterrupts } from './guest.ts';

/** Tables of the one address space: the root that kernels of tests give to process_create. */
export const ROOT = 0x200000;
/** Virtual addresses that are mapped: read and write, read only, registers. */
export const DATA = 0x10000;
export const READ_ONLY = 0x20000;
export const REGISTERS = 0x30000;
const DATA_FRAME = 0x300000;
const DEVICE = 0xfed90000;

/** What asyncify would export of a program that is never suspended. */
const NEVER_SUSPENDED = `
  (func (export "asyncify_start_unwind") (param i32))
  (func (export "asyncify_stop_unwind"))
  (func (export "asyncify_start_rewind") (param i32))
  (func (export "asyncify_stop_rewind"))
  (func (export "asyncify_get_state") (result i32) (i32.const 0))`;

/** A kernel and one program "user", both from WAT. */
export function userGuest(kernel: string, program: string, device: MmioHandler) {
  const ram = new GuestRam(0, 4 << 20, 0, true);
  const mmio = new MmioBus();
  const clock = new VirtualClock();
  const interrupts = new FakeInterrupts();
  const output: string[] = [];
  mmio.add({ name: 'device', base: DEVICE, size: 0x1000, handler: device });
  mapPages(ram);
  const kernelCode = rewrite(assemble(kernel), { layout: ram.layout, fuel: 'exact' });
  const wasm = assemble(program.replace(/\)\s*$/, `${NEVER_SUSPENDED})`));
  const moduleName = 'tsvmm-program-0';
  const rewritten = rewrite(wasm, { layout: ram.layout, fuel: 'exact', userMode: true, moduleName });
  const vcpu = new Vcpu({
    ram,
    mmio,
    ports: new PortBus(),
    clock,
    interrupts,
    console: (bytes) => output.push(Buffer.from(bytes).toString()),
    symbolize: (frames) =>
      frames.map((f) =>
        f.module === undefined ? { function: f.name } : { function: f.name, program: f.module },
      ),
    busMaster: () => 'dma',
    fuelLimit: 10_000_000,
  });
  let processes: Processes | undefined;
  vcpu.load({
    module: new WebAssembly.Module(kernelCode.wasm),
    platform: { rsdp: 0xe0000, heapStart: 0x100000, heapEnd: 0x3f0000 },
    table: kernelCode.table,
    imports: {},
    processes(cpu) {
      const image = { name: 'user', mode: 'cooperative' as const, wasm, rewritten };
      processes = new Processes(
        cpu,
        [image],
        new X86Walker(ram),
        () => new WebAssembly.Module(rewritten.wasm),
      );
      return processes.host();
    },
  });
  return { ram, clock, interrupts, output, vcpu, processes: processes! };
}

function mapPages(ram: GuestRam): void {
  const set = (table: number, index: number, entry: number): void => {
    ram.u32[table / 4 + index * 2] = entry;
  };
  for (const level of [0, 1, 2]) set(ROOT + level * 0x1000, 0, (ROOT + (level + 1) * 0x1000) | 7);
  const leaf = ROOT + 0x3000;
  set(leaf, DATA >>> 12, DATA_FRAME | 7);
  set(leaf, READ_ONLY >>> 12, (DATA_FRAME + 0x1000) | 5);
  set(leaf, REGISTERS >>> 12, DEVICE | 7);
}
