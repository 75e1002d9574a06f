import { TsvmmError } from '../../vmm/core/errors.ts';

/** Options of functions that ask for pages. */
export interface PageRequestOptions {
  readonly ats: boolean;
  readonly pri: boolean;
}

/** Without ATS there are no page requests, unless these are asked for. */
export function pageRequestPresets(given: Partial<PageRequestOptions>): Partial<PageRequestOptions> {
  return given.ats === false ? { pri: false } : {};
}

/**
 * What a page request was for is asked for by ATS (PCI Express Base Specification: Page Request Services).
 *
 * @param object kind and id of the device
 * @throws TsvmmError where options do not go together
 */
export function checkPageRequests({ ats, pri }: PageRequestOptions, object: string): void {
  if (ats || !pri) return;
  throw new TsvmmError({
    code: 'bad-device-options',
    object: `${object}: pri`,
    why: 'it needs ats, which is off',
    mend: 'switch ats on, or pri off',
  });
}
