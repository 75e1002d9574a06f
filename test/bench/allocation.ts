/** What 10^6 operations leave on the heap: nothing, on every path a guest can make hot. */
import { IQA, IQT } from '../../viommu/spec/vtd/registers.ts';
import { NO_PASID } from '../../vmm/bus/dma.ts';
import { withAts } from './kit/ats.ts';
import { benchModule } from './kit/cc.ts';
import { mapped, sweep } from './kit/dma.ts';
import { GuestCpu } from './kit/guest-cpu.ts';
import { check, checkMethod, OPERATIONS } from './kit/heap.ts';
import { finish } from './kit/row.ts';

const QUEUE = 0x200_0000;
const RING = 4096;
const QIE = 0x04000000;
const VTD = 0xfed90000;
const CAP = 0x08;
const GCMD = 0x18;
const GSTS = 0x1c;
const FEDATA = 0x3c;
const EDU_LIVENESS = 4;

function translations(pages: number) {
  const { run } = sweep('', mapped(pages), OPERATIONS);
  return run;
}

function moves(bytes: number, write: boolean) {
  const { port, addresses } = mapped(16);
  const buffer = new Uint8Array(bytes);
  return () => {
    for (let i = 0; i < OPERATIONS; i++) {
      const at = addresses[i & 15]! | 0;
      if (write) port.write(at, 0, buffer, 0, bytes);
      else port.read(at, 0, buffer, 0, bytes);
    }
  };
}

/** Writes by the function's ATC. */
function atsMoves(bytes: number) {
  const { agent, addresses } = withAts(16);
  const buffer = new Uint8Array(bytes);
  return () => {
    for (let i = 0; i < OPERATIONS; i++) {
      const at = addresses[i & 15]! | 0;
      agent.write(NO_PASID, false, at, 0, buffer, 0, bytes);
    }
  };
}

function queue(quads: readonly number[]) {
  const { machine } = mapped(16);
  machine.disable(QIE);
  machine.write(IQA, QUEUE | 4);
  machine.command(QIE);
  for (let i = 0; i < RING; i++) machine.ram.u32.set(quads, (QUEUE + i * 16) >>> 2);
  const doorbell = (machine.base + IQT.offset) | 0;
  let tail = 0;
  return () => {
    for (let i = 0; i < OPERATIONS; i += RING - 1) {
      tail = (tail + (RING - 1) * 16) % (RING * 16);
      machine.bus.store(doorbell, 8, tail, 0);
    }
  };
}

function checkRegister(
  what: string,
  loop: string,
  address: (cpu: GuestCpu) => number,
  prepare?: (cpu: GuestCpu) => void,
): void {
  const cpu = new GuestCpu(benchModule('mmio-loops'), { bare: () => 0 });
  prepare?.(cpu);
  const run = (count: number) => () => {
    cpu.exports['set_up']!(count, address(cpu));
    cpu.run(loop);
  };
  check(`MMIO ${what}`, run(OPERATIONS), run(0));
}

function main(): void {
  checkMethod();
  check('DMA page, hit', translations(16));
  check('DMA page, miss', translations(65536));
  check('DMA read, 64 bytes', moves(64, false));
  check('DMA write, 64 bytes', moves(64, true));
  check('DMA read, 4 KiB', moves(4096, false));
  check('DMA write, 4 KiB', moves(4096, true));
  check('ATS-cached write, 64 bytes', atsMoves(64));
  check('queued invalidation, page', queue([0x0005_0032, 0, 0x8000_0000, 0]));
  check('queued invalidation, domain', queue([0x0005_0022, 0, 0, 0]));
  check('queued invalidation, global', queue([0x12, 0, 0, 0]));
  check('queued invalidation, wait with status', queue([0x25, 1, 0x3000, 0]));
  // With bit 31 of the value set: the numbers that V8 cannot keep in a tagged word.
  const enable = (cpu: GuestCpu) => cpu.machine.mmio.write(VTD + GCMD, 4, 0x80000000, 0);
  checkRegister('load32, bit 31 set (VT-d GSTS)', 'load32', () => VTD + GSTS, enable);
  checkRegister('load64 (VT-d CAP)', 'load64', () => VTD + CAP);
  checkRegister('store32 (VT-d FEDATA)', 'store32', () => VTD + FEDATA);
  checkRegister('load32 (edu liveness)', 'load32', (cpu) => cpu.bar('edu0') + EDU_LIVENESS);
  checkRegister('store32 (edu liveness)', 'store32', (cpu) => cpu.bar('edu0') + EDU_LIVENESS);
  finish();
}

main();
