import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../../vmm/monitor/table.ts';
import { idleMonitor } from '../../kit/monitor.ts';

const SMMU = 0x09050000;
const [STREAMS, CDS, TABLES, DATA] = [0x40010000, 0x40020000, 0x40030000, 0x40100000];
const EDU = 0x10;

/** edu0 (00:02.0) with PASID 1: 0x5000 leads to DATA, read-only. */
function translated() {
  const rig = idleMonitor({ machine: 'virt' });
  const { machine } = rig.monitor;
  const store = (address: number, lo: number, hi: number) => {
    machine.ram.u32[address >>> 2] = lo;
    machine.ram.u32[(address >>> 2) + 1] = hi;
    machine.ram.wrote(address, 8);
  };
  const write = (offset: number, size: number, lo: number) => machine.mmio.write(SMMU + offset, size, lo, 0);
  store(STREAMS + EDU * 64 + 8, 0x08000002, 0);
  store(STREAMS + EDU * 64, CDS | 0xb, 0x30000000);
  store(CDS + 64 + 8, TABLES, 0);
  store(CDS + 64, 0xc0000019, 0x00096204);
  store(TABLES, (TABLES + 0x1000) | 3, 0);
  store(TABLES + 0x1000, (TABLES + 0x2000) | 3, 0);
  store(TABLES + 0x2000 + 5 * 8, DATA | 0x7c3, 0);
  write(0x80, 8, STREAMS);
  write(0x88, 4, 8);
  write(0x20, 4, 1);
  return rig;
}

describe('xlate on virt', () => {
  test('explains a mapped address entry by entry', () => {
    const { monitor } = translated();
    const lines = monitor.execute('xlate 00:02.0 pasid=1 0x5678').split('\n');

    expect(lines.map((line) => line.split(' = ')[0])).toEqual([
      'read of 0x5678 by 00:02.0 pasid 1',
      '  stream table entry at 0x40010400',
      '  context descriptor at 0x40020040',
      '  stage 1 level 1 at 0x40030000',
      '  stage 1 level 2 at 0x40031000',
      '  stage 1 level 3 at 0x40032028',
      '  translates to 0x40100678',
    ]);
  });

  test('explains a write to a page that may only be read', () => {
    const { monitor } = translated();

    expect(monitor.execute('xlate edu0 pasid=1 0x5678 w').split('\n').at(-1)).toBe(
      '  event 13h (F_PERMISSION): stage 1: the tables do not permit the access',
    );
  });

  test('changes nothing', () => {
    const { monitor } = translated();
    const before = JSON.stringify(monitor.units().map((unit) => unit.save()));

    monitor.execute('xlate 00:02.0 pasid=1 0x5678');
    monitor.execute('xlate 00:02.0 0x40000000 w');

    expect(JSON.stringify(monitor.units().map((unit) => unit.save()))).toBe(before);
    expect(monitor.execute('info faults')).toBe('');
    expect(monitor.execute('info iotlb')).toBe('no translation is cached');
  });
});

describe('info on virt', () => {
  test.each([
    ['pci', /^00:00\.0 1b36:0008 class 060000 host-bridge none\n00:02\.0 1234:11e8 class 00ff00 edu0/],
    ['mtree', /memory 0x0009050000-0x000906ffff iommu\n/],
    ['iommu', /^Every register with its fields:\n +0x0 IDR0 +0x0ccd369b S2P=1 S1P=1/],
    ['iotlb', /^no translation is cached$/],
    ['queues', /^command queue: base=0x0 entries=1 prod=0x00000000 cons=0x00000000\nevent queue/],
    ['faults', /^$/],
    ['irq', /^distributor/],
    ['limits', /smmu-52-bit: /],
    ['trace', /smmuv3_table_write\(/],
    ['pasid', /^translation is off$/],
    ['status', /^VM status: prelaunch$/],
  ])('%s', (topic, text) => {
    expect(idleMonitor({ machine: 'virt' }).monitor.execute(`info ${topic}`)).toMatch(text);
  });

  test('pasid goes from the STE to the CD', () => {
    const lines = translated().monitor.execute('info pasid').split('\n');

    expect(lines.map((line) => line.split(' = ')[0])).toEqual([
      '00:02.0 pasid 1',
      '  stream table entry at 0x40010400',
      '  context descriptor at 0x40020040',
    ]);
  });

  test('faults are explained', () => {
    const { monitor } = translated();
    monitor.machine.root.configWrite(0x10, 4, 2, 7);
    monitor.machine.pciDevice('edu0')!.fn.w.dma.read(0x40000000, 0, new Uint8Array(4), 0, 4);

    expect(monitor.execute('info faults')).toMatch(
      /^iommu: read of 0x40000000 by 00:02\.0 refused: fault 0Ah \(C_BAD_CD\)/,
    );
  });
});

test('inspect walks the tree of the state by name', () => {
  const { monitor } = translated();

  expect(monitor.execute('inspect iommu.regs.CR0')).toBe('0x00000001');
  expect(monitor.execute('inspect iommu.watched')).toMatch(/\S/);
});

/** What q35 answers without a guest, with what differs by machine taken out. */
function answers(machine?: 'virt'): Map<string, string> {
  const out = new Map<string, string>();
  const { client } = idleMonitor(machine === undefined ? {} : { machine });
  for (const { name } of COMMANDS) {
    if (/quit|powerdown|reset|capabilities/.test(name)) continue;
    let answer = 'ok';
    try {
      client.value(name);
    } catch (e) {
      answer = (e as Error).message;
    }
    out.set(name, answer);
  }
  return out;
}

test('every command is there on virt as on q35', () => {
  expect(answers('virt')).toEqual(answers());
});
