import { describe, expect, test } from 'vitest';
import {
  CCMD,
  FSTS,
  IOTLB,
  IQA,
  IQERCD,
  IQT,
  IVA,
  PQA,
  PQT,
  RTADDR,
} from '../../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { DEVICE_TLB_DONE } from '../../../vmm/bus/iommu.ts';
import { recordText } from '../../../vmm/trace/tracer.ts';
import { QIE, QUEUE, ROOT, SRTP, TE, VtdMachine } from '../../kit/vtd-machine.ts';

const STATUS = 0x3000;
/** Wait with status write of 1234h. */
const WAIT: [bigint, bigint] = [0x1234_0000_0025n, 0x3000n];

const SVM: Partial<VtdConfig> = { svm: true };

function scalable(config: Partial<VtdConfig> = SVM) {
  const calls: number[][] = [];
  const responses: number[][] = [];
  const m = new VtdMachine({
    config,
    endpoints: {
      invalidate: (...call) => {
        calls.push(call);
        return DEVICE_TLB_DONE;
      },
      pageResponse: (...response) => responses.push(response),
    },
  });
  m.startScalable();
  return { m, calls, responses };
}

describe('256-bit descriptors', () => {
  test('are 32 bytes apart, and the status is written', () => {
    const { m } = scalable();

    m.submit(0x31n);
    m.submit(...WAIT);

    expect([m.head, m.load(STATUS), m.read(FSTS)]).toEqual([0x40n, 0x1234n, 0n]);
  });

  test('QS gives 2^(QS+7) of them', () => {
    const { m } = scalable();

    for (let i = 0; i < 128; i++) m.submit((BigInt(i) << 32n) | 0x25n, 0x3000n);

    expect([m.head, m.load(STATUS)]).toEqual([0n, 127n]);
  });

  test.each([128, 159, 160, 191, 192, 223, 224, 255])('have nothing in their upper half: bit %i', (bit) => {
    const { m } = scalable();
    m.store(QUEUE, 0x45n);
    m.store(QUEUE + (bit >>> 6) * 8, 1n << BigInt(bit & 63));

    m.write(IQT, 0x20);

    expect([m.read(FSTS), m.read(IQERCD), m.head]).toEqual([0x10n, 4n, 0n]);
  });

  test('a tail in the middle of one is IQEI 6', () => {
    const { m } = scalable();

    m.write(IQT, 0x30);

    expect([m.read(FSTS), m.read(IQERCD), m.head]).toEqual([0x10n, 6n, 0n]);
  });

  test('scalable mode does not take 128-bit ones: IQEI 5', () => {
    const m = new VtdMachine({ config: SVM });
    m.write(RTADDR, ROOT | 0x400);
    m.command(SRTP);
    m.startQueue();

    m.submit(...WAIT);

    expect([m.read(FSTS), m.read(IQERCD), m.head, m.load(STATUS)]).toEqual([0x10n, 5n, 0n, 0n]);
  });

  test('legacy mode of a unit with scalable mode takes either', () => {
    const m = new VtdMachine({ config: SVM });
    m.startQueue(true);

    m.submit(...WAIT);
    m.disable(QIE);
    m.write(IQT, 0);
    m.write(IQA, QUEUE + 0x1000);
    m.command(QIE);
    m.store(QUEUE + 0x1000, 0x4321_0000_0025n);
    m.store(QUEUE + 0x1008, 0x3008n);
    m.write(IQT, 0x10);

    expect([m.load(STATUS), m.load(STATUS + 8)]).toEqual([0x1234n, 0x4321n]);
  });

  test('a width that changed under a head in the middle of one ends, not runs on', () => {
    const m = new VtdMachine({ config: SVM });
    m.startQueue();
    m.submit(0x45n);
    for (let at = 0; at < 0x100; at += 16) m.store(QUEUE + at, at % 32 === 0 ? 0x45n : 0n);

    m.write(IQA, QUEUE | 0x800);
    m.write(IQT, 0x60);

    expect([m.head, m.read(FSTS)]).toEqual([0x60n, 0n]);
  });
});

