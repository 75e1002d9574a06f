import * as gic from '../../devices/chipset/gic-registers.ts';
import * as dsaDescriptors from '../../devices/ep/dsa/descriptor.ts';
import * as dsa from '../../devices/ep/dsa/registers.ts';
import * as edu from '../../devices/ep/edu-registers.ts';
import * as svm from '../../devices/ep/svm-engine-registers.ts';
import * as testdev from '../../devices/ep/testdev-registers.ts';
import * as capabilities from '../../devices/pci/capabilities.ts';
import * as extended from '../../devices/pci/extended-capabilities.ts';
import { BAR0, HEADER_BRIDGE, SUBSYSTEM } from '../../devices/pci/header.ts';
import * as sriov from '../../devices/pci/sriov-registers.ts';
import { SS_ENTRY } from '../../viommu/spec/paging/second-stage.ts';
import { S1_LEAF, S1_TABLE, S2_LEAF } from '../../viommu/spec/paging/vmsa.ts';
import * as smmuCommands from '../../viommu/spec/smmuv3/commands.ts';
import * as smmuEvents from '../../viommu/spec/smmuv3/events.ts';
import * as smmuRegisters from '../../viommu/spec/smmuv3/registers.ts';
import * as smmuStructures from '../../viommu/spec/smmuv3/structures.ts';
import { CAP, ECAP } from '../../viommu/spec/vtd/capabilities.ts';
import * as descriptors from '../../viommu/spec/vtd/descriptors.ts';
import * as faults from '../../viommu/spec/vtd/faults.ts';
import * as registers from '../../viommu/spec/vtd/registers.ts';
import * as structures from '../../viommu/spec/vtd/structures.ts';
import { Layout, Register } from '../../vmm/regs/layout.ts';
import { cMacros } from '../../vmm/regs/views.ts';
import { abiHeader, userAbiHeader } from '../abi/c-header.ts';

/** The SDK's headers that are not written by hand: one for the ABI, one for each table of registers. */

export interface GeneratedHeader {
  /** Below guest/sdk/include. */
  readonly path: string;
  readonly text: string;
}

export function generatedHeaders(): readonly GeneratedHeader[] {
  return [
    { path: 'tsvmm/abi.h', text: abiHeader() },
    { path: 'tsvmm/dsa.h', text: dsaHeader() },
    { path: 'tsvmm/edu.h', text: eduHeader() },
    { path: 'tsvmm/gic.h', text: gicHeader() },
    { path: 'tsvmm/iommu_testdev.h', text: testdevHeader() },
    { path: 'tsvmm/pci.h', text: pciHeader() },
    { path: 'tsvmm/smmuv3.h', text: smmuHeader() },
    { path: 'tsvmm/svm_engine.h', text: svmEngineHeader() },
    { path: 'tsvmm/vtd.h', text: vtdHeader() },
    { path: '../user/include/tsvmm_user.h', text: userAbiHeader() },
  ];
}

interface HeaderParts {
  readonly guard: string;
  readonly about: string;
  readonly from: string;
  readonly sections: readonly (readonly [title: string, body: string])[];
}

const FIELDS = `Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.`;

function header(parts: HeaderParts): string {
  const sections = parts.sections.map(([title, body]) => `/* ---- ${title} ---- */\n\n${body}`);
  return `/* SPDX-License-Identifier: MIT */
/*
 * ${parts.about}
 * Generated from ${parts.from} by \`npm run gen\`. Do not edit.
 *
 * ${FIELDS}
 */
#ifndef ${parts.guard}
#define ${parts.guard}

${sections.join('\n')}
#endif
`;
}

function vtdHeader(): string {
  const block = [CAP, ECAP, ...layoutsOf(registers)].filter((l) => l instanceof Register);
  block.sort((a, b) => a.offset - b.offset);
  return header({
    guard: 'TSVMM_VTD_H',
    about: 'Intel VT-d: registers, structures in memory, invalidation descriptors, fault reasons.',
    from: 'viommu/spec/vtd',
    sections: [
      ['Registers', macros('VTD', block)],
      [
        'Structures',
        constants('VTD', numbersOf(structures, 'PGTT_')) +
          macros('VTD', [...layoutsOf(structures), SS_ENTRY]),
      ],
      [
        'Invalidation descriptors',
        constants('VTD', numbersOf(descriptors, 'QI_')) + macros('VTD', layoutsOf(descriptors)),
      ],
      ['Invalidation queue errors: IQERCD.IQEI', constants('VTD', numbersOf(descriptors, 'IQEI_'))],
      ['Fault reasons', constants('VTD_FAULT', numbersOf(faults, '')) + faultList()],
    ],
  });
}

