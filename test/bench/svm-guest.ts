/** Shared virtual memory seen from a guest in C: page requests, and PASIDs that come and go. */
import { setFlagsFromString } from 'node:v8';
import { guestCost, type TimedGuest } from './kit/guest-time.ts';
import { figure, finish, type Limit } from './kit/row.ts';

const GUEST: TimedGuest = { source: 'svm-kernel.c', machine: 'q35', viommu: 'intel' };

async function row(what: string, kind: string, count: number, limit?: Limit): Promise<void> {
  figure(what, 'ns', await guestCost(GUEST, kind, count), limit);
}

setFlagsFromString('--experimental-wasm-branch-hinting');
await row('page request: device fault, handler in C, response, retry', 'p', 15_000, {
  text: '<= 10 us',
  value: 10_000,
});
await row('the same device operation with the page there', 'h', 150_000);
await row('PASID bound and unbound by the SDK, every invalidation waited for', 'b', 30_000, {
  text: '<= 10 us (100,000/s)',
  value: 10_000,
});
finish();