describe('descriptors of scalable mode', () => {
  test.each([
    ['PASID-cache, domain', 0x7_0007n, 0n],
    ['PASID-cache, PASID in domain', 0x5_0007_0017n, 0n],
    ['PASID-cache, global', 0x37n, 0n],
    ['PASID IOTLB, PASID', 0x5_0007_0026n, 0n],
    ['PASID IOTLB, page', 0x5_0007_0036n, 0x5000n],
    ['PASID IOTLB, page with hint', 0x5_0007_0036n, 0x5040n],
    ['PASID IOTLB, wider than CAP.MAMV', 0x5_0007_0036n, 20n],
    ['PASID IOTLB, the widest', 0x5_0007_0036n, 0x3fn],
    ['PASID IOTLB, the largest PASID', 0xf_ffff_0007_0026n, 0n],
    ['PASID IOTLB, PASID-selective: the address means nothing', 0x26n, 0x5009n],
    ['PASID device-TLB', 0x5_0018_0008n, 0x5000n],
    ['page group response', 0x5_0018_0019n, 4n],
    ['wait with page-request drain', 0xa5n, 0x3000n],
  ])('are done: %s', (_what, q0, q1) => {
    const { m } = scalable();

    m.submit(q0, q1);

    expect([m.head, m.read(FSTS)]).toEqual([0x20n, 0n]);
  });

  test.each([
    ['PASID-cache, granularity 2', 0x27n, 0n],
    ['PASID-cache, reserved bit 6', 0x77n, 0n],
    ['PASID-cache, reserved bit 52', 0x10_0000_0000_0037n, 0n],
    ['PASID-cache, second half', 0x37n, 1n << 12n],
    ['PASID IOTLB, granularity 0', 0x6n, 0n],
    ['PASID IOTLB, granularity 1', 0x16n, 0n],
    ['PASID IOTLB, reserved bit 6', 0x66n, 0n],
    ['PASID IOTLB, reserved bit 7', 0xa6n, 0n],
    ['PASID IOTLB, reserved bit 52', 0x10_0000_0000_0026n, 0n],
    ['PASID IOTLB, reserved bit 71', 0x36n, 0x80n],
    ['PASID IOTLB, an address that its mask does not allow', 0x36n, 0x5001n],
    ['PASID IOTLB, an upper address that its mask does not allow', 0x36n, 0x1_0000_0015n],
    ['PASID IOTLB, any address with the widest mask', 0x36n, 0x8000_0000_0000_0034n],
    ['PASID device-TLB, reserved bit 65', 0x8n, 2n],
    ['PASID device-TLB, reserved bit 74', 0x8n, 0x400n],
    ['page group response, reserved bit 5', 0x39n, 0n],
    ['page group response, reserved bit 8', 0x109n, 0n],
    ['page group response, reserved bit 52', 0x10_0000_0000_0009n, 0n],
    ['page group response, reserved bit 64', 0x9n, 1n],
    ['page group response, reserved bit 76', 0x9n, 0x1000n],
    ['page group response, reserved bit 127', 0x9n, 1n << 63n],
    ['page group response, code 2', 0x2009n, 0n],
  ])('with a reserved field stop the queue with IQEI 4: %s', (_what, q0, q1) => {
    const { m, calls, responses } = scalable();

    m.submit(q0, q1);

    expect([m.read(FSTS), m.read(IQERCD), m.head, calls, responses]).toEqual([0x10n, 4n, 0n, [], []]);
  });

  test.each([
    ['PASID-cache', 0x10_0000_0017n],
    ['PASID IOTLB', 0x10_0000_0026n],
    ['PASID device-TLB', 0x10_0000_0008n],
  ])('with a PASID beyond ECAP.PSS stop it, too: %s', (_what, q0) => {
    const { m } = scalable({ svm: true, 'pasid-bits': 4 });

    m.submit(q0);

    expect([m.read(IQERCD), m.head]).toEqual([4n, 0n]);
  });

  test.each([6n, 7n, 8n, 9n])('in legacy mode are IQEI 7: type %i', (type) => {
    const m = new VtdMachine({ config: SVM });
    m.startQueue(true);

    m.submit(type | 0x20n);

    expect([m.read(FSTS), m.read(IQERCD)]).toEqual([0x10n, 7n]);
  });

  test.each([
    [8n, { 'scalable-mode': true }],
    [3n, { 'scalable-mode': true }],
    [9n, { 'scalable-mode': true, 'device-iotlb': true }],
    [0xan, SVM],
    [0x201n, SVM],
  ])('of features that are not there are unknown types: %i', (type, config) => {
    const { m } = scalable(config);

    m.submit(type);

    expect([m.read(FSTS), m.read(IQERCD)]).toEqual([0x10n, 3n]);
  });

  test.each([
    ['one page', 0x5_0018_0008n, 0x1234_5000n, [0x18, 5, 0x12345000, 0, 0, 0]],
    ['two pages', 0x5_0018_0008n, 0x1234_4800n, [0x18, 5, 0x12344000, 0, 1, 0]],
    ['everything of a PASID', 0x5_0018_0008n, 0x7fff_ffff_ffff_f800n, [0x18, 5, 0, 0, 52, 0]],
    ['everything of every PASID', 0x5_0018_0008n, 0x7fff_ffff_ffff_f801n, [0x18, -2, 0, 0, 52, 0]],
    ['MIP and PFSID beside them', 0x0010_0005_0018_81f8n, 0x5000n, [0x18, 5, 0x5000, 0, 0, 0]],
  ])('reach the function with PASID and range: %s', (_what, q0, q1, call) => {
    const { m, calls } = scalable();

    m.submit(q0, q1);

    expect(calls).toEqual([call]);
  });

  test.each([
    ['success with PASID', 0x5_0018_0019n, 0x1ffcn, [0x18, 5, 0x1ff, 0]],
    ['success without PASID', 0x5_0018_0009n, 0x1cn, [0x18, -1, 3, 0]],
    ['invalid request', 0x5_0018_1019n, 0xcn, [0x18, 5, 1, 1]],
    ['response failure', 0x5_0018_f019n, 0xcn, [0x18, 5, 1, 15]],
  ])('a page group response goes to its function: %s', (_what, q0, q1, response) => {
    const { m, responses } = scalable();

    m.submit(q0, q1 & 0xfffn);

    expect(responses).toEqual([response]);
  });

  test('are traced with their names', () => {
    const { m } = scalable();
    const lines: string[] = [];
    m.tracer.select('vtd_inv_desc');
    m.tracer.addSink((r) => lines.push(recordText(r).trim()));

    for (const q0 of [0x37n, 0x5_0007_0026n, 0x5_0018_0008n, 0x5_0018_0019n]) m.submit(q0);

    expect(lines).toEqual([
      '0 vtd_inv_desc kind=pasid-cache lo=0x37 hi=0x0',
      '0 vtd_inv_desc kind=pasid-iotlb lo=0x500070026 hi=0x0',
      '0 vtd_inv_desc kind=pasid-device-tlb lo=0x500180008 hi=0x0',
      '0 vtd_inv_desc kind=page-response lo=0x500180019 hi=0x0',
    ]);
  });
});

