import { markdownTable } from '../../vmm/regs/views.ts';
import {
  SVM_ERROR,
  SVM_ERROR_DOC,
  SVM_FRAME_BASE,
  SVM_FRAME_BYTES,
  SVM_FRAME_REGISTERS,
  SVM_OP,
  SVM_OP_DOC,
  SVM_REGISTERS,
} from './svm-engine-registers.ts';

/** docs/svm-engine.md. */
export function svmEnginePage(): string {
  return `# The SVM engine

Generated from the register tables by \`npm run gen\`. Do not edit.

\`--device svm-engine\` is a PCI Express function (1234:53e0, class 120000) for tests of IOMMUs and of drivers for shared virtual
memory, in the manner of Arm's SMMUv3 test engine: it makes whatever request it is told to, with any PASID, translated by its own
cache (ATS) or not, asks for pages (PRI), and breaks the rules on demand. C guests include \`<tsvmm/svm_engine.h>\`.

It works in *frames*. Each has its own registers and does one operation at a time; all frames can be at work at once. Frame n lies
at ${hex(SVM_FRAME_BASE)} + n * ${hex(SVM_FRAME_BYTES)} in BAR 0. BAR 2 has the MSI-X table, a vector for each frame. Registers take
naturally aligned accesses of 4 and 8 bytes.

## How an operation goes

1. Set the registers of the frame; write OP last. Unless FRAME_DELAY says otherwise, everything that need not wait happens before
   that write returns.
2. STATE is 0 again when the operation has ended, and ERROR says how; with IRQ, message VECTOR is sent. Registers of a frame that
   is not idle keep their values; only \`abort\` is taken.
3. A page that is not granted ends the operation with \`fault\`, or with PRI set is asked for. The frame then waits (STATE 3) for
   the response, and goes on where it was; if success is answered at once and the page is still not there, after a microsecond.
   FRAME_FAULT has the address, and FRAME_DONE what was done until then.
4. With as many page requests outstanding as allocated, a frame waits for room (STATE 4). FRAME_MAX_REQUESTS ends what would ask
   for ever.
5. With STALL set, an IOMMU may hold a request (STATE 5); its resume or abort command decides how the frame goes on.

What goes on after a response or a resume does so on the virtual clock, right after the IOMMU has done its command.

Enable bus mastering, then PASID, ATS and PRI, and disable in the opposite order. ATS disabled: requests are sent untranslated.
Privileged and execute requests go out as such only if the PASID capability has them enabled. A virtual function has its own frames,
ATC and ATS Enable; PASID and PRI are the physical function's.

## Operations

| code | operation | what it does |
|---|---|---|
${Object.entries(SVM_OP)
  .map(([name, code]) => `| ${hex(code)} | ${name} | ${SVM_OP_DOC[name as keyof typeof SVM_OP]} |`)
  .join('\n')}

For rules to break: a translated request for a page never translated is \`rawWrite\` with RAW_AT 2; a PASID that is not enabled is
\`rawRead\` with PASID_VALID; a page request after a stop marker is \`stopMarker\`, then \`rawPageRequest\`; an invalidation that is never
completed is INVALIDATION.MODE 2; a completion with an unknown tag is \`rawCompletion\` or MODE 3.

## Values of FRAME_STATUS.ERROR

| value | name | meaning |
|---|---|---|
${Object.entries(SVM_ERROR)
  .map(([name, value]) => `| ${value} | ${name} | ${SVM_ERROR_DOC[name as keyof typeof SVM_ERROR]} |`)
  .join('\n')}

## Registers of the function

${SVM_REGISTERS.map(section).join('\n\n')}

## Registers of a frame

${SVM_FRAME_REGISTERS.map(section).join('\n\n')}
`;
}

function section(register: (typeof SVM_REGISTERS)[number]): string {
  return `### ${register.name}: ${hex(register.offset)}, ${register.bytes} bytes

${markdownTable(register)}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
