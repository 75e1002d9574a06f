import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { abiHeader } from '../../../guest/abi/c-header.ts';
import { ABI_IMPORTS } from '../../../guest/abi/imports.ts';
import { generatedHeaders } from '../../../guest/sdk/headers.ts';

const include = (path: string) => new URL(`../../../guest/sdk/include/${path}`, import.meta.url);

test.each(generatedHeaders())(
  'the committed $path is what its tables say (else: npm run gen)',
  ({ path, text }) => {
    expect(readFileSync(include(path), 'utf8')).toBe(text);
  },
);

test('every import of the ABI has a prototype with its import name', () => {
  const header = abiHeader();

  for (const name of Object.keys(ABI_IMPORTS)) {
    expect(header).toContain(`TSVMM_IMPORT(${name})\n`);
    expect(header).toMatch(new RegExp(`^\\S.* \\*?tsvmm_${name}\\(`, 'm'));
  }
});

test('64-bit parameters and pointers keep their C types in the prototype', () => {
  const header = abiHeader();

  expect(header).toContain('void tsvmm_mmio_write(uint64_t addr, uint32_t size, uint64_t value);');
  expect(header).toContain('void tsvmm_console_write(const char *text, uint32_t length);');
  expect(header).toContain('void tsvmm_irq_handler(uint32_t vector, tsvmm_irq_handler_t handler);');
  expect(header).toContain('_Noreturn void tsvmm_exit(uint32_t status);');
  expect(header).toContain('uint64_t tsvmm_clock_ns(void);');
});

test('tsvmm/vtd.h has the register offsets and bits of the specification', () => {
  const vtd = generatedHeaders().find((h) => h.path === 'tsvmm/vtd.h')?.text ?? '';

  for (const line of [
    '#define VTD_GCMD 0x18',
    '#define VTD_GCMD_TE (1u << 31)',
    '#define VTD_RTADDR 0x20',
    '#define VTD_IQT 0x88',
    '#define VTD_CAP_SAGAW_SHIFT 8',
    '#define VTD_CONTEXT_ENTRY_DID_SHIFT 8',
    '#define VTD_CONTEXT_ENTRY_DID_QW 1',
    '#define VTD_QI_WAIT 0x05',
    '#define VTD_FAULT_LGN_WRITE 0x05',
    '#define VTD_FAULT_IR_SOURCE 0x26',
  ])
    expect(vtd).toContain(line);
});
