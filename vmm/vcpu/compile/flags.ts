/** The compiler's and the linker's flags: one list for the bundled and the system's tools. */

import type { CompileRequest, GuestLayout, UnitOptions } from './types.ts';
import { Q35_LAYOUT, USER_LAYOUT } from './types.ts';

export const DEFAULT_OPTIMISE = '2';

/**
 * Flags with the same spelling in `clang` and `clang -cc1`.
 * - A driver's address 0 is RAM like any other: null checks stay.
 * - A call that does not match its prototype would become `unreachable` at link time: refused already here.
 */
export function commonFlags(options: UnitOptions): string[] {
  return [
    '-std=gnu17',
    `-O${options.optimise}`,
    '-Wall',
    '-Werror=implicit-function-declaration',
    '-fno-delete-null-pointer-checks',
    ...(options.freestanding ? ['-ffreestanding'] : []),
    '-D__tsvmm__=1',
    ...options.defines.map((define) => `-D${define}`),
    ...options.includeDirs.map((dir) => `-I${dir}`),
  ];
}

export function layoutOf(request: Pick<CompileRequest, 'layout' | 'userMode'>): GuestLayout {
  return request.layout ?? (request.userMode ? USER_LAYOUT : Q35_LAYOUT);
}

/** The stack can go first when RAM starts at 0 and it ends below the statics. */
export function stackGoesFirst(layout: GuestLayout): boolean {
  return layout.ramBase === 0 && layout.stackSize <= layout.globalBase;
}

/**
 * Linker flags of every guest.
 * @param knowsNoStackFirst wasm-ld 22 and later put the stack first unless told otherwise; earlier ones lack the option.
 */
export function linkFlags(layout: GuestLayout, freestanding: boolean, knowsNoStackFirst: boolean): string[] {
  const order = stackGoesFirst(layout) ? ['--stack-first'] : knowsNoStackFirst ? ['--no-stack-first'] : [];
  return [
    // A wrong prototype links with a warning and traps when called: make it an error.
    '--fatal-warnings',
    `--global-base=${layout.globalBase}`,
    '-z',
    `stack-size=${layout.stackSize}`,
    ...order,
    ...(freestanding ? ['--no-entry', '--export-if-defined=main', '--export-if-defined=_start'] : []),
    '--export-if-defined=tsvmm_irq',
    '--export=__heap_base',
    '--export=__data_end',
    '--export=__stack_pointer',
    // The kernel maps a program's data from here.
    ...(layout === USER_LAYOUT ? ['--export=__global_base'] : []),
    // Interrupt handlers are called by table index.
    '--export-table',
  ];
}
