import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FSTS, IQERCD, PECTL, PQA, PQH, PQT, PRS } from '../../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import {
  DMA_OK,
  DMA_UR,
  type DmaPort,
  EXEC,
  NO_PASID,
  PAGE_RESPONSE_FAILURE,
  PAGE_RESPONSE_SUCCESS,
  READ,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { recordText } from '../../../vmm/trace/tracer.ts';
import { runs } from '../../kit/runs.ts';
import { ROOT, SRTP, TE, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;
const CONTEXT_TABLE = 0x2000;
const DIRECTORY = 0x4000;
const TABLE = 0x5000;
const CONTEXT = CONTEXT_TABLE + DEV * 32;
const PRQ = 0x30000;
/** P, DTE, PASIDE, PRE. */
const ENABLED = 0x1d;

function unit(context = DIRECTORY | ENABLED, config: Partial<VtdConfig> = {}) {
  const responses: number[][] = [];
  const m = new VtdMachine({
    config: { svm: true, ...config },
    endpoints: { pageResponse: (...response) => responses.push(response) },
  });
  m.store(ROOT, CONTEXT_TABLE | 1);
  m.store(CONTEXT, context);
  m.store(DIRECTORY, TABLE | 1);
  m.write(PQA, PRQ);
  m.unmaskFaults();
  m.startScalable();
  const port = m.port(DEV);
  return { m, responses, port };
}

function unmask(m: VtdMachine) {
  m.write32(0xe4, 0x71);
  m.write32(0xe8, 0xfee00000);
  m.write(PECTL, 0);
}

function request(port: DmaPort, pasid: number, address: number, access: number, group: number, last = true) {
  port.pasid = pasid;
  const status = port.pageRequest(address, 0, access, group, last);
  port.pasid = NO_PASID;
  return status;
}

const descriptor = (m: VtdMachine, i = 0) => [0, 8, 16, 24].map((at) => m.load(PRQ + i * 32 + at));
const vectors = (m: VtdMachine) => m.delivered.map((d) => d.vector);

describe('registers', () => {
  test('have their reset values, and keep what software may write', () => {
    const { m } = unit();
    const reset = [PQH, PQT, PRS, PECTL].map((r) => m.read(r));

    for (const r of [PQH, PQT, PQA, PRS])
      m.write(r, 0xffff_ffff_ffff_ffffn & ((1n << BigInt(r.bytes * 8)) - 1n));

    expect(reset).toEqual([0n, 0n, 0n, 0x80000000n]);
    expect([PQH, PQT, PQA, PRS].map((r) => m.read(r))).toEqual([
      0x7ffe0n,
      0x7ffe0n,
      0xffff_ffff_ffff_f007n,
      0n,
    ]);
  });

  test('are not there without page requests', () => {
    const m = new VtdMachine();

    m.write(PQA, 0x30000);
    m.write(PQT, 0x20);

    expect([PQA, PQT, PRS, PECTL].map((r) => m.read(r))).toEqual([0n, 0n, 0n, 0n]);
  });
});

describe('the page-request queue', () => {
  test.each([
    ['read', READ, 0x0000_0005_0018_0101n, 0x5ff_d00dn],
    ['write', WRITE, 0x0000_0005_0018_0101n, 0x5ff_d00en],
    ['read and write', READ | WRITE, 0x0000_0005_0018_0101n, 0x5ff_d00fn],
    ['execute', READ | EXEC, 0x0010_0005_0018_0101n, 0x5ff_d00dn],
  ])('takes a request as it came: %s', (_what, access, q0, q1) => {
    const { m, port } = unit();

    const status = request(port, 5, 0x5ff_d123, access, 1);

    expect([status, descriptor(m), m.read(PQT), m.read(PRS)]).toEqual([DMA_OK, [q0, q1, 0n, 0n], 0x20n, 1n]);
  });

  test('keeps upper address, privilege, group and what is not the last of it', () => {
    const { m, port } = unit(DIRECTORY | ENABLED | (7 << 9));
    port.pasid = 0xfffff;
    port.privileged = true;

    port.pageRequest(0x8000_0000, 0xffff_8000, WRITE, 0x1ff, false);

    expect(descriptor(m)).toEqual([0x002f_ffff_0018_0101n, 0xffff_8000_8000_0ffan, 0n, 0n]);
  });

  test('a request without PASID has none, nor privilege', () => {
    const { m, port } = unit();
    port.privileged = true;

    port.pageRequest(0x5000, 0, READ, 0, true);

    expect(descriptor(m)).toEqual([0x0018_0001n, 0x5005n, 0n, 0n]);
  });

  test('a stop marker is recorded and never answered', () => {
    const { m, port, responses } = unit();

    request(port, 5, 0, 0, 0);

    expect([descriptor(m), responses]).toEqual([[0x5_0018_0101n, 4n, 0n, 0n], []]);
  });

  test('wraps at the size that PQS gives', () => {
    const { m, port } = unit();
    m.write(PQA, PRQ | 1);
    m.write(PQH, 0x1fe0);
    m.write(PQT, 0x1fe0);

    request(port, 5, 0x5000, READ, 0);

    expect([m.read(PQT), m.load(PRQ + 0x1fe8)]).toEqual([0n, 0x5005n]);
  });
});

describe('the page-request event', () => {
  test('comes once until software has cleared the status', () => {
    const { m, port } = unit();
    unmask(m);

    request(port, 5, 0x5000, READ, 0);
    request(port, 5, 0x6000, READ, 1);
    const first = vectors(m);
    m.write(PRS, 1);
    request(port, 5, 0x7000, READ, 2);

    expect([first, vectors(m)]).toEqual([[0x71], [0x71, 0x71]]);
  });

  test('masked is pending, sent when unmasked, and withdrawn when the status is cleared', () => {
    const { m, port } = unit();
    request(port, 5, 0x5000, READ, 0);
    const pending = m.read(PECTL);
    unmask(m);
    const sent = [m.read(PECTL), vectors(m)];
    m.write(PECTL, 0x80000000);
    m.write(PRS, 1);
    request(port, 5, 0x5000, READ, 0);
    m.write(PRS, 1);

    expect([pending, sent, m.read(PECTL)]).toEqual([0xc0000000n, [0n, [0x71]], 0x80000000n]);
  });

  test('the descriptor is in memory before the event', () => {
    const { m, port } = unit();
    m.write32(0xe4, 0x5a);
    m.write32(0xe8, PRQ);
    m.write(PECTL, 0);

    request(port, 5, 0x5000, READ, 0);

    expect(m.ram.u32[PRQ >>> 2]).toBe(0x5a);
  });
});

describe('overflow', () => {
  function full() {
    const u = unit();
    unmask(u.m);
    u.m.write(PQH, 0x20);
    return u;
  }

  test('of the last entry but one: the request is dropped and answered, PRO is set', () => {
    const { m, port, responses } = full();

    const status = request(port, 5, 0x5000, READ, 7);

    expect([status, m.read(PRS), m.read(PQT), responses]).toEqual([
      DMA_OK,
      2n,
      0n,
      [[DEV, 5, 7, PAGE_RESPONSE_SUCCESS]],
    ]);
    expect(vectors(m)).toEqual([0x71]);
  });

  test('what is not the last of its group is dropped without an answer', () => {
    const { port, responses } = full();

    request(port, 5, 0x5000, READ, 7, false);
    request(port, 5, 0, 0, 0);

    expect(responses).toEqual([]);
  });

  test('lasts until software clears PRO, even when there is room again', () => {
    const { m, port, responses } = full();
    request(port, 5, 0x5000, READ, 7);
    m.write(PQH, 0x40);
    request(port, 5, 0x6000, READ, 8);
    const before = [m.read(PQT), vectors(m).length];

    m.write(PRS, 2);
    request(port, 5, 0x7000, READ, 9);

    expect([before, m.read(PQT), m.read(PRS)]).toEqual([[0n, 1], 0x20n, 1n]);
    expect(responses.map((r) => r[2])).toEqual([7, 8]);
  });

  test('a queue full of 127 requests takes no 128th', () => {
    const { m, port, responses } = unit();

    for (let i = 0; i < 128; i++) request(port, 5, i << 12, READ, i);

    expect([m.read(PQT), m.read(PRS), responses]).toEqual([0xfe0n, 3n, [[DEV, 5, 127, 0]]]);
  });

  test('a queue that is not memory takes nothing', () => {
    const { m, port, responses } = unit();
    m.write(PQA, 0x7000_0000);

    request(port, 5, 0x5000, READ, 1);

    expect([m.read(PRS), m.read(PQT), responses.length]).toEqual([2n, 0n, 1]);
  });
});

describe('requests that context entries refuse', () => {
  test.each([
    ['P = 0', 0, 0x41n],
    ['DTE = 0', DIRECTORY | 0x19, 0x44n],
    ['PASIDE = 0', DIRECTORY | 0x15, 0x45n],
    ['PRE = 0', DIRECTORY | 0xd, 0x47n],
  ])('are recorded as page requests and answered with a failure: %s', (_what, context, code) => {
    const { m, port, responses } = unit(context);

    const status = request(port, 5, 0x5123, WRITE, 3);

    expect([status, m.record(), responses, m.read(PQT)]).toEqual([
      DMA_OK,
      [0x5000n, (1n << 63n) | (5n << 40n) | (code << 32n) | 0x9000_0018n],
      [[DEV, 5, 3, PAGE_RESPONSE_FAILURE]],
      0n,
    ]);
  });

  test('a PASID beyond the directory is 46h', () => {
    const { m, port } = unit();

    request(port, 0x2000, 0x5000, READ, 3);

    expect((m.record()[1] >> 32n) & 0xffn).toBe(0x46n);
  });

  test('with FPD nothing is recorded; what is not the last of its group is not answered', () => {
    const { m, port, responses } = unit(DIRECTORY | 0xf);

    request(port, 5, 0x5000, READ, 3, false);

    expect([m.read(FSTS), responses]).toEqual([0n, []]);
  });

  test('in legacy mode 32h is recorded', () => {
    const { m, port, responses } = unit();
    m.write({ offset: 0x20, bytes: 8 }, ROOT);
    m.command(SRTP);

    request(port, 5, 0x5000, READ, 3);

    expect([(m.record()[1] >> 32n) & 0xffn, responses]).toEqual([
      0x32n,
      [[DEV, 5, 3, PAGE_RESPONSE_FAILURE]],
    ]);
  });

  test('nobody takes them while translation is off, or without the capability', () => {
    const { m, port, responses } = unit();
    m.disable(TE);
    const off = request(port, 5, 0x5000, READ, 3);
    const none = new VtdMachine().port(DEV).pageRequest(0x5000, 0, READ, 3, true);

    expect([off, none, responses, m.read(FSTS)]).toEqual([DMA_UR, DMA_UR, [], 0n]);
  });
});

describe('responses', () => {
  test('of software reach the function: one for each group', () => {
    const { m, port, responses } = unit();
    request(port, 5, 0x5000, READ, 3, false);
    request(port, 5, 0x6000, READ, 3);

    m.submit(0x5_0018_0019n, 0x1cn);

    expect(responses).toEqual([[DEV, 5, 3, PAGE_RESPONSE_SUCCESS]]);
  });

  test('of a PASID wider than ECAP.PSS stop the queue: reserved bits', () => {
    const { m, responses } = unit(DIRECTORY | ENABLED, { 'pasid-bits': 8 });

    m.submit(0x5_4321_0018_0019n, 0x1cn);

    expect([m.read(FSTS) & 0x10n, m.read(IQERCD) & 0xfn, responses]).toEqual([0x10n, 4n, []]);
  });

  test('a request for a PASID that was torn down meanwhile still goes to software', () => {
    const { m, port, responses } = unit();
    m.store(TABLE + 5 * 64, 0x41n);
    m.store(TABLE + 5 * 64, 0n);
    m.submit(0x5_0000_0017n);

    request(port, 5, 0x5000, READ, 3);
    m.submit(0xa5n | (1n << 32n), 0x3000n);

    expect([m.read(PQT), m.read(FSTS), m.load(0x3000), responses]).toEqual([0x20n, 0n, 1n, []]);
  });

  test('requests and answers are traced', () => {
    const { m, port } = unit();
    const lines: string[] = [];
    m.tracer.select('vtd_page_*');
    m.tracer.addSink((r) => lines.push(recordText(r).trim().slice(2)));

    request(port, 5, 0x5000, WRITE, 3);
    m.submit(0x5_0018_1019n, 0x1cn);
    m.write(PQH, 0x40);
    request(port, 5, 0x6000, READ, 4);

    expect(lines).toEqual([
      'vtd_page_request sid=00:03.0 pasid=5 address=0x5000 access=2 group=3 last=1 outcome=queued',
      'vtd_page_response sid=00:03.0 pasid=5 group=3 code=1 by=software',
      'vtd_page_request sid=00:03.0 pasid=5 address=0x6000 access=1 group=4 last=1 outcome=dropped',
      'vtd_page_response sid=00:03.0 pasid=5 group=4 code=0 by=overflow',
    ]);
  });
});

describe('every group', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('ask'), last: fc.boolean(), pasid: fc.boolean() }) },
    fc.record({ do: fc.constantFrom('take', 'clear PRO', 'clear all', 'refuse', 'allow') }),
  );

  /** Asks with groups in turn; returns how often each group's last request was answered or queued. */
  function outcomes(steps: readonly { do: string; last?: boolean; pasid?: boolean }[]) {
    const { m, port, responses } = unit();
    const asked: number[] = [];
    const queued: number[] = [];
    const takeAll = () => {
      for (let at = Number(m.read(PQH)); at !== Number(m.read(PQT)); at = (at + 32) % 4096) {
        const q1 = m.load(PRQ + at + 8);
        if ((q1 & 4n) !== 0n) queued.push(Number((q1 >> 3n) & 0x1ffn));
      }
      // Room for seven: the others look as if nobody had taken them.
      m.ram.u8.fill(0, PRQ, PRQ + 4096);
      m.write(PQH, 0);
      m.write(PQT, 0xf00);
    };
    takeAll();
    for (const [i, s] of steps.entries()) {
      if (s.do === 'ask') {
        request(port, s.pasid ? 5 : NO_PASID, 0x5000, READ, i, s.last);
        if (s.last) asked.push(i);
      } else if (s.do === 'take') takeAll();
      else if (s.do === 'clear PRO') m.write(PRS, 2);
      else if (s.do === 'clear all') m.write(PRS, 3);
      else {
        m.store(CONTEXT, s.do === 'refuse' ? DIRECTORY | 0xd : DIRECTORY | ENABLED);
        m.submit(0x11n);
      }
    }
    takeAll();
    const overflows = responses.filter((r) => r[3] === PAGE_RESPONSE_SUCCESS).length;
    return { asked, overflows, answered: [...queued, ...responses.map((r) => r[2]!)].sort((a, b) => a - b) };
  }

  test('is answered or queued exactly once, whatever overflows or is refused', () => {
    let overflowed = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
        const { asked, answered, overflows } = outcomes(steps);
        overflowed += overflows;
        expect(answered).toEqual(asked);
      }),
      { numRuns: runs(60, 20) },
    );
    expect(overflowed).toBeGreaterThan(runs(10));
  });
});
