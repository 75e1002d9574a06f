import { describe, expect, test } from 'vitest';
import { CacheHistory, outcomeKey } from '../../oracle/vtd/cached.ts';
import { RESET, type Request, type Unit } from '../../oracle/vtd/types.ts';

// SAGAW 48-bit, MGAW 48, 2 MiB and 1 GiB leaves, no caching mode.
const UNIT: Unit = { cap: 0x0000_000c_002f_0400n, ecap: 0x40n, haw: 48 };
const CACHING: Unit = { ...UNIT, cap: UNIT.cap | 0x80n };
const ROOT = 0x1000n;
const CONTEXT = 0x2000n;
const TABLES = [0x10000n, 0x11000n, 0x12000n, 0x13000n] as const;
const SID = 0x18;
const CONTEXT_ENTRY = CONTEXT + BigInt(SID) * 16n;
const LEAF = TABLES[3] + 5n * 8n;

/** One mapping: domain 7, 5000h to 0x800000, read and write. */
function mapped(unit: Unit = UNIT): CacheHistory {
  const history = new CacheHistory(unit, { ...RESET, te: true, rootTable: ROOT }, 1n << 30n, [SID]);
  history.store(ROOT, CONTEXT | 1n);
  history.store(CONTEXT_ENTRY + 8n, 0x702n);
  history.store(CONTEXT_ENTRY, TABLES[0] | 1n);
  history.store(TABLES[0], TABLES[1] | 3n);
  history.store(TABLES[1], TABLES[2] | 3n);
  history.store(TABLES[2], TABLES[3] | 3n);
  history.store(LEAF, 0x80_0003n);
  return history;
}

const READ: Request = { sid: SID, at: 0, access: 'read', iova: 0x5000n, length: 8 };
const WRITE: Request = { ...READ, access: 'write' };

function answers(history: CacheHistory, request: Request = READ): string[] {
  return history.permissible(request).map(outcomeKey);
}

describe('what caches may still answer', () => {
  test('right after building the tables a request has the fresh answer; not-present entries were never cached', () => {
    expect(answers(mapped())).toEqual(['ok 800000']);
  });

  test('in caching mode the time before the entries were present may still answer', () => {
    const now = answers(mapped(CACHING));
    expect(now).toContain('ok 800000');
    expect(now).toContain('fault 6 recorded');
    expect(now).toContain('fault 1 recorded');
  });

  test('an unmapped page may be reached until a page-selective invalidation covers it', () => {
    const history = mapped();
    history.store(LEAF, 0n);
    expect(answers(history)).toEqual(['fault 6 recorded', 'ok 800000']);
    history.invalidate({
      cache: 'iotlb',
      scope: 'page',
      did: 7,
      address: 0x4000n,
      pages: 2n,
      leafOnly: true,
    });
    expect(answers(history)).toEqual(['fault 6 recorded']);
  });

  test('invalidating another page or another domain leaves the stale answer', () => {
    const history = mapped();
    history.store(LEAF, 0n);
    history.invalidate({
      cache: 'iotlb',
      scope: 'page',
      did: 7,
      address: 0x6000n,
      pages: 2n,
      leafOnly: false,
    });
    history.invalidate({ cache: 'iotlb', scope: 'domain', did: 8 });
    history.invalidate({ cache: 'context', scope: 'global' });
    expect(answers(history)).toEqual(['fault 6 recorded', 'ok 800000']);
  });

  test('a changed table pointer survives an invalidation of leaves only, and none that covers the range', () => {
    const history = mapped();
    history.store(0x14000n + 5n * 8n, 0x90_0003n);
    history.store(TABLES[2], 0x14003n);
    history.invalidate({
      cache: 'iotlb',
      scope: 'page',
      did: 7,
      address: 0x5000n,
      pages: 1n,
      leafOnly: true,
    });
    expect(answers(history)).toEqual(['ok 900000', 'ok 800000']);
    history.invalidate({
      cache: 'iotlb',
      scope: 'page',
      did: 7,
      address: 0x5000n,
      pages: 1n,
      leafOnly: false,
    });
    expect(answers(history)).toEqual(['ok 900000']);
  });

  test('a range in the same 2 MiB takes the pointer out but not the translation of another page', () => {
    const history = mapped();
    history.store(0x14000n + 5n * 8n, 0x90_0003n);
    history.store(TABLES[2], 0x14003n);
    history.invalidate({
      cache: 'iotlb',
      scope: 'page',
      did: 7,
      address: 0x7000n,
      pages: 1n,
      leafOnly: false,
    });
    expect(answers(history)).toEqual(['ok 900000', 'ok 800000']);
    // Filled anew from the old table only before that invalidation.
    history.store(LEAF, 0xa0_0003n);
    expect(answers(history)).toEqual(['ok 900000', 'ok 800000']);
  });

  test('a permission raise may still be denied from the IOTLB', () => {
    const history = mapped();
    history.store(LEAF, 0x80_0001n);
    history.invalidate({ cache: 'iotlb', scope: 'global' });
    history.store(LEAF, 0x80_0003n);
    expect(answers(history, WRITE)).toEqual(['ok 800000', 'fault 5 recorded']);
  });

  test('a cleared context entry serves until a context invalidation names it', () => {
    const history = mapped();
    history.store(CONTEXT_ENTRY, 0n);
    history.invalidate({ cache: 'iotlb', scope: 'global' });
    history.invalidate({ cache: 'context', scope: 'device', sid: 0x19, functionMask: 0 });
    expect(answers(history)).toEqual(['fault 2 recorded', 'ok 800000']);
    history.invalidate({ cache: 'context', scope: 'device', sid: 0x1f, functionMask: 3 });
    expect(answers(history)).toEqual(['fault 2 recorded']);
  });

  test('a new table under the same domain may be answered from the old one until the domain is invalidated', () => {
    const history = mapped();
    history.store(CONTEXT_ENTRY, 0x20001n);
    history.invalidate({ cache: 'context', scope: 'domain', did: 7 });
    expect(answers(history)).toEqual(['fault 6 recorded', 'ok 800000']);
    history.invalidate({ cache: 'iotlb', scope: 'domain', did: 7 });
    expect(answers(history)).toEqual(['fault 6 recorded']);
  });

  test('a 2 MiB leaf goes when any page of it is invalidated', () => {
    const history = mapped();
    history.store(TABLES[2], 0x40_0083n);
    history.invalidate({ cache: 'iotlb', scope: 'domain', did: 7 });
    history.store(TABLES[2], 0x60_0083n);
    expect(answers(history)).toEqual(['ok 605000', 'ok 405000']);
    history.invalidate({
      cache: 'iotlb',
      scope: 'page',
      did: 7,
      address: 0x1f_f000n,
      pages: 1n,
      leafOnly: true,
    });
    expect(answers(history)).toEqual(['ok 605000']);
  });
});
