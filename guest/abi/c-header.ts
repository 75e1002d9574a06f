import { ABI_EXPORTS, ABI_IMPORTS, ABI_MODULE, type ImportDecl } from './imports.ts';

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

${prototypes.join('\n')}
#endif
`;
}

function prototype(name: string, decl: ImportDecl): string {
  const params = decl.params.map((p) => (p.c.endsWith('*') ? p.c + p.name : `${p.c} ${p.name}`)).join(', ');
  const noreturn = name === 'exit' ? '_Noreturn ' : '';
  return `${comment(decl)}
TSVMM_IMPORT(${name})
${noreturn}${decl.result?.c ?? 'void'} ${ABI_MODULE}_${name}(${params === '' ? 'void' : params});
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
