import { expect, test } from 'vitest';
import { READ } from '../../../vmm/bus/dma.ts';
import { VtdMachine } from '../../kit/vtd-machine.ts';
import { ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;
const OTHER = 0x90;

/** 00:03.0 with PASID 5, first stage, and PASID 60, second stage. */
function world() {
  const m = new ScalableMachine();
  const first = m.page();
  const second = m.page();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT: 1, DID: 9, AW: 2, FSPTPTR: first });
  m.pasid(60, { PGTT: 2, DID: 8, AW: 2, SSPTPTR: second });
  m.mapFirst(first, 4, 0x5000, 0x9067);
  m.startScalable();
  return { m, port: m.pasidPort(DEV, 5) };
}

const viewOf = (m: { iommu: ScalableMachine['iommu'] }) => m.iommu.views.find((v) => v.name === 'pasid')!;

test('PASIDs are listed by requester, with every entry on the way', () => {
  const { m } = world();

  expect(viewOf(m).json()).toMatchObject({
    cut: false,
    pasids: [
      {
        requester: '00:03.0',
        pasid: 5,
        cache: 'none',
        steps: [
          { what: 'scalable root entry' },
          { what: 'scalable context entry' },
          { what: 'PASID directory entry' },
          { what: 'PASID table entry', fields: expect.stringContaining('PGTT=1 (first stage)') },
        ],
      },
      { requester: '00:03.0', pasid: 60, cache: 'none' },
    ],
  });
});

test('what two PASIDs share is told once', () => {
  const { m } = world();
  const lines = viewOf(m).text().split('\n');

  expect(lines.filter((line) => line.includes('context entry'))).toHaveLength(1);
  expect(lines.filter((line) => /PASID table entry/.test(line))).toHaveLength(2);
  expect(lines[0]).toBe('00:03.0 pasid 5');
});

test('an entry that the PASID-cache has is said to be cached, and stale once memory says something else', () => {
  const { m, port } = world();
  port.translate(0x5000, 0, READ);
  const cached = viewOf(m).json();
  m.pasid(5, { PGTT: 4, DID: 9, AW: 2 });
  const stale = viewOf(m).json();

  expect(cached).toMatchObject({ pasids: [{ pasid: 5, cache: 'same' }, { pasid: 60 }] });
  expect(stale).toMatchObject({
    pasids: [
      { pasid: 5, cache: 'stale', cached: { fields: expect.stringContaining('PGTT=1') } },
      { pasid: 60 },
    ],
  });
  expect(viewOf(m).text()).toContain('00:03.0 pasid 5 [the cache says something else]');
});

test('an entry that is only in the cache any more is listed', () => {
  const { m, port } = world();
  port.translate(0x5000, 0, READ);
  m.pasid(5, { P: 0 });

  expect(viewOf(m).json()).toMatchObject({
    pasids: [{ pasid: 60 }, { requester: '00:03.0', pasid: 5, cache: 'stale', steps: [] }],
  });
  expect(viewOf(m).text()).toContain('no PASID table entry in memory is present');
});

test('looking changes nothing', () => {
  const { m } = world();
  const saved = () => JSON.stringify(m.device.stateDef().save(m.device.s));
  const before = saved();
  viewOf(m).text();

  expect(saved()).toBe(before);
});

test('with translation off, and in legacy mode, the view says why there are none', () => {
  const off = new VtdMachine();
  const legacy = new VtdMachine();
  legacy.context(OTHER, {});
  legacy.start();

  expect(viewOf(off as never).text()).toBe('translation is off');
  expect(viewOf(legacy as never).json()).toEqual({
    note: 'the root table is not one of scalable mode: there are no PASIDs',
    pasids: [],
    cut: false,
  });
});
