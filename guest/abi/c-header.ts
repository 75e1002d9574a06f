import { ABI_EXPORTS, ABI_IMPORTS, ABI_MODULE, type ImportDecl } from './imports.ts';
import { PROCESS_TYPES } from './process-imports.ts';
import { USER_IMPORTS, USER_MODULE } from './user-imports.ts';

const WIDTH = 100;

/** The text of `tsvmm/abi.h`: every import of the ABI table as a C prototype. */
export function abiHeader(): string {
  const prototypes = Object.entries(ABI_IMPORTS).map(([name, decl]) => prototype(name, decl));
  return `/* SPDX-License-Identifier: MIT */
/*
 * The guest ABI of tsvmm, generated from guest/abi/imports.ts by \`npm run gen\`. Do not edit.
 *
 * Each function below is an import of WASM module "${ABI_MODULE}". C code calls it as ${ABI_MODULE}_NAME. Drivers rarely need
 * to: <tsvmm.h> wraps these in the names a kernel uses.
 *
 * What the VMM looks for among a guest's exports:
${Object.entries(ABI_EXPORTS)
  .map(([name, doc]) => ` *   ${name}: ${doc}`)
  .join('\n')}
 */
#ifndef TSVMM_ABI_H
#define TSVMM_ABI_H

#include <stdint.h>

#define TSVMM_IMPORT(name) __attribute__((import_module("${ABI_MODULE}"), import_name(#name)))

/** What the VMM calls for an interrupt: on the guest's own stack, with interrupts disabled. */
typedef void (*tsvmm_irq_handler_t)(uint32_t vector);

${PROCESS_TYPES}
${prototypes.join('\n')}
#endif
`;
}

/** The text of `user/include/tsvmm_user.h`: what a program of a user process imports. */
export function userAbiHeader(): string {
  const prototypes = Object.entries(USER_IMPORTS).map(([name, decl]) => prototype(name, decl, USER_MODULE));
  return `/* SPDX-License-Identifier: MIT */
/*
 * What a user process imports, generated from guest/abi/user-imports.ts by \`npm run gen\`. Do not edit.
 * Programs rarely need to: <user.h> wraps these in the names a C library uses.
 */
#ifndef TSVMM_USER_H
#define TSVMM_USER_H

#include <stdint.h>

#define TSVMM_USER_IMPORT(name) __attribute__((import_module("${USER_MODULE}"), import_name(#name)))

${prototypes.join('\n')}
#endif
`;
}

function prototype(name: string, decl: ImportDecl, module: string = ABI_MODULE): string {
  const params = decl.params.map((p) => (p.c.endsWith('*') ? p.c + p.name : `${p.c} ${p.name}`)).join(', ');
  const noreturn = name === 'exit' ? '_Noreturn ' : '';
  return `${comment(decl)}
${module.toUpperCase()}_IMPORT(${name})
${noreturn}${decl.result?.c ?? 'void'} ${module}_${name}(${params === '' ? 'void' : params});
`;
}

function comment(decl: ImportDecl): string {
  const lines = wrap(decl.yields === undefined ? decl.doc : `${decl.doc} A snapshot point.`, WIDTH - 3);
  return lines.length === 1 ? `/** ${lines[0]} */` : `/**\n${lines.map((l) => ` * ${l}`).join('\n')}\n */`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}
