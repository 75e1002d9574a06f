/**
 * Assigned devices: what the guest's IOMMU forwards to that of the host, from the guest's doorbell to its end; page requests of the
 * device on their way back; the same DMA by the path through the hardware, by the software path, and of an emulated device.
 */
import {
  FRAME_CONTROL,
  FRAME_DST,
  FRAME_OP,
  FRAME_PASID,
  FRAME_SIZE,
  FRAME_SRC,
  FRAME_STATUS,
  SVM_OP,
} from '../../devices/ep/svm-engine-registers.ts';
import { PAGE_REQUEST_BYTES } from '../../viommu/spec/vtd/descriptors.ts';
import { PQH, PQT } from '../../viommu/spec/vtd/registers.ts';
import { type NestedOptions, NestedVtd, PRQ, PRQ_BYTES } from '../kit/nested.ts';
import { shuffled } from './kit/dma.ts';
import { Queue } from './kit/guest-queue.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const BATCH = 256;
const PASID = 5;
const SECOND = 6;
const AT = 0x8000_0000;
const DATA = 0x40_0000;
const PAGES = 1024;
const OPERATIONS = 512;

/** Doorbells of one round trip each that are timed as one: the clock is not finer. */
const TIMES = 32;

/** `count` invalidations of a page, and a wait. */
function invalidations(count: number): Contender {
  const world = new NestedVtd();
  world.map(AT, DATA);
  const queue = new Queue(world);
  return {
    name: `${count} pages`,
    operations: count * TIMES,
    run: () => {
      for (let n = 0; n < TIMES; n++) {
        for (let i = 0; i < count; i++) queue.put((PASID << 16) | 0x36, PASID, (AT + i * 4096) | 0x40, 0);
        queue.finish();
      }
    },
  };
}

/**
 * Pages of a second stage with caching mode, each mapped on the host and unmapped again, by an invalidation of it each time: the
 * guest's store, its doorbell, and a wait.
 */
function shadowed(count: number): Contender {
  const world = new NestedVtd({ 'caching-mode': true }, { mode: 'shadow' });
  const { vtd } = world;
  const top = vtd.page();
  const leaf = vtd.map(top, 4, AT, DATA | 3);
  vtd.pasid(SECOND, { PGTT: 2, AW: 2, DID: SECOND, SSPTPTR: top });
  const queue = new Queue(world);
  // PASID-cache, of the PASID.
  queue.put((SECOND << 16) | 0x17, SECOND, 0, 0);
  queue.finish();
  const { u32 } = vtd.ram;
  const all = (entry: number) => {
    for (let i = 0; i < count; i++) {
      u32[(leaf >>> 2) + 2 * i] = entry === 0 ? 0 : entry + i * 4096;
      queue.put((SECOND << 16) | 0x32, 0, AT + i * 4096, 0);
    }
    queue.finish();
  };
  return {
    name: `${count} shadowed`,
    operations: count * TIMES,
    run: () => {
      for (let n = 0; n < TIMES; n++) {
        all(DATA | 3);
        all(0);
      }
    },
  };
}

/** Page requests of the device, each up to its record in the guest's queue; the guest's answers are no part of it. */
function relay(): Contender {
  const world = new NestedVtd();
  const queue = new Queue(world);
  const { frames, machine, vtd } = world;
  const { clock } = machine;
  const { u32 } = vtd.ram;
  for (let frame = 0; frame < TIMES; frame++) {
    frames.set(frame, FRAME_CONTROL, FRAME_CONTROL.pack({ PASID_VALID: 1, ACCESS: 1, LAST: 1 })[0]!);
    frames.set(frame, FRAME_PASID, PASID);
    frames.set(frame, FRAME_DST, AT + frame * 4096);
  }
  const tailNow = () => vtd.bus.read(vtd.base + PQT.offset, 8);
  let head = tailNow();
  return {
    name: 'relay',
    operations: TIMES,
    prepare: () => {
      for (const tail = tailNow(); head !== tail; head = (head + PAGE_REQUEST_BYTES) & (PRQ_BYTES - 1)) {
        const i = (PRQ + head) >>> 2;
        // Page group response: type 9, PP, the requester, the PASID, and the group of the request.
        queue.put(0x19 | (u32[i]! & -0x10000), PASID, 4 | (u32[i + 2]! & 0xff8), 0);
      }
      vtd.bus.write(vtd.base + PQH.offset, 8, head, 0);
      queue.finish();
      // The device goes on with its next event.
      clock.advanceTo(clock.now);
    },
    run: () => {
      let before = head;
      for (let frame = 0; frame < TIMES; frame++) {
        frames.set(frame, FRAME_OP, SVM_OP.pageRequest);
        clock.advanceTo(clock.now);
        const tail = tailNow();
        if (tail === before) throw new Error('no request came');
        before = tail;
      }
    },
  };
}

/** Copies between pages, small ones and whole pages, each page again and again. */
function mix(name: string, options: NestedOptions): Contender {
  const world = new NestedVtd({}, options);
  for (let i = 0; i < PAGES; i++) world.map(AT + i * 4096, DATA + i * 4096);
  const { frames } = world;
  const order = shuffled(PAGES);
  frames.set(0, FRAME_CONTROL, FRAME_CONTROL.pack({ PASID_VALID: 1 })[0]!);
  frames.set(0, FRAME_PASID, PASID);
  return {
    name,
    operations: OPERATIONS,
    run: () => {
      for (let i = 0; i < OPERATIONS; i++) {
        frames.set(0, FRAME_SRC, AT + order[2 * i]! * 4096);
        frames.set(0, FRAME_DST, AT + order[2 * i + 1]! * 4096);
        frames.set(0, FRAME_SIZE, (i & 3) === 0 ? 4096 : 64);
        frames.set(0, FRAME_OP, SVM_OP.memcpy);
      }
      if (Number(frames.get(0, FRAME_STATUS)) !== 0) throw new Error('a copy failed');
    },
  };
}

async function main(): Promise<void> {
  const [one, many, round] = [invalidations(1), invalidations(BATCH), relay()];
  const paths = [mix('nested', {}), mix('software', { mode: 'software' }), mix('emulated', { host: false })];
  const shadows = [shadowed(1), shadowed(BATCH)] as const;
  const times = await rounds([one, many, round, ...paths, ...shadows]);
  figure('page-selective invalidation, guest doorbell to physical VT-d done', 'ns', times[one.name]!, {
    text: '<= 3 us',
    value: 3000,
  });
  figure(`the same, each of ${BATCH}`, 'ns', times[many.name]!, { text: '<= 500 ns', value: 500 });
  figure("page request of a device to its record in the guest's queue", 'ns', times[round.name]!, {
    text: '<= 5 us',
    value: 5000,
  });
  figure('shadowed page mapped and unmapped, by an invalidation each', 'ns', times[shadows[0].name]!, {
    text: '<= 3 us',
    value: 3000,
  });
  figure(`the same, each of ${BATCH}`, 'ns', times[shadows[1].name]!);
  const limit = { text: '<= 1.3x', ratio: 1.3 };
  const software = { name: 'software path', values: times['software']! };
  compare('copies of an assigned device, nested', 'ns', times['nested']!, software, limit);
  compare('copies of an assigned device, nested', 'ns', times['nested']!, {
    name: 'emulated device',
    values: times['emulated']!,
  });
  finish();
}

await main();
