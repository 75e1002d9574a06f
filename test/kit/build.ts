import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Once before the system tests: the command line they start is that of these sources. */
export function setup(): void {
  const quick = existsSync('dist/lib') ? ['--quick'] : [];
  execFileSync(process.execPath, ['scripts/build.mjs', ...quick], { stdio: 'inherit' });
}
