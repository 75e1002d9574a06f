import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { LIMITS } from '../../../viommu/spec/vtd/limits.ts';
import { VTD_DEFAULTS } from '../../../viommu/vtd/config.ts';
import { vtdFeatures, vtdFeatureTable } from '../../../viommu/vtd/features.ts';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { AT_TRANSLATION, DMA_UR, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { recordText } from '../../../vmm/trace/tracer.ts';
import { CONTEXTS, IRT, type MachineOptions, QUEUE, ROOT, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;

function traced(glob: string, options: MachineOptions = {}) {
  const m = new VtdMachine(options);
  const lines: string[] = [];
  m.tracer.select(glob);
  m.tracer.addSink((r) => lines.push(recordText(r).trim()));
  const top = m.page();
  m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
  const leaf = m.map(top, 4, 0x5000, 0x8001);
  m.start();
  return { m, top, leaf, lines, port: m.port(DEV) };
}

describe('explanations', () => {
  test('a fault names every entry read, raw and decoded, with its last writer', () => {
    const { m, leaf, port } = traced('', {
      lastWriter: (address) => (address === CONTEXTS + DEV * 16 ? 'attach (driver.c:12)' : undefined),
    });

    port.translate(0x5678, 0, WRITE);

    expect(m.faults).toEqual([
      {
        iommu: 'iommu0',
        requester: 0x18,
        pasid: -1,
        address: '0x5678',
        access: 'write',
        code: '05h',
        name: 'LGN.2',
        why: 'a write or AtomicOp needs W=1 in every second-stage entry on the way (VT-d: Fault Conditions for DMA Remapping (legacy mode))',
        recorded: true,
        steps: [
          {
            what: 'root entry',
            address: '0x1000',
            raw: ['0x0000000000002001', '0x0000000000000000'],
            fields: 'P=1 CTP=2',
            source: 'memory',
            lastWriter: undefined,
          },
          {
            what: 'context entry',
            address: '0x2180',
            raw: ['0x0000000000100001', '0x0000000000000502'],
            fields: 'P=1 SSPTPTR=0x100 AW=2 (48-bit) DID=5',
            source: 'memory',
            lastWriter: 'attach (driver.c:12)',
          },
          ...['SS-PML4E', 'SS-PDPE', 'SS-PDE'].map((what) =>
            expect.objectContaining({ what, source: 'memory' }),
          ),
          {
            what: 'SS-PTE',
            address: `0x${leaf.toString(16)}`,
            raw: ['0x0000000000008001'],
            fields: 'R=1 W=0 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=8',
            source: 'memory',
            lastWriter: undefined,
          },
        ],
      },
    ]);
  });

  test('entries that caches gave are marked so', () => {
    const { m, top, port } = traced('');
    port.translate(0x5000, 0, READ);

    port.translate(0x6000, 0, READ);
    m.map(top, 4, 0x7000, 0x8801);
    port.translate(0x5000, 0, WRITE);

    const steps = m.faults.map((f) => f.steps.map((s) => `${s.what}: ${s.source}`));
    expect(steps).toEqual([
      ['context entry: cache', 'paging-structure cache: cache', 'SS-PTE: memory'],
      ['context entry: cache', 'IOTLB entry: cache'],
    ]);
    expect(m.faults[1]?.steps[1]?.fields).toBe('R=1 W=0 page=0x8000 size=4 KiB DID=5');
  });

  test('a kept fault of caching mode says which', () => {
    const { m, top, port } = traced('', { config: { 'caching-mode': true } });
    m.map(top, 4, 0x6000, 0x8803);
    port.translate(0x6000, 0, READ);

    port.translate(0x6000, 0, READ);

    expect(m.faults[1]?.steps[1]?.fields).toBe('R=1 W=1 page=0x0 size=4 KiB DID=5 fault=0Ch');
  });

  test('a table outside memory is shown with its whole address', () => {
    const { m, top, port } = traced('');
    m.store(top, 0x12_7000_0003n);

    port.translate(0x5000, 0, READ);

    expect(m.faults[0]?.steps.at(-1)).toMatchObject({
      what: 'SS-PDPE',
      address: '0x1270000000',
      fields: 'not memory',
    });
  });

  test('asking changes neither caches nor records', () => {
    const { m, port } = traced('');
    const before = JSON.stringify(m.device.stateDef().save(m.device.s));

    const good = m.iommu.explain(port, 0x5123, 0, READ);
    const bad = m.iommu.explain(port, 0x6000, 0, READ);
    const message = m.iommu.explain(port, 0xfee00000, 0, WRITE);

    expect([good.outcome, bad.outcome, message.outcome]).toEqual([
      'translates to 0x8123',
      'fault 06h (LGN.3): a read needs R=1 in every second-stage entry on the way',
      'an interrupt message',
    ]);
    expect(good.steps.length).toBe(6);
    expect([JSON.stringify(m.device.stateDef().save(m.device.s)), m.faults]).toEqual([before, []]);
  });

  test('protected memory is named', () => {
    const m = new VtdMachine({ config: { 'protected-memory': true } });
    m.write32(0x64, 0x80000000);

    expect(m.iommu.explain(m.port(DEV), 0x1000, 0, READ).outcome).toMatch(/^blocked: protected memory/);
  });

  test('an interrupt fault shows the entry, cached or fetched', () => {
    const m = new VtdMachine();
    m.startInterrupts();
    m.store(IRT + 5 * 16, 0x41_0001n);
    m.store(IRT + 5 * 16 + 8, 0x4_0018n);
    m.port(DEV).message(0xfee000b0, 0, 0);

    m.port(0x20).message(0xfee000b0, 0, 0);

    expect(m.faults[0]).toMatchObject({ code: '26h', access: 'interrupt', address: '0xfee000b0' });
    expect(m.faults[0]?.steps).toMatchObject([{ what: 'IRTE', source: 'cache' }]);
  });

  test.each([
    [1, 'read'],
    [2, 'write'],
    [3, 'atomic'],
    [4, 'execute'],
  ])('access %i is called %s', (access, name) => {
    const m = new VtdMachine();
    m.start();

    m.port(DEV).translate(0x1000, 0, access);

    expect(m.faults[0]?.access).toBe(name);
  });

  test('a translation request for writing, which asks for reading too, is called write', () => {
    const m = new VtdMachine();
    m.start();
    const port = m.port(DEV);
    port.at = AT_TRANSLATION;

    port.translate(0x1000, 0, READ | WRITE);

    expect(m.faults[0]?.access).toBe('write');
  });
});

describe('watched tables', () => {
  test('a store to a table that was read is written, the invalidation announces it', () => {
    const { m, leaf, lines, port } = traced('vtd_table_*');
    port.translate(0x5000, 0, READ);

    m.store(leaf, 0x9003);
    m.submit(0x5_0032n, 0x5000n);
    m.submit(0x5_0032n, 0x5000n);

    expect(lines).toEqual([
      `0 vtd_table_write structure=SS-PTE address=0x${leaf.toString(16)} old=R=1 ADDR=8 new=R=1 W=1 ADDR=9 by=guest`,
      '0 vtd_table_announced invalidation=iotlb stores=1',
    ]);
  });

  test('stores to tables nobody has read are not reported', () => {
    const { m, leaf, lines } = traced('vtd_table_*');

    m.store(leaf, 0x9003);

    expect(lines).toEqual([]);
  });

  test('stores to tables are ordinary stores once translation, or interrupt remapping, is off', () => {
    const { m, leaf, lines, port } = traced('vtd_table_write');
    m.startInterrupts();
    port.translate(0x5000, 0, READ);
    port.message(0xfee000b0, 0, 0);

    m.disable(0x80000000);
    m.store(leaf, 0x9003);
    m.store(IRT + 0x200, 1n);
    m.disable(0x02000000);
    m.store(IRT + 0x210, 1n);

    expect(lines.map((l) => /structure=(\S+)/.exec(l)?.[1])).toEqual(['IRTE']);
  });

  test('each structure is decoded as what it is', () => {
    const { m, lines, port } = traced('vtd_table_write');
    m.startInterrupts();
    port.translate(0x5000, 0, READ);
    port.message(0xfee000b0, 0, 0);

    m.store(ROOT + 16, 0x3001n);
    m.store(CONTEXTS + 8, 0x602n);
    m.store(IRT, 0x42_0001n);
    m.memory.write32(IRT + 4, 0, 0x300);

    expect(lines.map((l) => l.slice(2))).toEqual([
      'vtd_table_write structure=root entry address=0x1010 old=P=0 new=P=1 CTP=3 by=guest',
      'vtd_table_write structure=context entry address=0x2000 old=P=0 new=P=0 AW=2 (48-bit) DID=6 by=guest',
      'vtd_table_write structure=IRTE address=0x20000 old=P=0 new=P=1 V=0x42 by=guest',
      'vtd_table_write structure=IRTE address=0x20000 old=P=1 V=0x42 new=P=1 V=0x42 DST=0x300 by=dma',
    ]);
  });

  test('a table that a watched entry is made to point to is watched from then on', () => {
    const { m, top, lines, port } = traced('vtd_table_write');
    port.translate(0x5000, 0, READ);

    m.map(top, 4, 0x7000_0000_0000n, 0x9003);

    expect(lines.map((l) => /structure=(\S+)/.exec(l)?.[1])).toEqual([
      'SS-PML4E',
      'SS-PDPE',
      'SS-PDE',
      'SS-PTE',
    ]);
  });

  test('a table nothing points to is ordinary memory after the next invalidation', () => {
    const { m, top, leaf, lines, port } = traced('vtd_table_write');
    port.translate(0x5000, 0, READ);
    const pdpt = Number(m.load(top) & 0xfffff000n);

    m.store(top, 0n);
    m.store(leaf, 1n);
    for (let i = 0; i < 3; i++) {
      m.submit(0x12n);
      m.store(top + 8, BigInt(i) << 12n);
    }
    lines.length = 0;
    m.store(pdpt, 0n);
    m.store(leaf, 0n);

    expect(lines).toEqual([]);
    expect(m.device.s.watched.map((t) => t.page)).not.toContain(leaf >>> 12);
  });

  test('latching another root table ends the watch of the old tables', () => {
    const { m, lines, leaf, port } = traced('vtd_table_write');
    port.translate(0x5000, 0, READ);

    m.write({ offset: 0x20, bytes: 8 }, 0x8000);
    m.command(0x40000000);
    m.store(leaf, 0n);

    expect([lines, m.device.s.watched]).toEqual([[], []]);
  });

  test('a reset ends every watch', () => {
    const { m, lines, leaf, port } = traced('vtd_table_write');
    port.translate(0x5000, 0, READ);

    m.device.reset('cold');
    m.store(leaf, 0n);

    expect(lines).toEqual([]);
  });
});

describe('trace events', () => {
  test('tell of registers, commands, descriptors, faults, events and interrupts', () => {
    const { m, lines, port } = traced('vtd_*');
    m.startInterrupts();
    m.unmaskFaults();
    m.store(IRT + 5 * 16, 0x300_0041_0001n);

    port.translate(0x5000, 0, WRITE);
    port.translate(0x5000, 0, READ);
    port.message(0xfee000b0, 0, 0);
    m.read32(0x34);
    m.submit(0x12n);
    m.submit(0xfn);
    m.disable(0x04000000);
    m.write({ offset: 0x28, bytes: 8 }, 0xa000000000000000n);

    const names = new Set(lines.map((l) => l.split(' ')[1]));
    expect([...names].sort()).toEqual([
      'vtd_context_dropped',
      'vtd_dmar_enable',
      'vtd_dmar_fault',
      'vtd_inv_desc',
      'vtd_inv_error',
      'vtd_inv_register',
      'vtd_iotlb_cc_update',
      'vtd_iotlb_page_update',
      'vtd_ir_enable',
      'vtd_ir_remap',
      'vtd_ir_table',
      'vtd_irq_generate',
      'vtd_reg_read',
      'vtd_reg_write',
      'vtd_root_table',
    ]);
    expect(lines).toContain(
      '0 vtd_dmar_fault sid=00:03.0 reason=0x5 address=0x5000 access=2 recorded=recorded pasid=none entries=0x1000 0x2180 0x100000 0x101000 0x102000 0x103028',
    );
    expect(lines).toContain(
      '0 vtd_inv_error head=0x10 iqei=3 why=the descriptor type is unknown or not supported',
    );
  });
});

describe('views', () => {
  test('show registers, latched pointers and what the caches hold', () => {
    const { m, port } = traced('');
    m.startInterrupts();
    m.store(IRT + 5 * 16, 0x300_0041_0001n);
    port.translate(0x5000, 0, READ);
    port.message(0xfee000b0, 0, 0);

    const text = Object.fromEntries(m.iommu.views.map((v) => [v.name, v.text()]));

    expect(text['iotlb']).toBe('did=5 iova=0x5000 page=0x8000 size=4K access=r-');
    expect(text['contexts']).toBe(
      'requester=00:03.0 raw=0x0000000000100001,0x0000000000000502 P=1 SSPTPTR=0x100 AW=2 (48-bit) DID=5',
    );
    expect(text['interrupts']).toBe('index=5 raw=0x0000030000410001,0x0000000000000000 P=1 V=0x41 DST=0x300');
    expect(text['latched']).toBe('RTADDR=0x1000 IRTA=0x20007 nextFaultRecord=0');
    expect(text['registers']?.split('\n')[4]).toBe(
      'offset=0x1c name=GSTS value=0xc7000000 IRTPS=1 IRES=1 QIES=1 RTPS=1 TES=1',
    );
    m.submit(0x12n);
    m.submit(0x11n);
    m.submit(0x4n);
    const caches = m.iommu.views.filter((v) => ['contexts', 'iotlb', 'interrupts'].includes(v.name));
    expect(caches.map((v) => v.text())).toEqual(['', '', '']);
  });
});

describe('the kind', () => {
  test('checks its options and has the defaults of the schema', () => {
    const schema = INTEL_IOMMU.schema(z as never);

    expect(schema.parse({})).toEqual(VTD_DEFAULTS);
    expect(schema.safeParse({ 'aw-bits': 40 }).success).toBe(false);
    expect(schema.safeParse({ 'fault-records': 15 }).success).toBe(false);
    expect(schema.safeParse({ intrmap: true }).success).toBe(false);
  });

  test('describes itself to the firmware', () => {
    const m = new VtdMachine({ config: { 'aw-bits': 39, 'device-iotlb': true, intremap: false } });

    expect(m.iommu.firmware).toEqual({
      table: 'DMAR',
      base: 0xfed90000,
      haw: 39,
      interruptRemapping: false,
      x2apicOptOut: false,
      deviceTlb: true,
    });
    expect(() => m.device.clockEvent('x')).toThrow('no clock event');
  });

  test('every capability bit, descriptor and fault code has a row in the feature table', () => {
    const rows = vtdFeatures(VTD_DEFAULTS);

    expect(rows).toContainEqual({ feature: 'CAP.PI', advertised: 'no', note: 'Posted interrupts (limit)' });
    expect(rows).toContainEqual({
      feature: 'CAP.MAMV',
      advertised: '0x12',
      note: 'Maximum address mask of page-selective invalidation',
    });
    expect(rows.filter((r) => r.feature.startsWith('descriptor')).map((r) => r.advertised)).toEqual([
      'yes',
      'yes',
      'no',
      'yes',
      'yes',
      'no',
      'no',
      'no',
      'no',
    ]);
    expect(rows.filter((r) => r.feature.startsWith('fault ')).length).toBe(69);
    expect(vtdFeatureTable(VTD_DEFAULTS).split('\n').length).toBe(rows.length + 2);
  });

  test('limits have unique ids', () => {
    expect(new Set(LIMITS.map((l) => l.id)).size).toBe(LIMITS.length);
    expect(QUEUE).toBe(0x10000);
    expect(DMA_UR).toBe(1);
  });
});

describe('bindings', () => {
  test('a requester is told to be bound once its context entry was read, with domain and entry', () => {
    const { lines, port } = traced('vtd_iotlb_cc_update');

    port.translate(0x5000, 0, READ);
    port.translate(0x5008, 0, READ);

    expect(lines).toEqual(['0 vtd_iotlb_cc_update sid=00:03.0 pasid=none did=0x5 low=0x100001 high=0x502']);
  });

  test.each([
    ['global', 0x11n, ['by= sid=00:00.0 did=0x0 pasid=none']],
    ['domain-selective', 0x5_0021n, ['by=did sid=00:00.0 did=0x5 pasid=none']],
    ['device-selective', 0x0018_0005_0031n, ['by=sid sid=00:03.0 did=0x0 pasid=none']],
    [
      'device-selective with function mask 1',
      0x1_0018_0005_0031n,
      ['by=sid sid=00:03.0 did=0x0 pasid=none', 'by=sid sid=00:03.4 did=0x0 pasid=none'],
    ],
  ])('a %s context invalidation tells whose entries are dropped', (_, descriptor, dropped) => {
    const { m, lines, port } = traced('vtd_context_dropped');
    port.translate(0x5000, 0, READ);
    lines.length = 0;

    m.submit(descriptor);

    expect(lines).toEqual(dropped.map((args) => `0 vtd_context_dropped ${args}`));
  });
});
