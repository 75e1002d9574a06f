import { IDR0, IDR1, IDR3, IDR5 } from '../spec/smmuv3/registers.ts';
import { ADDRESS_SIZES } from '../spec/smmuv3/structures.ts';
import { identification, type SmmuConfig } from './config.ts';

/** IDR0.STALL_MODEL. */
export const STALLS_OPTIONAL = 0;
export const STALLS_NEVER = 1;
export const STALLS_FORCED = 2;

/** What the identification registers say, as checks of structures and commands need it. */
export interface UnitFeatures {
  readonly s1: boolean;
  readonly s2: boolean;
  readonly httu: number;
  readonly hyp: boolean;
  readonly ats: boolean;
  readonly splitAts: boolean;
  readonly atsErrors: boolean;
  readonly pri: boolean;
  readonly asid16: boolean;
  readonly vmid16: boolean;
  readonly vmw: boolean;
  readonly cd2l: boolean;
  readonly st2l: boolean;
  readonly stallModel: number;
  readonly abortOnly: boolean;
  readonly sidSize: number;
  readonly ssidSize: number;
  readonly overrides: boolean;
  readonly had: boolean;
  readonly xnx: boolean;
  readonly stt: boolean;
  readonly ril: boolean;
  readonly e0pd: boolean;
  readonly epan: boolean;
  readonly pps: boolean;
  readonly msi: boolean;
  readonly sev: boolean;
  /** Output address size in bits. */
  readonly oas: number;
  /** Granules, a set of 1 << log2. */
  readonly granules: number;
  readonly stallMax: number;
  /** Departs where QEMU does (docs/deviations.md). */
  readonly qemu: boolean;
}

export function unitFeatures(config: SmmuConfig): UnitFeatures {
  const { idr0, idr1, idr3, idr5 } = identification(config);
  const has0 = (field: keyof typeof IDR0.get) => IDR0.get[field](idr0, 0) !== 0;
  const has3 = (field: keyof typeof IDR3.get) => IDR3.get[field](idr3, 0) !== 0;
  return {
    s1: has0('S1P'),
    s2: has0('S2P'),
    httu: IDR0.get.HTTU(idr0, 0),
    hyp: has0('Hyp'),
    ats: has0('ATS'),
    splitAts: has0('ATS') && !has0('NS1ATS'),
    atsErrors: has0('ATSRECERR'),
    pri: has0('PRI'),
    asid16: has0('ASID16'),
    vmid16: has0('VMID16'),
    vmw: has0('VMW'),
    cd2l: has0('CD2L'),
    st2l: has0('ST_LEVEL'),
    stallModel: IDR0.get.STALL_MODEL(idr0, 0),
    abortOnly: has0('TERM_MODEL'),
    sidSize: IDR1.get.SIDSIZE(idr1, 0),
    ssidSize: IDR1.get.SSIDSIZE(idr1, 0),
    overrides: IDR1.get.ATTR_PERMS_OVR(idr1, 0) === 1,
    had: has3('HAD'),
    xnx: has3('XNX'),
    stt: has3('STT'),
    ril: has3('RIL'),
    e0pd: has3('E0PD'),
    epan: has3('EPAN'),
    pps: has3('PPS'),
    msi: has0('MSI'),
    sev: has0('SEV'),
    oas: ADDRESS_SIZES[IDR5.get.OAS(idr5, 0)]!,
    granules:
      (IDR5.get.GRAN4K(idr5, 0) << 12) |
      (IDR5.get.GRAN16K(idr5, 0) << 14) |
      (IDR5.get.GRAN64K(idr5, 0) << 16),
    stallMax: IDR5.get.STALL_MAX(idr5, 0),
    qemu: config.profile === 'qemu',
  };
}
