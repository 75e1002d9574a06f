import { describe, test } from 'vitest';
import { CASES } from './cases/index.ts';
import { MODES } from './modes.ts';
import { skipReason } from './skips.ts';

/** Tests of every case in every mode of an architecture; a case that is left out says why in its name. */
export function conformance(architecture: string): void {
  for (const mode of MODES.filter((m) => m.name.startsWith(architecture))) {
    describe(mode.name, () => {
      const world = mode.start();
      for (const c of CASES) {
        const reason = skipReason(c, mode);
        if (reason !== undefined) test.skip(`${c.name} (${reason})`, () => {});
        else
          test(c.name, () => {
            world.renew();
            c.run(world);
          });
      }
    });
  }
}
