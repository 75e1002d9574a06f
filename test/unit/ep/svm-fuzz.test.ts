import { expect, test } from 'vitest';
import {
  FRAME_CONTROL,
  SVM_COMMAND,
  SVM_INVALIDATION,
  SVM_OP,
} from '../../../devices/ep/svm-engine-registers.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { ENGINE, SvmVtd } from '../../kit/svm-vtd.ts';
import { CONTEXTS, ROOT } from '../../kit/vtd-machine.ts';
import { DIRECTORY, PASIDS } from '../../kit/vtd-scalable.ts';

const OPERATIONS = Object.keys(SVM_OP) as (keyof typeof SVM_OP)[];
/** Structures whose bits are turned over: root, contexts, PASID directory, PASID entries of 5 and 6, tables. */
const PLACES = [
  ROOT,
  CONTEXTS + ENGINE * 32,
  DIRECTORY,
  PASIDS + 5 * 64,
  PASIDS + 6 * 64,
  0x100000,
  0x101000,
];
/** Context, PASID, IOTLB and device-TLB invalidations of everything. */
const FLUSHES = [0x11n, 0x37n, 0x12n, 0x5_0005_0026n];

function address(rng: Rng): number {
  return rng.below(4) === 0 ? rng.next() : 0x10000 + rng.below(16) * 4096 + rng.below(4096);
}

function step(world: SvmVtd, rng: Rng): void {
  const frame = rng.below(8);
  switch (rng.below(10)) {
    case 0: {
      const at = (PLACES[rng.below(PLACES.length)]! + rng.below(8) * 8) & -8;
      world.vtd.store(at, world.vtd.load(at) ^ (1n << BigInt(rng.below(64))));
      break;
    }
    case 1:
      world.vtd.submit(FLUSHES[rng.below(FLUSHES.length)]!);
      break;
    case 2:
      for (const request of world.pageRequests()) {
        if (rng.below(3) === 0) continue;
        if (rng.below(2) === 0)
          world.map(5 + rng.below(2), request['ADDR']! * 4096, 0x200000 + rng.below(64) * 4096);
        world.respond(request, [0, 0, 0, 1, 15][rng.below(5)]!);
      }
      break;
    case 3:
      world.flush(5 + rng.below(2), 0x10000 + rng.below(16) * 4096);
      break;
    case 4:
      world.wait(rng.below(20_000_000));
      world.vtd.clearFaults();
      break;
    case 5:
      world.frames.setRegister(SVM_INVALIDATION, rng.below(4));
      break;
    case 6:
      world.fn.configWrite(0x100 + rng.below(64) * 4, 4, rng.below(2) === 0 ? rng.next() : 0x80010001);
      break;
    default:
      world.frames.set(frame, FRAME_CONTROL, rng.next() & ~(1 << FRAME_CONTROL.fields.IRQ.lo));
      world.frames.start(frame, {
        op: OPERATIONS[rng.below(OPERATIONS.length)]!,
        pasid: 4 + rng.below(4),
        src: address(rng),
        dst: address(rng),
        size: rng.below(3) === 0 ? 8 : rng.below(8192),
        control: {
          PASID_VALID: rng.below(8) === 0 ? 0 : 1,
          PRI: rng.below(2),
          ACCESS: rng.below(8),
          LAST: rng.below(2),
          AHEAD: rng.below(4),
          GROUP_FIXED: rng.below(2),
          GROUP: rng.below(512),
          NO_ATS: rng.below(4) === 0 ? 1 : 0,
          RAW_AT: rng.below(4),
          EXECUTE: rng.below(2),
          PRIVILEGED: rng.below(2),
        },
      });
  }
}

test.each([1, 2, 3])(
  'bad tables, answers and operations end in errors, never in a crash (seed %d)',
  (seed) => {
    const rng = new Rng(seed);
    let world = new SvmVtd();
    for (let i = 0; i < 12_000; i++) {
      // Turned-over tables stay so: now and then everything is made anew.
      if (i % 1000 === 999) world = new SvmVtd();
      step(world, rng);
    }

    world.frames.setRegister(SVM_COMMAND, 1);
    world.engine.reset('warm');
    expect(world.engine.agent.outstanding).toBe(0);
    expect(world.engine.agent.entries).toEqual([]);
  },
);
