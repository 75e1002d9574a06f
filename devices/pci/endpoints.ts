import { DEVICE_TLB_TIMEOUT, type DmaEndpoints } from '../../vmm/bus/iommu.ts';
import type { PciFunction } from './function.ts';
import type { AtsLink } from './kind.ts';

/** Finds a function by its requester id: a root complex. */
export interface FunctionFinder {
  find(requester: number): PciFunction | undefined;
}

/**
 * Messages of the IOMMU on their way to functions, by id. Who has no ATS does not understand an invalidation and leaves it
 * without an answer, and so does a function in D3hot or in reset. One that has ATS but not enabled holds nothing and says so.
 *
 * @param root the root complex, asked for at each message: an IOMMU is made before it
 */
export function pciEndpoints(root: () => FunctionFinder): DmaEndpoints {
  const linkOf = (requester: number): AtsLink | undefined => {
    const fn = root().find(requester);
    return fn?.powered === true ? fn.ats : undefined;
  };
  return {
    invalidate: (requester, pasid, lo, hi, order, tag) =>
      linkOf(requester)?.invalidate(pasid, lo, hi, order, tag) ?? DEVICE_TLB_TIMEOUT,
    pageResponse: (requester, pasid, group, code) => linkOf(requester)?.pageResponse(pasid, group, code),
    resume: (requester, tag, retry) => linkOf(requester)?.resume(tag, retry),
  };
}
