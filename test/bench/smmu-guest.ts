/** Stalled transactions and page requests of an SMMUv3 seen from a guest in C, beside VT-d's page requests. */
import { setFlagsFromString } from 'node:v8';
import { guestCost, type TimedGuest } from './kit/guest-time.ts';
import { compare, figure, finish } from './kit/row.ts';

const VIRT: TimedGuest = { source: 'stall-kernel.c', machine: 'virt', viommu: 'smmuv3' };
const Q35: TimedGuest = { source: 'svm-kernel.c', machine: 'q35', viommu: 'intel' };
const COUNT = 15_000;
const LIMIT = { text: '<= 10 us', value: 10_000 };

setFlagsFromString('--experimental-wasm-branch-hinting');
const vtd = { name: 'VT-d, page request', values: await guestCost(Q35, 'p', COUNT) };
const stalls = await guestCost(VIRT, 's', COUNT);
const requests = await guestCost(VIRT, 'p', COUNT);
figure('stall: device fault, handler in C, CMD_RESUME, retry', 'ns', stalls, LIMIT);
compare('stall: device fault, handler in C, CMD_RESUME, retry', 'ns', stalls, vtd);
compare('page request by PRI of an SMMUv3, handler in C, CMD_PRI_RESP, retry', 'ns', requests, vtd);
figure('the same device operation with the page there', 'ns', await guestCost(VIRT, 'h', COUNT * 10));
finish();
