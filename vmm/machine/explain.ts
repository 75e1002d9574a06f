import type { ExplainedFault, WalkStep } from '../bus/iommu.ts';
import { bdfText } from '../core/bdf.ts';

/** A guest can fault for ever: reports keep the first faults. The trace has every one. */
export const KEPT_FAULTS = 1000;

/** A DMA fault as lines of text, without a newline at the end. */
export function faultText(fault: ExplainedFault): string {
  const pasid = fault.pasid >= 0 ? ` pasid ${fault.pasid}` : '';
  const head = `${fault.iommu}: ${fault.access} of ${fault.address} by ${bdfText(fault.requester)}${pasid} refused: fault ${fault.code} (${fault.name})`;
  const lines = [head, ...fault.steps.map(stepText), `  why: ${fault.why}`];
  if (!fault.recorded || fault.note !== undefined) {
    lines.push(
      `  ${fault.recorded ? 'note' : 'not recorded'}: ${fault.note ?? 'the fault is disabled for this requester'}`,
    );
  }
  return lines.join('\n');
}

export function stepText(step: WalkStep): string {
  const where = step.address === undefined ? '' : ` at ${step.address}`;
  const raw = step.raw.length === 0 ? '' : ` = ${step.raw.join(' ')}`;
  const cached = step.source === 'cache' ? ' [from cache]' : '';
  const writer = step.lastWriter === undefined ? '' : `\n      written by ${step.lastWriter}`;
  return `  ${step.what}${where}${raw}${cached}: ${step.fields}${writer}`;
}
