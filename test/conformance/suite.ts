import { describe, test } from 'vitest';
import { CASES } from './cases/index.ts';
import { MODES } from './modes.ts';
import { skipReason } from './skips.ts';

/** Tests of every case in every mode of an architecture; what is left out is in the table (docs/conformance.md). */
export function conformance(architecture: string): void {
  for (const mode of MODES.filter((m) => m.name.startsWith(architecture))) {
    describe(mode.name, () => {
      const world = mode.start();
      test.each(CASES.filter((c) => skipReason(c, mode) === undefined).map((c) => [c.name, c] as const))(
        '%s',
        (_name, c) => {
          world.renew();
          c.run(world);
        },
      );
    });
  }
}
