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
import { ScalableMachine } from '../../kit/vtd-scalable.ts';

// VT-d: Translation Request and Completion; each was found by test/oracle.

const DEV = 0x18;
const SECOND = 2;
const NESTED = 3;
const PASS = 4;

/** PASID 5: page 5000h is mapped by the leaves given; nested, tables lie where the second stage says: at themselves. */
function rig(PGTT: number, firstLeaf: number, secondLeaf: number, config = {}) {
  const m = new ScalableMachine({ config });
  const first = m.page();
  const second = m.page();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT, DID: 9, AW: 2, SSADE: 1, FSPTPTR: first, SSPTPTR: second, SRE: 1, WPE: 1 });
  if (PGTT === NESTED) {
    m.mapFirst(first, 4, 0x5000, firstLeaf);
    for (let page = first; page < first + 0x8000; page += 4096) m.map(second, 4, page, page | 0x303);
    const leaf = m.map(second, 4, 0x9000, secondLeaf);
    m.startScalable();
    return { m, leaf };
  }
  const leaf = m.map(second, 4, 0x5000, secondLeaf);
  m.startScalable();
  return { m, leaf };
}

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
