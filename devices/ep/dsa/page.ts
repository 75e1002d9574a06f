import { markdownTable } from '../../../vmm/regs/views.ts';
import { OPERATIONS, STATUS } from './descriptor.ts';
import { DSA_LIMITS } from './limits.ts';
import {
  DSA_COMMAND_ERRORS,
  DSA_COMMANDS,
  DSA_REGISTERS,
  ENGINES,
  GROUPS,
  HANDLES,
  PORTAL_BYTES,
  PORTAL_LIMITED,
  QUEUE_ENTRIES,
  WORK_QUEUES,
} from './registers.ts';

/** docs/dsa.md. */
export function dsaPage(): string {
  const rows = (codes: Readonly<Record<string, number>>) =>
    Object.entries(codes)
      .map(([name, code]) => `| ${hex(code)} | ${name} |`)
      .join('\n');
  return `# The Data Streaming Accelerator

Generated from the tables of the model by \`npm run gen\`. Do not edit.

\`--device dsa\` is Intel's Data Streaming Accelerator 1.0 (8086:0b25), a root complex endpoint with PASID, ATS and page requests: it
copies, fills, compares and sums memory of whoever asks, by virtual addresses. Its ${WORK_QUEUES} work queues have ${QUEUE_ENTRIES} entries together; ${GROUPS}
groups share ${ENGINES} engines, each of which does one descriptor or batch at a time. C guests include \`<tsvmm/dsa.h>\` for registers and
\`<tsvmm/dsa_desc.h>\` for descriptors; \`<tsvmm/dsa_driver.h>\` is a driver, and \`<dsa.h>\` what user programs use.

With \`vfs=N\` it has SR-IOV with up to 7 virtual functions (Intel's has none): each is an accelerator with queues, engines, ATC and ATS Enable
of its own; PASID and page requests, with their enables and their allocation, are the physical function's. Software sizes, places
and enables them by the SR-IOV capability.

## Submitting

Portals are in BAR 2, queue n at n * ${hex(PORTAL_BYTES)}: the unlimited portal at +0, the limited one at +${hex(PORTAL_LIMITED)}. A dedicated queue takes 64-byte posted
writes (\`tsvmm_movdir64b\`; MOVDIR64B), a shared one answers 64-byte deferrable writes (\`tsvmm_enqcmds\`, and in user mode \`enqcmd\`,
which puts the PASID of the process in): taken, or to be tried again when its entries, or at the limited portal its threshold, are
used up. What does not suit a queue's mode or state is refused (deferrable: to be tried again).

A descriptor is done within the write that submits it unless \`delay_ns\` says otherwise. A page that is not there ends it with status 03 and
the bytes completed, or with Block On Fault (of queue and descriptor) becomes a page request; the engine goes on when the
response is there, on the virtual clock right after the IOMMU's command. An overlapping move that has to go from the end says so by
result 1. An abort command ends descriptors without a record; the answer to a page request of one of them is counted, and means
nothing to what the engine does next.

## Operations

| code | operation |
|---|---|
${OPERATIONS.map((o) => `| ${hex(o.opcode)} | ${o.name} |`).join('\n')}

## Completion status

| code | name |
|---|---|
${rows(STATUS)}

Bit 7 is set where a page fault was of a write.

## Commands

| code | command |
|---|---|
${rows(DSA_COMMANDS)}

Interrupt handles are MSI-X vectors 1 to ${HANDLES}, usable once asked for; vector 0 is for commands and software errors. A handle is
raised only by descriptors whose PASID its MSIXPERM names (or any, with IGNORE).

## Command errors

| code | name |
|---|---|
${rows(DSA_COMMAND_ERRORS)}

## Limits

| id | what | where it is defined |
|---|---|---|
${DSA_LIMITS.map((l) => `| ${l.id} | ${l.what} | ${l.cite} |`).join('\n')}

## Registers

Those of group, queue and vector 0 stand for all.

${DSA_REGISTERS.map((r) => `### ${r.name}: ${hex(r.offset)}, ${r.bytes} bytes\n\n${markdownTable(r)}`).join('\n\n')}
`;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
