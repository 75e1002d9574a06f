import { describe, expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { tableTree } from '../../../viommu/smmuv3/table-tree.ts';
import { smmuViews } from '../../../viommu/smmuv3/views.ts';
import { READ } from '../../../vmm/bus/dma.ts';
import type { TableNode } from '../../../vmm/bus/iommu.ts';
import {
  CMDQEN,
  CONTEXT,
  DATA,
  EVENTQEN,
  REG,
  SMMUEN,
  SmmuMachine,
  STREAMS,
  TABLE,
} from '../../kit/smmu-machine.ts';

const DEV = 0x18;
const ON = CMDQEN | EVENTQEN | SMMUEN;
const FIRST = 0x4007_0000;
const SECOND = 0x4007_4000;
const CDS = 0x4007_8000;

function machine(config: Partial<SmmuConfig> = {}) {
  return new SmmuMachine({ config: { svm: true, ...config } });
}

/** Path of first children. */
function spine(node: TableNode | undefined): string[] {
  return node === undefined ? [] : [`${node.what} ${node.of}`, ...spine(node.children[0])];
}

/** 00:03.0 with two-level tables of streams and of CDs; PASID 67 maps page 0. */
function twoLevels() {
  const m = machine();
  m.start(CMDQEN | EVENTQEN);
  m.write64(0x80, FIRST);
  m.write32(0x88, 0x1_0190);
  m.store(FIRST, BigInt(SECOND) | 7n);
  m.store(SECOND + DEV * 64, (20n << 59n) | BigInt(CONTEXT) | 0x1bn);
  m.store(CONTEXT + 8, BigInt(CDS) | 1n);
  m.store(CDS + 3 * 64 + 8, BigInt(TABLE));
  m.store(CDS + 3 * 64, (9n << 48n) | 0x0000_6204_c000_0019n);
  m.map();
  m.write32(REG.cr0, ON);
  return m;
}

const viewOf = (m: SmmuMachine, name: string) => smmuViews(m.device).find((v) => v.name === name)!;

describe('the table tree', () => {
  test('goes over two levels of streams and of CDs down the page tables, with ranges', () => {
    const m = twoLevels();

    const { roots, cut } = tableTree(m.device, 100);

    expect(spine(roots[0])).toEqual([
      'L1 stream table descriptor 00:00.0 - 00:07.7',
      'stream table entry 00:03.0',
      'L1 context descriptor PASID 64 - 127',
      'context descriptor PASID 67',
      'stage 1 level 1 0x0 - 0x3fffffff',
      'stage 1 level 2 0x0 - 0x1fffff',
      'stage 1 level 3 0x0 - 0xfff',
    ]);
    expect(cut).toBe(false);
  });

  test('names tables and pages by what they are', () => {
    const nodes: TableNode[] = [];
    for (let n = tableTree(twoLevels().device, 100).roots[0]; n !== undefined; n = n.children[0])
      nodes.push(n);

    expect(nodes.at(-2)!.fields.map((f) => f.name)).toContain('APTable');
    expect(nodes.at(-1)!.fields.map((f) => f.name)).toContain('DBM');
    expect(nodes.at(-1)).toMatchObject({ address: '0x40062000', raw: ['0x0000000040100743'] });
  });

  test('follows pointers of stage 1 through stage 2', () => {
    const m = machine();
    const stage2 = 0x4008_0000;
    const ste = STREAMS + DEV * 64;
    // One 1 GiB block: IPA 0 is 40000000h.
    m.store(stage2, 0x4000_07fdn);
    m.store(ste + 8, 1n << 27n);
    m.store(ste + 16, (1n << 51n) | (4n << 48n) | (1n << 38n) | (25n << 32n) | 7n);
    m.store(ste + 24, BigInt(stage2));
    m.store(ste, 0x2_0000n | 0xfn);
    m.store(CONTEXT + 8, 0x6_0000n);
    m.store(CONTEXT, (9n << 48n) | 0x0000_6204_c000_0019n);
    m.store(TABLE, 0x6_1003n);
    m.start(ON);

    const [root] = tableTree(m.device, 100).roots;

    expect(spine(root)).toEqual([
      'stream table entry 00:03.0',
      'context descriptor 00:03.0',
      'stage 1 level 1 0x0 - 0x3fffffff',
    ]);
    expect(root!.children[0]!.address).toBe('0x40020000');
    expect(root!.children[1]).toMatchObject({ what: 'stage 2 level 1', of: '0x0 - 0x3fffffff' });
  });

  test('says of ILLEGAL entries that nothing follows', () => {
    const m = machine();
    m.stage1(DEV, { AA64: 0 });
    m.ste(1, { Config: 6 });
    m.start(ON);

    const { roots } = tableTree(m.device, 100);

    expect(roots.map(({ of, note }) => [of, note])).toEqual([
      ['00:00.1', 'it is ILLEGAL: C_BAD_STE'],
      ['00:03.0', undefined],
    ]);
    expect(roots[1]!.children[0]!.note).toBe('it is ILLEGAL: C_BAD_CD');
  });

  test('gives no more entries than were asked for, and says so', () => {
    const { cut } = tableTree(twoLevels().device, 3);

    expect(cut).toBe(true);
  });

  test('is empty while the unit is off', () => {
    const m = twoLevels();
    m.write32(REG.cr0, 0);

    expect(tableTree(m.device, 100).roots).toEqual([]);
  });
});

describe('info pasid', () => {
  test('lists PASIDs with every entry on the way', () => {
    expect(viewOf(twoLevels(), 'pasid').json()).toMatchObject({
      cut: false,
      pasids: [
        {
          requester: '00:03.0',
          pasid: 67,
          cache: 'none',
          steps: [
            { what: 'L1 stream table descriptor' },
            { what: 'stream table entry', fields: expect.stringContaining('Config=5 (stage 1)') },
            { what: 'L1 context descriptor' },
            { what: 'context descriptor', fields: expect.stringContaining('ASID=9') },
          ],
        },
      ],
    });
  });

  test('says what is cached, and what the cache has otherwise', () => {
    const m = twoLevels();
    const port = m.port(DEV);
    port.pasid = 67;
    m.device.translate(port, 0, 0, READ);
    const same = viewOf(m, 'pasid').text().split('\n')[0];
    m.store(CDS + 3 * 64, (8n << 48n) | 0x0000_6204_c000_0019n);
    const stale = viewOf(m, 'pasid').text().split('\n');

    expect(same).toBe('00:03.0 pasid 67 [cached]');
    expect(stale[0]).toBe('00:03.0 pasid 67 [the cache says something else]');
    expect(stale.at(-1)).toMatch(/^ {2}in the cache = 0x00096204c0000019 .* ASID=9/);
  });

  test('a stream without substreams has none', () => {
    const m = machine();
    m.stage1(DEV);
    m.map();
    m.start(ON);
    m.device.translate(m.port(DEV), 0, 0, READ);

    expect(viewOf(m, 'pasid').text().split('\n')[0]).toBe('00:03.0 [cached]');
  });

  test('while the unit is off it says so', () => {
    expect(viewOf(machine(), 'pasid').text()).toBe('translation is off');
  });

  test('changes nothing', () => {
    const m = twoLevels();
    const before = JSON.stringify(m.device.stateDef().schema.save(m.device.s as never));

    viewOf(m, 'pasid').text();
    tableTree(m.device, 100);

    expect(JSON.stringify(m.device.stateDef().schema.save(m.device.s as never))).toBe(before);
  });
});

test('info queues shows what waits', () => {
  const m = machine();
  m.start(EVENTQEN | SMMUEN);
  m.queue(0x30n);
  m.write32(REG.cmdqProd, 1);
  m.device.translate(m.port(DEV), DATA, 0, READ);

  expect(viewOf(m, 'queues').text().split('\n')).toEqual([
    'command queue: base=0x40030000 entries=16 prod=0x00000001 cons=0x00000000',
    '  0x40030000: 0x0000000000000030 0x0000000000000000',
    'event queue: base=0x40040000 entries=16 prod=0x00000001 cons=0x00000000',
    '  0x40040000: 0x0000001800000004 0x0000000000000000 0x0000000000000000 0x0000000000000000',
    'PRI queue: base=0x40050000 entries=16 prod=0x00000000 cons=0x00000000',
  ]);
});
