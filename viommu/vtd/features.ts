import { hex } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { CAP, ECAP } from '../spec/vtd/capabilities.ts';
import {
  CONTEXT_DESCRIPTOR,
  DEVICE_TLB_DESCRIPTOR,
  IEC_DESCRIPTOR,
  IOTLB_DESCRIPTOR,
  PAGE_RESPONSE_DESCRIPTOR,
  PASID_CACHE_DESCRIPTOR,
  PASID_DEVICE_TLB_DESCRIPTOR,
  PASID_IOTLB_DESCRIPTOR,
  WAIT_DESCRIPTOR,
} from '../spec/vtd/descriptors.ts';
import { FAULT_REASONS, faultCodeText } from '../spec/vtd/faults.ts';
import { unitCapabilities } from './capabilities.ts';
import { capability, extendedCapability, type VtdConfig } from './config.ts';

/** One row of the table "feature | advertised | note". */
export interface FeatureRow {
  readonly feature: string;
  readonly advertised: string;
  readonly note: string;
}

function capabilityRows(layout: Layout, words: Uint32Array): FeatureRow[] {
  return Object.entries(layout.fields).map(([name, field]) => ({
    feature: `${layout.name}.${name}`,
    advertised: field.access === 'unimpl' ? 'no' : hex(layout.get[name]!(words, 0)),
    note: field.access === 'unimpl' ? `${field.doc} (limit)` : field.doc,
  }));
}

function descriptorRows(config: VtdConfig): FeatureRow[] {
  const unit = unitCapabilities(config);
  const offered: [Layout, boolean][] = [
    [CONTEXT_DESCRIPTOR as unknown as Layout, true],
    [IOTLB_DESCRIPTOR as unknown as Layout, true],
    [DEVICE_TLB_DESCRIPTOR as unknown as Layout, unit.deviceTlbs],
    [IEC_DESCRIPTOR as unknown as Layout, config.intremap],
    [WAIT_DESCRIPTOR as unknown as Layout, true],
    [PASID_IOTLB_DESCRIPTOR as unknown as Layout, unit.scalable],
    [PASID_CACHE_DESCRIPTOR as unknown as Layout, unit.scalable],
    [PASID_DEVICE_TLB_DESCRIPTOR as unknown as Layout, unit.scalable && unit.deviceTlbs],
    [PAGE_RESPONSE_DESCRIPTOR as unknown as Layout, unit.pageRequests],
  ];
  return offered.map(([layout, yes]) => ({
    feature: `descriptor: ${layout.name}`,
    advertised: yes ? 'yes' : 'no',
    note: yes ? layout.cite : `${layout.cite}: refused as an unknown type (IQEI 3)`,
  }));
}

function faultRows(): FeatureRow[] {
  return FAULT_REASONS.map((r) => ({
    feature: `fault ${faultCodeText(r.code)} ${r.name}`,
    advertised: 'yes',
    note: `${r.why}${r.qualified ? '; not recorded with FPD' : ''}`,
  }));
}

/** Every capability bit, descriptor and fault code of a unit with these options. */
export function vtdFeatures(config: VtdConfig): FeatureRow[] {
  return [
    ...capabilityRows(CAP as unknown as Layout, capability(config)),
    ...capabilityRows(ECAP as unknown as Layout, extendedCapability(config)),
    ...descriptorRows(config),
    ...faultRows(),
  ];
}

/** The same as a Markdown table. */
export function vtdFeatureTable(config: VtdConfig): string {
  const rows = vtdFeatures(config).map((r) => `| ${r.feature} | ${r.advertised} | ${r.note} |`);
  return ['| feature | advertised | note |', '|---|---|---|', ...rows].join('\n');
}
