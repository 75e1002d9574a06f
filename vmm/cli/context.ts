/** What every command gets beside its own options. */

import type { Backend } from './backend.ts';
import type { Host } from './host.ts';
import type { AcceptedBefore } from './machine-options.ts';

export interface Context {
  readonly host: Host;
  /** Loads the machine; commands that need none start without it. */
  readonly backend: () => Promise<Backend>;
  readonly accepted: () => Promise<AcceptedBefore | undefined>;
}
