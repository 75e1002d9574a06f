import { describe, expect, test } from 'vitest';
import type { SmmuBackend } from '../../../viommu/port/smmuv3.ts';
import type { VtdBackend } from '../../../viommu/port/vtd.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { NestedVtd } from '../../kit/nested.ts';
import { NestedSmmu } from '../../kit/nested-smmu.ts';

const AT = 0x8000_0000;
const OLD = 0x40_0000;
const NEW = 0x40_1000;
/** Of PASID 5 in domain 5: its page-table entry at AT, and all of its translations. */
const FLUSH = [0x5_0005_0026n, 0n] as const;
/** PASID-cache invalidation of PASID 5 in domain 5. */
const FLUSH_PASID = [0x5_0005_0017n, 0n] as const;

function vtd() {
  const w = new NestedVtd({}, { verify: true });
  const { u32 } = w.machine.ram;
  w.map(AT, OLD);
  [u32[OLD / 4], u32[NEW / 4]] = [1, 2];
  const read = () => {
    w.frames.run(0, { op: 'sum', pasid: 5, control: { NO_ATS: 1 }, src: AT, size: 8 });
    return w.frames.result(0);
  };
  return { w, read };
}

/** The message of what ends the run. */
function difference(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof TsvmmError && error.code === 'verify-differs')
      return `${error.exit}: ${error.message}`;
    throw error;
  }
  return 'none';
}

/** Who forwards loses what this method is told from now on. */
function lose<B extends VtdBackend | SmmuBackend>(passthrough: Passthrough, method: keyof B): void {
  (passthrough.forwarders.backend as unknown as Record<keyof B, () => void>)[method] = () => {};
}

describe('what VT-d hardware translates is compared with the model', () => {
  test('every request is, and none differs as long as everything is forwarded', () => {
    const { w, read } = vtd();
    const first = read();
    w.map(AT, NEW);
    w.vtd.submit(...FLUSH);

    expect([first, read()]).toEqual([1n, 2n]);
    expect(w.passthrough.verification!.checked).toBe(2);
  });

  test('an invalidation that the guest forgets is stale on both sides, and no difference', () => {
    const { w, read } = vtd();
    read();
    w.map(AT, NEW);

    expect(read()).toBe(1n);
  });

  test('an invalidation that is not forwarded is found by the next request, with both answers', () => {
    const { w, read } = vtd();
    read();
    w.map(AT, NEW);
    lose<VtdBackend>(w.passthrough, 'pasidInvalidated');
    w.vtd.submit(...FLUSH);

    const text = difference(read);

    expect(text.split('\n').slice(0, 4)).toEqual([
      "5: svm: --verify: the host's IOMMU does not translate as the guest's would",
      '  request 2: request (read) for 0x80000000, requester 01:00.0 (0000:16:00.0 on the host), PASID 5 (0x5)',
      '  hardware: address 0x80400000 of the host',
      '  model: guest address 0x401000, which the host has at 0x80401000',
    ]);
    expect(text).toContain('PASID-based IOTLB: domain 5, PASID 5 (after 1 requests)');
  });

  test('a page that is gone, and is still reached, is found', () => {
    const { w, read } = vtd();
    read();
    w.vtd.mapFirst(w.top, 4, AT, 0);
    lose<VtdBackend>(w.passthrough, 'pasidInvalidated');
    w.vtd.submit(...FLUSH);

    expect(difference(read)).toContain('model: refused, fault 71h');
  });

  test('a PASID that is gone, and still bound on the host, is found', () => {
    const { w, read } = vtd();
    read();
    w.vtd.pasid(5, { P: 0 });
    lose<VtdBackend>(w.passthrough, 'pasidsChanged');
    w.vtd.submit(...FLUSH_PASID);
    w.vtd.submit(...FLUSH);

    expect(difference(read)).toContain('model: refused, fault 59h');
  });

  test('a page table that lies elsewhere on the host is found at the first request', () => {
    const { w, read } = vtd();
    const { verification } = w.passthrough;
    (verification!.parts as { offset: number }).offset += 4096;

    expect(difference(read)).toContain('which the host has at 0x80401000');
  });

  test('a refusal that has other reasons in the first stage is found', () => {
    const { w, read } = vtd();
    w.vtd.mapFirst(w.top, 4, AT, 0);
    const { verification } = w.passthrough;
    const faulted = verification!.faulted.bind(verification);
    verification!.faulted = (fault) => faulted({ ...fault, code: '85h' });

    expect(difference(read)).toContain('hardware: refused, fault 85h\n  model: refused, fault 71h');
  });

  test('without the option nothing stands between a device and its IOMMU', () => {
    expect(new NestedVtd().passthrough.verification).toBe(undefined);
  });
});

describe('so it is for an SMMUv3', () => {
  function smmu() {
    const w = new NestedSmmu({}, { verify: true });
    const { u32 } = w.machine.ram;
    const page = w.smmu.ram.base + 0x60_0000;
    w.map(5, page);
    [u32[page / 4], u32[page / 4 + 0x400]] = [1, 2];
    const read = () => {
      w.frames.run(0, { op: 'sum', src: 0x5000, size: 8, control: { NO_ATS: 1 } });
      return w.frames.result(0);
    };
    return { w, read, page };
  }

  test('every request is compared, and TLBI makes the new page count on both sides', () => {
    const { w, read, page } = smmu();
    const first = read();
    w.map(5, page + 0x1000);
    const second = read();
    w.smmu.submit(0x30n);
    w.smmu.submit(0x46n);

    expect([first, second, read()]).toEqual([1n, 1n, 2n]);
    expect(w.passthrough.verification!.checked).toBe(3);
  });

  test('a TLBI that is not forwarded is found', () => {
    const { w, read, page } = smmu();
    read();
    w.map(5, page + 0x1000);
    lose<SmmuBackend>(w.passthrough, 'command');
    w.smmu.submit(0x30n);
    w.smmu.submit(0x46n);

    expect(difference(read)).toContain('command 30 0 0 0 (after 1 requests)');
  });

  test('a stream that is gone, and still bound on the host, is found', () => {
    const { w, read } = smmu();
    read();
    lose<SmmuBackend>(w.passthrough, 'streamsChanged');
    w.unbind();

    expect(difference(read)).toContain('model: refused');
  });
});
