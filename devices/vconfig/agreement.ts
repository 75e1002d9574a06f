import type { SvmFeatures } from '../../vmm/bus/iommu.ts';
import type { DeviceFacts } from './facts.ts';
import { SVM_KEYS, type SvmKey } from './svm-capabilities.ts';

/** What stands between a function and memory, as far as PASID, ATS and PRI need it. */
export interface Platform {
  /** A port on the way that does not pass End-End TLP prefixes, by name. Root complex integrated endpoints have none on the way. */
  readonly blocksPrefixes: string | undefined;
}

export interface AgreementInput {
  /** What the plan shows. */
  readonly planned: readonly SvmKey[];
  readonly platform: Platform;
  readonly host: DeviceFacts;
  /** Absent: there is none, or it does nothing of this. */
  readonly viommu: SvmFeatures | undefined;
}

/** Whether guests are shown a capability, and if not who is against it. */
export interface Agreement {
  readonly key: SvmKey;
  readonly advertised: boolean;
  readonly reasons: readonly string[];
}

/** PASID, ATS and PRI are advertised where platform, host and vIOMMU agree; every reason against is told. */
export function agreement(input: AgreementInput): readonly Agreement[] {
  const verdicts = new Map(SVM_KEYS.map((key) => [key, reasonsAgainst(key, input)]));
  // PCI Express Base: Page Request Services: they come with ATS.
  if ((verdicts.get('ats') ?? []).length > 0) verdicts.get('pri')?.push('it needs ATS');
  return SVM_KEYS.map((key) => {
    const reasons = verdicts.get(key) ?? [];
    return { key, advertised: reasons.length === 0, reasons };
  });
}

function reasonsAgainst(key: SvmKey, { planned, platform, host, viommu }: AgreementInput): string[] {
  const reasons: string[] = [];
  if (!planned.includes(key)) reasons.push('the plan does not have it');
  const hostHas = key === 'pasid' ? host.pasidWidth > 0 : host[key];
  if (!hostHas) reasons.push('the host does not offer it for this device');
  if (key === 'pasid' && platform.blocksPrefixes !== undefined)
    reasons.push(`${platform.blocksPrefixes} on the path passes no End-End TLP prefixes`);
  if (viommu === undefined) reasons.push('the machine has no IOMMU that does it');
  else if (key === 'pasid' ? viommu.pasidBits === 0 : !viommu[key])
    reasons.push(`the vIOMMU does not do it: ${viommu.options[key]} is off`);
  return reasons;
}

/** Whether a capability is one of the three and not advertised. */
export function isRefused(list: readonly Agreement[], key: string): boolean {
  return list.some((one) => one.key === key && !one.advertised);
}
