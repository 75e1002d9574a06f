import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TsvmmError } from '../core/errors.ts';
import { packageRoot } from './package-files.ts';

/** The description of a host: one that comes with tsvmm by name, or a file. @throws TsvmmError */
export function hostJson(nameOrFile: string): unknown {
  const shipped = join(packageRoot(), 'vmm', 'host', 'hosts', `${nameOrFile}.json`);
  const file = /[/\\]|\.json$/.test(nameOrFile) || !existsSync(shipped) ? nameOrFile : shipped;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const why = existsSync(file) ? `is no JSON: ${(cause as Error).message}` : 'there is no such host';
    throw new TsvmmError({ code: 'bad-host', object: nameOrFile, why, mend: "see 'tsvmm host list'", cause });
  }
}
