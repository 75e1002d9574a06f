import { TsvmmError } from '../core/errors.ts';
import { hostFile } from './package-files.ts';
import { readBytes } from './vconfig-files.ts';

/** The description of a host: one that comes with tsvmm by name, or a file. @throws TsvmmError */
export function hostJson(nameOrFile: string): unknown {
  return parseJson(new TextDecoder().decode(readBytes(hostFile(nameOrFile))), nameOrFile);
}

/** @throws TsvmmError naming `source` */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsvmmError({
      code: 'bad-json',
      object: source,
      why: `is no JSON: ${(cause as Error).message.split('\n')[0]}`,
      mend: "see 'tsvmm schema host'",
      cause,
    });
  }
}
