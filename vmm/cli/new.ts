/** `tsvmm new NAME`: writes the files of guest/template, with the project's name filled in. */

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type ProjectFile, renderProject } from '../../guest/template/render.ts';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { cannotWrite } from './host.ts';
import type { NEW_OPTIONS } from './table.ts';

export async function newProject(
  { host }: Context,
  { operands, options }: Invocation<typeof NEW_OPTIONS>,
): Promise<ExitCode> {
  const shown = operands[0]!;
  const target = resolve(host.cwd, shown);
  const name = basename(target);
  const files = renderProject(name, options.viommu ?? 'intel');
  if (existsSync(target)) throw refused(shown, 'exists already', 'choose another name');
  const temporary = join(dirname(target), `.${name}.${process.pid}.tmp`);
  try {
    write(files, temporary);
    renameSync(temporary, target);
  } catch (cause) {
    rmSync(temporary, { recursive: true, force: true });
    throw cannotWrite(shown, (cause as NodeJS.ErrnoException).code, cause);
  }
  const machine = join(shown, 'tsvmm.json');
  host.out(`made ${shown}; try: tsvmm run ${join(shown, 'driver.c')} --config ${machine}\n`);
  return EXIT.ok;
}

function write(files: readonly ProjectFile[], directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const { path, text } of files) writeFileSync(join(directory, path), text);
}

function refused(object: string, why: string, mend: string): TsvmmError {
  return new TsvmmError({ code: 'cannot-create', object, why, mend });
}
