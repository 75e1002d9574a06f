import { TsvmmError } from '../../vmm/core/errors.ts';
import { didYouMean } from '../../vmm/core/suggest.ts';
import { driverFor } from './driver.ts';

/** `tsvmm new NAME --viommu KIND`: the files of a driver project that passes at once. */

export const TEMPLATE_VIOMMUS = ['intel', 'smmuv3', 'none'] as const;
export type TemplateViommu = (typeof TEMPLATE_VIOMMUS)[number];

export interface ProjectFile {
  /** Relative to the project's directory, which is called as the project. */
  readonly path: string;
  readonly text: string;
}

/** @throws TsvmmError when the name could not be a directory's or stand in a C string, or there is no such template. */
export function renderProject(name: string, viommu: string): readonly ProjectFile[] {
  checkName(name);
  const kind = checkViommu(viommu);
  return [
    { path: 'driver.c', text: driverFor(name, kind) },
    { path: 'tsvmm.json', text: machineFor(kind) },
    { path: 'README.md', text: readmeFor(name, kind) },
  ];
}

function checkName(name: string): void {
  if (/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name)) return;
  throw new TsvmmError({
    code: 'bad-project-name',
    object: JSON.stringify(name),
    why: 'is no name for a project',
    mend: 'use up to 64 letters, digits, - and _, a letter first',
  });
}

function checkViommu(viommu: string): TemplateViommu {
  const kind = TEMPLATE_VIOMMUS.find((k) => k === viommu);
  if (kind !== undefined) return kind;
  throw new TsvmmError({
    code: 'no-template',
    object: `--viommu ${viommu}`,
    why: 'there is no project template for it',
    mend: didYouMean(viommu, TEMPLATE_VIOMMUS),
  });
}

function machineFor(viommu: TemplateViommu): string {
  const machine = {
    machine: viommu === 'smmuv3' ? 'virt' : 'q35',
    viommu: viommu === 'none' ? null : { kind: viommu },
    devices: [{ kind: 'edu' }],
  };
  return `${JSON.stringify(machine, null, 2)}\n`;
}

const ABOUT: Readonly<Record<TemplateViommu, string>> = {
  intel: 'A driver for the `edu` device behind Intel VT-d: one page is mapped for DMA, the rest faults.',
  smmuv3: 'A driver for the `edu` device behind an Arm SMMUv3: one page is mapped for DMA, the rest faults.',
  none: 'A driver for the `edu` device: DMA to physical addresses, without an IOMMU.',
};

const TRACE: Readonly<Record<TemplateViommu, string>> = { intel: 'vtd_*', smmuv3: 'smmuv3_*', none: 'edu_*' };

function readmeFor(name: string, viommu: TemplateViommu): string {
  return `# ${name}

${ABOUT[viommu]}

\`\`\`sh
npx tsvmm run driver.c --config tsvmm.json
\`\`\`

\`driver.c\` is the guest; \`tsvmm.json\` describes the machine it boots on. \`#include <tsvmm.h>\` needs no set-up: tsvmm
finds its SDK by itself. The exit status is 0 when every \`report()\` was "ok".

Change the driver and run it again. To see what the IOMMU and the device do:

\`\`\`sh
npx tsvmm run driver.c --config tsvmm.json --trace '${TRACE[viommu]}'
\`\`\`
`;
}
