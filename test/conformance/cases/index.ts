import type { Case } from '../world.ts';
import { DEVICE_TLBS } from './device-tlbs.ts';
import { FAULTS } from './faults.ts';
import { INVALIDATION } from './invalidation.ts';
import { LOAD } from './load.ts';
import { MAPPING } from './mapping.ts';
import { PAGE_REQUESTS } from './page-requests.ts';
import { PASIDS } from './pasids.ts';
import { REQUESTERS } from './requesters.ts';

/** The rows. */
export const CASES: readonly Case[] = [
  ...MAPPING,
  ...REQUESTERS,
  ...PASIDS,
  ...INVALIDATION,
  ...FAULTS,
  ...DEVICE_TLBS,
  ...PAGE_REQUESTS,
  ...LOAD,
];
