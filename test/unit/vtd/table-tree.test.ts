import { describe, expect, test } from 'vitest';
import type { TableNode } from '../../../vmm/bus/iommu.ts';
import { CONTEXTS, IRT, type MachineOptions, ROOT, VtdMachine } from '../../kit/vtd-machine.ts';
import { DIRECTORY, PASIDS, ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;

function mapped(options: MachineOptions = {}) {
  const m = new VtdMachine(options);
  const top = m.page();
  m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
  const leaf = m.map(top, 4, 0x5000, 0x8003);
  return { m, top, leaf };
}

/** Path of first children. */
function spine(node: TableNode | undefined): string[] {
  return node === undefined ? [] : [`${node.what} ${node.of}`, ...spine(node.children[0])];
}

describe('the table tree', () => {
  test('goes from the root entry over the context entry down the page tables, with ranges', () => {
    const { m } = mapped();
    m.start();

    const { roots, cut } = m.iommu.tables!(100);

    expect(roots.length).toBe(1);
    expect(spine(roots[0])).toEqual([
      'root entry bus 00',
      'context entry 00:03.0',
      'SS-PML4E 0x0 - 0x7fffffffff',
      'SS-PDPE 0x0 - 0x3fffffff',
      'SS-PDE 0x0 - 0x1fffff',
      'SS-PTE 0x5000 - 0x5fff',
    ]);
    expect(cut).toBe(false);
  });

  test('has address, raw value, decoded fields and last writer of each entry', () => {
    const { m } = mapped({
      lastWriter: (address) => (address === CONTEXTS + DEV * 16 ? 'attach (driver.c:12)' : undefined),
    });
    m.start();

    const context = m.iommu.tables!(100).roots[0]!.children[0]!;

    expect(context).toMatchObject({
      address: '0x2180',
      raw: ['0x0000000000100001', '0x0000000000000502'],
      lastWriter: 'attach (driver.c:12)',
    });
    expect(context.fields).toContainEqual({
      name: 'AW',
      bits: '66:64',
      value: '2',
      meaning: '48-bit',
      doc: 'Address width',
    });
    expect(context.fields).toContainEqual({ name: 'DID', bits: '87:72', value: '5', doc: 'Domain-id' });
  });

  test('shows memory, not what is cached; and names the pages it read', () => {
    const { m, leaf, top } = mapped();
    m.start();
    m.port(DEV).translate(0x5000, 0, 1);
    m.store(leaf, 0n);

    const { roots, pages } = m.iommu.tables!(100);

    expect(spine(roots[0]).at(-1)).toBe('SS-PDE 0x0 - 0x1fffff');
    expect(pages).toEqual([ROOT, CONTEXTS, top, top + 0x1000, top + 0x2000, top + 0x3000]);
  });

  test('ends where a pointer leads out of memory, and says so', () => {
    const { m } = mapped();
    m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: 0x7000_0000 });
    m.start();

    const context = m.iommu.tables!(100).roots[0]!.children[0]!;

    expect(context).toMatchObject({ note: 'what it points to is not memory', children: [] });
  });

  test('has no more entries than asked for, and says that there are more', () => {
    const { m } = mapped();
    m.start();

    const tree = m.iommu.tables!(3);

    expect(spine(tree.roots[0]).length).toBe(3);
    expect(tree.cut).toBe(true);
  });

  test('is empty while translation is off', () => {
    const { m } = mapped();

    expect(m.iommu.tables!(100)).toEqual({ roots: [], pages: [], cut: false });
  });

  test('has the interrupt remapping table', () => {
    const m = new VtdMachine();
    m.startInterrupts();
    m.store(IRT + 5 * 16, 0x300_0041_0001n);

    expect(m.iommu.tables!(100).roots.map((node) => [node.what, node.of, node.address])).toEqual([
      ['IRTE', 'interrupt 5', '0x20050'],
    ]);
  });
});

describe('the table tree of scalable mode', () => {
  const UPPER = 0x98;
  const first = (m: ScalableMachine) => {
    const top = m.page();
    m.mapFirst(top, 4, 0x5000, 0x8007);
    m.scalableContext(DEV, { RID_PASID: 0 });
    m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: top });
    return top;
  };

  test('goes over the PASID directory and the PASID table to first-stage tables', () => {
    const m = new ScalableMachine();
    first(m);
    m.startScalable();

    const { roots, pages } = m.iommu.tables!(100);

    expect(spine(roots[0])).toEqual([
      'scalable root entry bus 00',
      'scalable context entry 00:03.0',
      'PASID directory entry PASID 0 - 63',
      'PASID table entry PASID 5',
      'FS-PML4E 0x0 - 0x7fffffffff',
      'FS-PDPE 0x0 - 0x3fffffff',
      'FS-PDE 0x0 - 0x1fffff',
      'FS-PTE 0x5000 - 0x5fff',
    ]);
    expect(pages.slice(0, 3)).toEqual([ROOT, CONTEXTS, DIRECTORY]);
    expect(pages).toContain(PASIDS);
  });

  test('has both halves of a bus under its root entry', () => {
    const m = new ScalableMachine();
    m.scalableContext(DEV);
    m.scalableContext(UPPER);
    m.startScalable();

    const [root] = m.iommu.tables!(100).roots;

    expect(root!.children.map(({ of, address }) => [of, address])).toEqual([
      ['00:03.0', '0x2300'],
      ['00:13.0', '0x3300'],
    ]);
  });

  test.each([
    ['second-stage', { PGTT: 2, AW: 2 }, ['SS-PML4E']],
    ['pass-through', { PGTT: 4 }, []],
    ['nested', { PGTT: 3, AW: 2 }, ['FS-PML4E', 'SS-PML4E']],
  ] as const)('of a %s PASID has the tables of its type', (_, fields, expected) => {
    const m = new ScalableMachine();
    const [second, table] = [m.page(), m.page()];
    m.scalableContext(DEV);
    // The first-stage table is at 0x7000 for the nested stage, and elsewhere in memory.
    m.map(second, 4, 0x7000, table | 3);
    m.store(table, 0x9007);
    m.pasid(1, { ...fields, SSPTPTR: second, FSPTPTR: 0x7000 });
    m.startScalable();

    const [pasid] = m.iommu.tables!(100).roots[0]!.children[0]!.children[0]!.children;

    expect(pasid!.children.map(({ what }) => what)).toEqual(expected);
  });

  test('of nested tables gives where the entries are in memory', () => {
    const m = new ScalableMachine();
    const [second, table] = [m.page(), m.page()];
    m.scalableContext(DEV);
    m.map(second, 4, 0x7000, table | 3);
    m.store(table, 0x9007);
    m.pasid(1, { PGTT: 3, AW: 2, SSPTPTR: second, FSPTPTR: 0x7000 });
    m.startScalable();

    const [pasid] = m.iommu.tables!(100).roots[0]!.children[0]!.children[0]!.children;
    const [top] = pasid!.children;

    expect(top).toMatchObject({
      address: `0x${table.toString(16)}`,
      note: 'what it points to is not memory',
      children: [],
    });
  });
});