describe('profile qemu', () => {
  const config = { ...SVM, profile: 'qemu' } as const;

  function narrow() {
    const m = new VtdMachine({ config });
    m.write(RTADDR, ROOT | 0x400);
    m.command(SRTP);
    m.startQueue();
    return m;
  }

  test('128-bit queues serve the types of legacy mode in scalable mode', () => {
    const m = narrow();

    m.submit(0x11n);
    m.submit(0x12n);
    m.submit(...WAIT);

    expect([m.read(FSTS), m.load(STATUS)]).toEqual([0n, 0x1234n]);
  });

  test.each([0x37n, 0xd_0000_0026n])('and stop at one of scalable mode: %i', (q0) => {
    const m = narrow();

    m.submit(0x11n);
    m.submit(q0);

    expect([m.read(FSTS), m.head]).toEqual([0x10n, 0x10n]);
  });

  test('misaligned pages, indexes beyond the table and PASIDs beyond PSS are taken', () => {
    const { m } = scalable({ ...config, 'pasid-bits': 4 });

    for (const [q0, q1] of [
      [0x32n, 0x5001n],
      [0x36n, 0x5001n],
      [0xffff_0000_0014n, 0n],
      [0x10_0000_0017n, 0n],
    ] as const)
      m.submit(q0, q1);

    expect([m.read(FSTS), m.head]).toEqual([0n, 0x80n]);
  });
});

describe('register-based invalidation in scalable mode', () => {
  test.each([
    ['context, global', CCMD, 0xa000_0000_0000_0000n, 0x2000_0000_0000_0000n],
    ['context, device', CCMD, 0xe000_0000_0018_0000n, 0x6000_0000_0000_0000n],
    ['IOTLB, global', IOTLB, 0x9000_0000_0000_0000n, 0x1000_0000_0000_0000n],
    ['IOTLB, page', IOTLB, 0xb000_0005_0000_0000n, 0x3000_0005_0000_0000n],
  ])('is ignored, and an actual granularity of 0 says so: %s', (_what, register, command, result) => {
    const m = new VtdMachine({ config: SVM });
    m.write(RTADDR, ROOT | 0x400);
    m.command(SRTP);
    m.command(TE);
    m.write(IVA, 0x5000n);

    m.write(register, command);

    expect(m.read(register)).toBe(result);
  });
});

test('the view of the queues shows descriptors of their width, and page requests', () => {
  const { m } = scalable();
  m.submit(0xfn);
  m.submit(...WAIT);
  m.store(0x30000, 0x5_0018_0101n);
  m.store(0x30008, 0x5005n);
  m.write(PQA, 0x30000);
  m.write(PQT, 0x20);

  const view = m.iommu.views.find((v) => v.name === 'queues');

  expect(view?.text().split('\n')).toEqual([
    'invalidation queue: base=0x10000 bytes=4096 head=0x0 tail=0x40',
    '  0x10000: 0x000000000000000f 0x0000000000000000 0x0000000000000000 0x0000000000000000',
    '  0x10020: 0x0000123400000025 0x0000000000003000 0x0000000000000000 0x0000000000000000',
    'page request queue: base=0x30000 bytes=4096 head=0x0 tail=0x20',
    '  0x30000: 0x0000000500180101 0x0000000000005005 0x0000000000000000 0x0000000000000000',
  ]);
});