function smmuHeader(): string {
  const block = layoutsOf(smmuRegisters).filter((l) => l instanceof Register);
  block.sort((a, b) => a.offset - b.offset);
  return header({
    guard: 'TSVMM_SMMUV3_H',
    about: 'Arm SMMUv3: registers, structures in memory, commands, event and PRI queue records.',
    from: 'viommu/spec/smmuv3',
    sections: [
      ['Registers', macros('SMMU', block)],
      [
        'Structures',
        constants('SMMU', numbersOf(smmuStructures, 'CONFIG_')) +
          macros('SMMU', layoutsOf(smmuStructures).map(cNamed)),
      ],
      [
        'Commands',
        constants('SMMU', numbersOf(smmuCommands, 'CMD_')) +
          constants('SMMU', numbersOf(smmuCommands, 'CS_')) +
          macros('SMMU', layoutsOf(smmuCommands).map(cNamed)),
      ],
      ['CMDQ_CONS.ERR', constants('SMMU', numbersOf(smmuCommands, 'CERROR_'))],
      ['Records', macros('SMMU', layoutsOf(smmuEvents).map(cNamed))],
      [
        'VMSAv8-64 descriptors',
        macros('VMSA', [
          new Layout('S1_TABLE', S1_TABLE.cite, 8, S1_TABLE.fields),
          new Layout('S1', S1_LEAF.cite, 8, S1_LEAF.fields),
          new Layout('S2', S2_LEAF.cite, 8, S2_LEAF.fields),
        ]),
      ],
    ],
  });
}

/** Structures that the tables name in words, under the names of the architecture. */
const SMMU_NAMES: Readonly<Record<string, string>> = {
  'stream table entry': 'STE',
  'context descriptor': 'CD',
  'L1 stream table descriptor': 'L1STD',
  'L1 context descriptor': 'L1CD',
  'event record': 'EVENT',
  'PRI queue entry': 'PRI',
};

function cNamed(layout: Layout): Layout {
  const name = SMMU_NAMES[layout.name] ?? layout.name;
  return new Layout(name, layout.cite, layout.bytes, layout.fields);
}

function gicHeader(): string {
  const numbered = new Set(['GICC_APR0', 'GICD_PIDR2']);
  const block = (prefix: string, registers: readonly Register[]) =>
    macros(
      prefix,
      registers
        .filter((r) => !/\d$/.test(r.name) || numbered.has(r.name))
        .map((r) => new Register(r.offset, r.name.replace(`${prefix}_`, ''), r.cite, 4, r.fields)),
    );
  const arrays = numbersOf(gic, 'GICD_').map(
    ([name, offset]) => [name.replace('GICD_', ''), offset] as const,
  );
  return header({
    guard: 'TSVMM_GIC_H',
    about: 'Arm GICv2: registers of distributor and CPU interface, and of the GICv2m MSI frame.',
    from: 'devices/chipset',
    sections: [
      ['Distributor', block('GICD', gic.GICD_REGISTERS)],
      ['Distributor: arrays of registers', constants('GICD', arrays)],
      ['CPU interface', block('GICC', gic.GICC_REGISTERS)],
      ['MSI frame', block('V2M', gic.V2M_REGISTERS)],
    ],
  });
}

function pciHeader(): string {
  const ids = Object.entries(capabilities.CAP_ID).map(
    ([name, id]) => [`ID_${name.toUpperCase()}`, id] as const,
  );
  const extendedIds = Object.entries(extended.EXT_CAP_ID).map(
    ([name, id]) => [`ID_${name.toUpperCase()}`, id] as const,
  );
  return header({
    guard: 'TSVMM_PCI_H',
    about: 'PCI configuration space: headers of endpoints and bridges, and capabilities.',
    from: 'devices/pci',
    sections: [
      // The bridge's registers hold all of the endpoint's but one.
      ['Headers', macros('PCI', [...HEADER_BRIDGE, SUBSYSTEM]) + constants('PCI', [['BAR0', BAR0]])],
      ['Capability ids', constants('PCI_CAP', ids)],
      ['Capabilities: offsets from their start', macros('PCI', layoutsOf(capabilities))],
      ['Extended capability ids', constants('PCI_EXT_CAP', extendedIds)],
      [
        'Extended capabilities: offsets from their start',
        macros('PCI', [...layoutsOf(extended), ...layoutsOf(sriov)]),
      ],
    ],
  });
}

function eduHeader(): string {
  const buffer = [
    ['BUFFER_BASE', edu.EDU_BUFFER_BASE],
    ['BUFFER_BYTES', edu.EDU_BUFFER_BYTES],
  ] as const;
  return header({
    guard: 'TSVMM_EDU_H',
    about:
      'The teaching device edu (1234:11e8): registers of BAR 0, and its buffer in its own address space.',
    from: 'devices/ep',
    sections: [['Registers', macros('EDU', edu.EDU_REGISTERS) + constants('EDU', buffer)]],
  });
}

