import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import type { VtdIommu } from '../../../viommu/vtd/device.ts';
import { AT_TRANSLATED, AT_TRANSLATION, type DmaPort, NO_PASID } from '../../../vmm/bus/dma.ts';
import type { Schema } from '../../../vmm/state/schema.ts';
import { runs } from '../../kit/runs.ts';
import { CONTEXTS, IRT, QUEUE, ROOT, VtdMachine } from '../../kit/vtd-machine.ts';

const DEVICES = [0x08, 0x18, 0x19, 0x0408] as const;

/** One random operation of software or of a device, as plain data. */
type Operation =
  | { kind: 'dma'; device: number; page: number; access: number; odd: number }
  | { kind: 'message'; device: number; index: number; data: number }
  | { kind: 'descriptor'; q0: bigint; q1: bigint }
  | { kind: 'entry'; slot: number; value: bigint }
  | { kind: 'context'; device: number; q0: bigint; q1: bigint }
  | { kind: 'irte'; index: number; q0: bigint }
  | { kind: 'register'; offset: number; size: number; lo: number; hi: number }
  | { kind: 'command'; value: number }
  | { kind: 'clear' };

const page = fc.constantFrom(0, 1, 2, 5, 0x200, 0x201, 0x40000, 0xfee00, 0x8000000);
const word = fc.oneof(fc.nat(0xffff), fc.integer({ min: 0, max: 0xffffffff }));
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('dma' as const),
      device: fc.nat(3),
      page,
      access: fc.nat(7),
      odd: fc.nat(9),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('message' as const),
      device: fc.nat(3),
      index: fc.nat(9),
      data: fc.constantFrom(0, 1, 0x10000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('descriptor' as const),
      q0: fc.constantFrom(
        0x11n,
        0x5_0021n,
        0x18_0000_0031n,
        0x12n,
        0x5_0022n,
        0x5_0032n,
        0x6_0032n,
        0x4n,
        0x14n,
        0x35n,
        0x18_0000_0003n,
        0xfn,
      ),
      q1: fc.constantFrom(0n, 0x5000n, 0x40n, 9n, 12n, 0x20_0000n),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('entry' as const),
      slot: fc.nat(11),
      value: fc.constantFrom(
        0n,
        0x8001n,
        0x8002n,
        0x9003n,
        0x20_0083n,
        0x4000_0083n,
        0x8803n,
        0x10_1003n,
        0x10_2003n,
        0x7000_0003n,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('context' as const),
      device: fc.nat(3),
      q0: fc.constantFrom(0n, 2n, 0x10_0001n, 0x10_0003n, 0x10_0005n, 0x9n, 0x7000_0001n),
      q1: fc.constantFrom(0x501n, 0x502n, 0x602n, 0x500n, 0x582n),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('irte' as const),
      index: fc.nat(9),
      q0: fc.constantFrom(0n, 0x41_0001n, 0x42_0003n, 0x43_8001n),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('register' as const),
      offset: fc.nat(0x240),
      size: fc.constantFrom(1, 2, 4, 8),
      lo: word,
      hi: word,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      value: fc.constantFrom(0xc6000000, 0xc6800000, 0x86000000, 0x46000000, 0x02000000, 0xc7000000, 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

/** A machine with tables of which every entry that `entry` operations may store is reachable. */
class World {
  readonly m: VtdMachine;
  readonly ports: DmaPort[];
  readonly log: unknown[] = [];

  constructor(config: Partial<VtdConfig> = {}) {
    this.m = new VtdMachine({ config: { 'fault-records': 3, 'protected-memory': true, ...config } });
    this.ports = DEVICES.map((d) => this.m.port(d));
    this.m.store(ROOT, CONTEXTS | 1);
    this.m.store(ROOT + 4 * 16, CONTEXTS | 1);
    for (let i = 0; i < 3; i++) this.m.store(0x10_0000 + i * 4096, (0x10_1000 + i * 4096) | 3);
    for (const device of [0x08, 0x18, 0x0408]) {
      this.m.store(CONTEXTS + (device & 0xff) * 16, 0x10_0001n);
      this.m.store(CONTEXTS + (device & 0xff) * 16 + 8, config['aw-bits'] === 39 ? 0x501n : 0x502n);
    }
    this.m.start(0x02000000);
    this.m.startInterrupts();
  }

  apply(op: Operation): void {
    const { m } = this;
    switch (op.kind) {
      case 'dma':
        this.#dma(op.device, op.page, op.access, op.odd);
        return;
      case 'message':
        this.ports[op.device]!.at = 0;
        this.ports[op.device]!.pasid = NO_PASID;
        this.log.push(this.ports[op.device]!.message(0xfee00010 | (op.index << 5), 0, op.data));
        return;
      case 'descriptor':
        m.store(QUEUE + (Number(m.head) & 0xff0), op.q0);
        m.store(QUEUE + (Number(m.head) & 0xff0) + 8, op.q1);
        m.write32(0x88, (Number(m.head) + 16) & 0xff0);
        return;
      case 'entry':
        m.store(0x10_0000 + Math.floor(op.slot / 3) * 4096 + (op.slot % 3) * 8, op.value);
        return;
      case 'context':
        m.store(CONTEXTS + (DEVICES[op.device]! & 0xff) * 16, op.q0);
        m.store(CONTEXTS + (DEVICES[op.device]! & 0xff) * 16 + 8, op.q1);
        return;
      case 'irte':
        m.store(IRT + op.index * 16, op.q0);
        return;
      case 'register':
        m.bus.write(m.base + op.offset, op.size, op.lo, op.size === 8 ? op.hi : 0);
        return;
      case 'command':
        m.write32(0x18, op.value);
        return;
      case 'clear':
        m.clearFaults();
    }
  }

  #dma(device: number, pageNumber: number, access: number, odd: number): void {
    const port = this.ports[device]!;
    port.at = odd === 0 ? AT_TRANSLATION : odd === 1 ? AT_TRANSLATED : 0;
    port.pasid = odd === 2 ? 7 : NO_PASID;
    const status = port.translate(pageNumber << 12, odd === 3 ? 0x10000 : 0, access);
    this.log.push([status, status === 0 ? [port.outLo, port.outHi, port.outSpan] : 0]);
  }

  /** Everything software can see. */
  seen(): unknown {
    const registers = Array.from({ length: 0x260 / 4 }, (_, i) => this.m.read32(i * 4));
    return { log: this.log, registers, delivered: this.m.delivered, faults: this.m.faults };
  }
}

const CONFIGS = [
  {},
  { 'caching-mode': true },
  { cache: 'none' as const },
  { 'device-iotlb': true, 'snoop-control': true, 'aw-bits': 39 as const, zlr: true },
];

describe.each(CONFIGS)('any sequence of operations with %j', (config) => {
  test('dropping the cache at any moment cannot be noticed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(operation, fc.boolean()), { maxLength: 80 }), (steps) => {
        const plain = new World(config);
        const dropping = new World(config);
        for (const [op, drop] of steps) {
          plain.apply(op);
          if (drop) dropping.m.device.dropCache();
          dropping.apply(op);
        }
        expect(dropping.seen()).toEqual(plain.seen());
        expect(save(dropping)).toEqual(save(plain));
      }),
      { numRuns: runs(25) },
    );
  });

  test('a unit loaded in the middle goes on as the saved one', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 60 }),
        fc.array(operation, { maxLength: 40 }),
        (before, after) => {
          const first = new World(config);
          for (const op of before) first.apply(op);
          const second = new World(config);
          second.m.ram.u8.set(first.m.ram.u8.subarray(0, first.m.ram.end));
          second.m.device.stateDef().load(second.m.device.s, save(first), 'iommu0');
          second.m.device.dropCache();
          for (const w of [first, second]) {
            w.log.length = 0;
            w.m.delivered.length = 0;
            w.m.faults.length = 0;
            for (const op of after) w.apply(op);
          }
          expect(second.seen()).toEqual(first.seen());
          expect(save(second)).toEqual(save(first));
        },
      ),
      { numRuns: runs(12, 3) },
    );
  });
});

