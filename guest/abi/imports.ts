/**
 * The guest ABI: everything a guest module may import from module `tsvmm`, and what it may export.
 *
 * This table is the one declaration. The C header (guest/abi/c-header.ts), the loader's check of a module's imports, the
 * rewriter's lowering of 64-bit arguments and the TypeScript type of the host functions derive from it.
 */

import { PROCESS_IMPORTS } from './process-imports.ts';

export type WasmType = 'i32' | 'i64';

export interface ImportParam {
  readonly name: string;
  readonly type: WasmType;
  /** The C type in the generated header; the WASM type decides how it travels. */
  readonly c: string;
}

export interface ImportDecl {
  readonly params: readonly ImportParam[];
  readonly result?: { readonly type: WasmType; readonly c: string };
  /** One sentence for the header, the docs and `tsvmm info abi`. */
  readonly doc: string;
  /** The guest may be descheduled here: interrupts are delivered and a snapshot may be taken. */
  readonly yields?: true;
}

const i32 = (name: string, c = 'uint32_t'): ImportParam => ({ name, type: 'i32', c });
const i64 = (name: string, c = 'uint64_t'): ImportParam => ({ name, type: 'i64', c });
const u32Result = { type: 'i32', c: 'uint32_t' } as const;
const u64Result = { type: 'i64', c: 'uint64_t' } as const;

/** The import module's name. */
export const ABI_MODULE = 'tsvmm';

export const ABI_IMPORTS = {
  mmio_read: {
    params: [i64('addr'), i32('size')],
    result: u64Result,
    doc: 'Reads size (1, 2, 4 or 8) bytes at physical address addr as one bus access; reaches above 4 GiB.',
  },
  mmio_write: {
    params: [i64('addr'), i32('size'), i64('value')],
    doc: 'Writes size (1, 2, 4 or 8) bytes at physical address addr as one bus access; reaches above 4 GiB.',
  },
  movdir64b: {
    params: [i64('addr'), i32('src', 'const void *')],
    doc: 'Stores the 64 bytes at src to physical address addr, which is a multiple of 64, as one write that nobody answers.',
  },
  enqcmds: {
    params: [i64('addr'), i32('src', 'const void *')],
    result: u32Result,
    doc: 'Offers the 64 bytes at src, a command with its PASID in bits 19:0, to the enqueue register at addr: 0 taken, 1 not taken.',
  },
  port_in: {
    params: [i32('port'), i32('size')],
    result: u32Result,
    doc: 'Reads size (1, 2 or 4) bytes from an I/O port; a port nobody claims reads all ones.',
  },
  port_out: {
    params: [i32('port'), i32('size'), i32('value')],
    doc: 'Writes size (1, 2 or 4) bytes to an I/O port.',
  },
  wfi: {
    params: [],
    doc: 'Waits for an interrupt: virtual time runs until one is pending; it is delivered before the call returns if interrupts are enabled.',
    yields: true,
  },
  yield: {
    params: [],
    doc: 'Lets due device work run and delivers pending interrupts without waiting; a snapshot may be taken here.',
    yields: true,
  },
  cpu_relax: {
    params: [],
    doc: 'The hint of a polling loop: lets virtual time pass to the next device event within the poll quantum and delivers pending interrupts.',
  },
  irq_save: {
    params: [],
    result: u32Result,
    doc: 'Disables interrupts and returns the old state (1 enabled, 0 disabled).',
  },
  irq_restore: {
    params: [i32('flags')],
    doc: 'Sets the interrupt flag (1 enabled, 0 disabled); pending interrupts are delivered before the call returns.',
  },
  irq_handler: {
    params: [i32('vector'), i32('handler', 'tsvmm_irq_handler_t')],
    doc: 'Installs a handler for an interrupt vector (32..255); NULL removes it.',
  },
  irq_eoi: {
    params: [],
    doc: 'Ends the interrupt in service of the highest priority; as writing the local APIC EOI register.',
  },
  clock_ns: {
    params: [],
    result: u64Result,
    doc: 'Virtual time in nanoseconds since power-on.',
  },
  delay_ns: {
    params: [i64('ns')],
    doc: 'Lets ns nanoseconds of virtual time pass; due device work runs, pending interrupts are delivered.',
  },
  acpi_rsdp: {
    params: [],
    result: { type: 'i32', c: 'uint32_t' },
    doc: 'Physical address of the ACPI RSDP, or 0 where the machine has no ACPI.',
  },
  ram_size: {
    params: [],
    result: u64Result,
    doc: 'Bytes of RAM; RAM starts at the base of the machine (0 on q35).',
  },
  ram_base: {
    params: [],
    result: { type: 'i32', c: 'uint32_t' },
    doc: 'Address of the first byte of RAM: 0 on q35, 0x40000000 on virt.',
  },
  heap_start: {
    params: [],
    result: { type: 'i32', c: 'uint32_t' },
    doc: 'First page-aligned address above the guest image that is free for the guest to use.',
  },
  heap_end: {
    params: [],
    result: { type: 'i32', c: 'uint32_t' },
    doc: 'End (exclusive) of the RAM that is free for the guest to use.',
  },
  console_write: {
    params: [i32('text', 'const char *'), i32('length')],
    doc: 'Writes bytes to the console; for guests without a C library.',
  },
  exit: {
    params: [i32('status')],
    doc: 'Powers the machine off with an exit status; 0 is success. Does not return.',
  },
  ...PROCESS_IMPORTS,
} as const satisfies Record<string, ImportDecl>;

export type AbiImportName = keyof typeof ABI_IMPORTS;

/** What the VMM looks for among a guest's exports. `memory` may be absent when the guest imports it. */
export const ABI_EXPORTS = {
  _start: 'Entry point of a WASI command; a return is exit(0).',
  main: 'Entry point of a freestanding guest: no parameters, an optional i32 exit status.',
  tsvmm_irq: 'Optional dispatcher (vector: i32): called for every vector that has no handler of its own.',
} as const;
