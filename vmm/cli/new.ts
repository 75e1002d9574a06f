/** `tsvmm new NAME`: copies guest/template, with the project's name filled in. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { cannotWrite } from './host.ts';
import { packageRoot } from './package-files.ts';
import type { NEW_OPTIONS } from './table.ts';

/** Stands for the project's name in the template's texts and file names. */
const PLACEHOLDER = '__NAME__';

export async function newProject(
  { host }: Context,
  { operands, options }: Invocation<typeof NEW_OPTIONS>,
): Promise<ExitCode> {
  const shown = operands[0]!;
  const target = resolve(host.cwd, shown);
  const name = basename(target);
  if (!/^[A-Za-z][\w-]*$/.test(name)) {
    throw refused(shown, `'${name}' cannot name a project`, 'use letters, digits, dashes and underscores');
  }
  if (existsSync(target)) throw refused(shown, 'exists already', 'choose another name');
  const template = join(packageRoot(), 'guest', 'template', options.viommu ?? 'intel');
  const temporary = join(dirname(target), `.${name}.${process.pid}.tmp`);
  try {
    copy(template, temporary, name);
    renameSync(temporary, target);
  } catch (cause) {
    rmSync(temporary, { recursive: true, force: true });
    throw cannotWrite(shown, (cause as NodeJS.ErrnoException).code, cause);
  }
  const guest = readdirSync(target).find((file) => file.endsWith('.c'));
  host.out(`made ${shown}; try: tsvmm run ${join(shown, guest ?? '')}\n`);
  return EXIT.ok;
}

function copy(from: string, to: string, name: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name.replaceAll(PLACEHOLDER, name));
    if (entry.isDirectory()) copy(source, target, name);
    else writeFileSync(target, readFileSync(source, 'utf8').replaceAll(PLACEHOLDER, name));
  }
}

function refused(object: string, why: string, mend: string): TsvmmError {
  return new TsvmmError({ code: 'cannot-create', object, why, mend });
}