function saved(device: VtdIommu) {
  return JSON.parse(JSON.stringify(device.stateDef().save(device.s)));
}

function save(world: World) {
  return saved(world.m.device);
}

describe('the state', () => {
  test('a unit has exactly the slots s, w and c', () => {
    expect(Object.keys(new VtdMachine().device).sort()).toEqual(['c', 's', 'w']);
  });

  test('every leaf shows in a snapshot, and loading undoes a change of it', () => {
    const { device } = new World().m;
    const def = device.stateDef();
    const shape = (def.schema as unknown as { shape: Record<string, Schema<unknown>> }).shape;
    const before = JSON.stringify(def.save(device.s));

    for (const [name, schema] of Object.entries(shape)) {
      const s = device.s as unknown as Record<string, unknown>;
      s[name] = schema.mutate(s[name]);
      expect(JSON.stringify(def.save(device.s)), name).not.toBe(before);
      def.load(device.s, JSON.parse(before), 'iommu0');
      expect(JSON.stringify(def.save(device.s)), name).toBe(before);
    }
  });

  test('a cold reset leaves what a new unit has', () => {
    const world = new World();
    const fresh = new VtdMachine({ config: world.m.device.w.config }).device;
    for (const op of fc.sample(operation, { numRuns: 200, seed: 7 })) world.apply(op);

    world.m.device.reset('cold');

    expect(saved(world.m.device)).toEqual(saved(fresh));
  });

  test('random values all over the registers and tables never throw', () => {
    const word32 = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(0x1000), fc.constantFrom(1, 2, 4, 8), word32, word32), { maxLength: 200 }),
        (writes) => {
          const { m, ports } = new World({ invalidation: 'async' });
          for (const [offset, size, lo, hi] of writes) {
            m.bus.write(m.base + offset, size, lo, size === 8 ? hi : 0);
            m.bus.read(m.base + offset, size);
            m.store(lo & 0xff_fff8 & ~7, BigInt(hi));
            ports[lo & 3]!.translate(lo, hi & 0xffff, hi & 3);
            ports[hi & 3]!.message(0xfee00000 | (lo & 0xfffff), 0, hi);
            m.clock.advanceTo(m.clock.now + (hi & 1023));
          }
        },
      ),
      { numRuns: runs(60) },
    );
  });
});