function dsaHeader(): string {
  const named = (codes: Readonly<Record<string, number>>) =>
    Object.entries(codes).map(([name, code]) => [constantCase(name), code] as const);
  const portals = [
    ['PORTAL_BYTES', dsa.PORTAL_BYTES],
    ['PORTAL_LIMITED', dsa.PORTAL_LIMITED],
    ['GROUP_BYTES', dsa.GROUP_BYTES],
    ['QUEUE_BYTES', dsa.QUEUE_BYTES],
  ] as const;
  const flags = numbersOf(dsaDescriptors, 'FLAG_');
  return header({
    guard: 'TSVMM_DSA_H',
    about:
      'Intel Data Streaming Accelerator (8086:0b25): registers of BAR 0, portals of BAR 2, descriptors, records.',
    from: 'devices/ep/dsa',
    sections: [
      [
        'Registers; of groups, queues and vectors the first',
        macros('DSA', dsa.DSA_REGISTERS) + constants('DSA', portals),
      ],
      ['Commands: CMD.COMMAND', constants('DSA_CMD', named(dsa.DSA_COMMANDS))],
      ['Command errors: CMDSTS.ERROR', constants('DSA_CMDERR', named(dsa.DSA_COMMAND_ERRORS))],
      [
        'Descriptors and completion records',
        macros('DSA', [dsaDescriptors.DSA_DESCRIPTOR, dsaDescriptors.DSA_RECORD]) +
          constants('DSA', numbersOf(dsaDescriptors, 'OP_')) +
          constants('DSA', flags),
      ],
      ['Completion status', constants('DSA_STATUS', named(dsaDescriptors.STATUS))],
    ],
  });
}

function testdevHeader(): string {
  const results = Object.entries(testdev.RESULT).map(([name, code]) => [constantCase(name), code] as const);
  return header({
    guard: 'TSVMM_IOMMU_TESTDEV_H',
    about: 'The DMA test function iommu-testdev (1b36:0005): registers of BAR 0.',
    from: 'devices/ep',
    sections: [
      ['Registers', macros('TESTDEV', testdev.TESTDEV_REGISTERS)],
      ['Values of RESULT', constants('TESTDEV_RESULT', results)],
    ],
  });
}

function svmEngineHeader(): string {
  const named = (table: Readonly<Record<string, number>>) =>
    Object.entries(table).map(([name, value]) => [constantCase(name), value] as const);
  const places = [
    ['FRAME_BASE', svm.SVM_FRAME_BASE],
    ['FRAME_BYTES', svm.SVM_FRAME_BYTES],
    ['MAX_BYTES', svm.SVM_MAX_BYTES],
  ] as const;
  return header({
    guard: 'TSVMM_SVM_ENGINE_H',
    about: 'The test function svm-engine (1234:53e0): registers of BAR 0. See docs/svm-engine.md.',
    from: 'devices/ep',
    sections: [
      ['Registers of the function', macros('SVM', svm.SVM_REGISTERS)],
      [
        'Registers of a frame: offsets from its start',
        macros('SVM', svm.SVM_FRAME_REGISTERS) + constants('SVM', places),
      ],
      ['Operations', constants('SVM_OP', named(svm.SVM_OP))],
      ['Values of FRAME_STATUS.STATE', constants('SVM_STATE', named(svm.SVM_STATE))],
      ['Values of FRAME_STATUS.ERROR', constants('SVM_ERROR', named(svm.SVM_ERROR))],
    ],
  });
}

function constantCase(camelCase: string): string {
  return camelCase.replace(/[A-Z]/g, (capital) => `_${capital}`).toUpperCase();
}

/** An X-macro, so that C code can make a table of the reasons without repeating their words. */
function faultList(): string {
  const rows = faults.FAULT_REASONS.map((f) => `\tX(${hex(f.code)}, "${f.name}", "${cText(f.why)}")`);
  return `\n#define VTD_FAULT_REASONS(X) \\\n${rows.join(' \\\n')}\n`;
}

/** In order of their names: the order of a module's exports is the bundler's affair. */
function layoutsOf(module: object): Layout[] {
  return Object.values(module)
    .filter((value): value is Layout => value instanceof Layout)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function numbersOf(module: object, prefix: string): [string, number][] {
  return Object.entries(module)
    .filter((entry): entry is [string, number] => entry[0].startsWith(prefix) && typeof entry[1] === 'number')
    .sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
}

function macros(prefix: string, layouts: readonly Layout[]): string {
  return layouts.map((layout) => `${cMacros(prefix, layout)}\n`).join('');
}

function constants(prefix: string, entries: readonly (readonly [string, number])[]): string {
  return `${entries.map(([name, value]) => `#define ${prefix}_${name} ${hex(value)}\n`).join('')}\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

function cText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
}
