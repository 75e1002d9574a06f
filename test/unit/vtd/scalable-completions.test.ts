import { describe, expect, test } from 'vitest';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  DMA_OK,
  DMA_UR,
  EXEC,
  GRANTED_PRIVILEGED,
  READ,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { PASIDS, ScalableMachine } from '../../kit/vtd-scalable.ts';

// VT-d: Translation Request and Completion; each was found by test/oracle.

const DEV = 0x18;
const SECOND = 2;
const NESTED = 3;
const PASS = 4;

/** PASID 5: page 5000h is mapped by the leaves given; nested, tables lie where the second stage says: at themselves. */
function rig(PGTT: number, firstLeaf: number, secondLeaf: number, config = {}, fields = {}) {
  const m = new ScalableMachine({ config });
  const first = m.page();
  const second = m.page();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT, DID: 9, AW: 2, SSADE: 1, FSPTPTR: first, SSPTPTR: second, SRE: 1, WPE: 1, ...fields });
  if (PGTT === NESTED) {
    m.mapFirst(first, 4, 0x5000, firstLeaf);
    for (let page = first; page < first + 0x8000; page += 4096) m.mapWith(7n, second, 4, page, page | 0x303);
    const leaf = m.mapWith(7n, second, 4, 0x9000, secondLeaf);
    m.startScalable();
    return { m, leaf };
  }
  const leaf = m.mapWith(7n, second, 4, 0x5000, secondLeaf);
  m.startScalable();
  return { m, leaf };
}

/** rig() asks for the top of the second stage after that of the first. */
const secondTop = (m: ScalableMachine): number => Number(m.load(PASIDS + 5 * 64) & 0xffff_f000n);

describe('translation completions', () => {
  test.each([
    ['second-stage', SECOND],
    ['pass-through', PASS],
  ])('Priv echoes the request for a %s PASID, on a miss and on a hit', (_, type) => {
    const { m } = rig(type, 0, 0xb003);
    const port = m.pasidPort(DEV, 5, true);
    port.at = AT_TRANSLATION;
    const granted = [1, 2].map(() => {
      port.translate(0x5000, 0, READ);
      return port.outAccess;
    });
    expect(granted).toEqual([READ | GRANTED_PRIVILEGED, READ | GRANTED_PRIVILEGED]);
  });

  test('without SSEE what may be read may be executed, on a miss and on a hit', () => {
    const { m } = rig(SECOND, 0, 0xb003);
    const port = m.pasidPort(DEV, 5);
    port.at = AT_TRANSLATION;
    const granted = [1, 2].map(() => {
      port.translate(0x5000, 0, READ | EXEC);
      return port.outAccess;
    });
    expect(granted).toEqual([READ | EXEC, READ | EXEC]);
  });

  test('nested, with SSEE, only what both stages let be executed may be', () => {
    const granted = [0xb003, 0xb007].map((secondLeaf) => {
      const { m } = rig(NESTED, 0x9025, secondLeaf, {}, { SSEE: 1, ERE: 1 });
      for (let page = 0x100000; page < 0x110000; page += 4096)
        m.mapWith(7n, secondTop(m), 4, page, page | 0x307);
      const port = m.pasidPort(DEV, 5);
      port.at = AT_TRANSLATION;
      port.translate(0x5000, 0, READ | EXEC);
      return port.outAccess;
    });
    expect(granted).toEqual([READ, READ | EXEC]);
  });

  test('a nested page is not global, on a miss and on a hit of what a write of the device has cached', () => {
    const { m } = rig(NESTED, 0x9127, 0xb003);
    const port = m.pasidPort(DEV, 5);
    const granted = [AT_TRANSLATION, 0, AT_TRANSLATION].map((at) => {
      port.at = at;
      port.translate(0x5000, 0, at === 0 ? WRITE : READ);
      return port.outAccess;
    });
    expect([granted[0], granted[2]]).toEqual([READ, READ]);
  });

  test('a write that the first stage does not grant leaves the page of the second stage clean', () => {
    const { m, leaf } = rig(NESTED, 0x9025, 0xb003);
    const port = m.pasidPort(DEV, 5);
    port.at = AT_TRANSLATION;
    port.translate(0x5000, 0, READ | WRITE);
    expect([port.outAccess, m.load(leaf)]).toEqual([READ, 0xb103n]);
  });
});

test('with ZLR a zero-length read of a page that nested translation lets only be written is allowed', () => {
  const { m } = rig(NESTED, 0x9027, 0xb002, { zlr: true });
  const port = m.pasidPort(DEV, 5);
  expect(port.translate(0x5000, 0, 0)).toBe(DMA_OK);
});

test('a RID_PASID beyond the directory refuses translated requests, whatever came before', () => {
  const m = new ScalableMachine();
  m.scalableContext(DEV, { PDTS: 0, RID_PASID: 1 << 13 });
  m.startScalable();
  const port = m.pasidPort(DEV);
  port.at = AT_TRANSLATED;
  expect([1, 2].map(() => port.translate(0x5000, 0, READ))).toEqual([DMA_UR, DMA_UR]);
});

test('with SSEE and ZLR a zero-length read of a page with X alone is allowed', () => {
  const { m } = rig(SECOND, 0, 0xb004, { zlr: true }, { SSEE: 1 });
  const port = m.pasidPort(DEV, 5);
  expect(port.translate(0x5000, 0, 0)).toBe(DMA_OK);
});

test('functions that share a place in the PASID-cache have each their own entry', () => {
  const m = new ScalableMachine({ config: { svm: false, 'scalable-mode': true } });
  const entryOf = (requester: number, at: number) => {
    const [contexts, directory, pasids, top] = [m.page(), m.page(), m.page(), m.page()] as const;
    m.store(0x1000 + (requester >>> 8) * 16, contexts | 1);
    m.store(contexts + (requester & 0x7f) * 32, directory | 1);
    m.store(directory, pasids | 1);
    m.store(pasids, top | (2 << 6) | (2 << 2) | 1);
    m.store(pasids + 8, requester);
    m.map(top, 4, at, 0x9003);
  };
  entryOf(0x18, 0x5000);
  entryOf(0x118, 0x6000);
  m.startScalable();
  const seen = [0x18, 0x118].map((requester) => m.port(requester).translate(0x5000, 0, READ));
  expect(seen).toEqual([DMA_OK, DMA_UR]);
});
