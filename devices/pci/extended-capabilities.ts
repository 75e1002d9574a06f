import { ro, rw, w1c, wo } from '../../vmm/regs/field.ts';
import { reg32 } from '../../vmm/regs/layout.ts';
import { withResets } from './header.ts';
import type { ExtendedCapabilitySpec } from './kind.ts';

/** Extended capability ids (PCI Code and ID Assignment: Extended Capability IDs). */
export const EXT_CAP_ID = { acs: 0x0d, ari: 0x0e, ats: 0x0f, sriov: 0x10, pri: 0x13, pasid: 0x1b } as const;

const PASID_TITLE = 'PCI Express Base: PASID Extended Capability';
const ATS_TITLE = 'PCI Express Base: ATS Extended Capability';
const PRI_TITLE = 'PCI Express Base: Page Request Extended Capability';
const ARI_TITLE = 'PCI Express Base: ARI Extended Capability';
const ACS_TITLE = 'PCI Express Base: ACS Extended Capability';

/** Capability and control; offsets here count from the start of the capability. */
export const PASID = reg32(4, 'PASID', PASID_TITLE, {
  EXEC_CAP: ro(1, 1, 'Execute Permission Supported'),
  PRIV_CAP: ro(2, 2, 'Privileged Mode Supported'),
  WIDTH: ro(12, 8, 'Max PASID Width'),
  ENABLE: rw(16, 16, 'PASID Enable'),
  EXEC: rw(17, 17, 'Execute Permission Enable'),
  PRIV: rw(18, 18, 'Privileged Mode Enable'),
});

export const ATS = reg32(4, 'ATS', ATS_TITLE, {
  QDEPTH: ro(4, 0, 'Invalidate Queue Depth, 0: 32'),
  ALIGNED: ro(5, 5, 'Page Aligned Request'),
  GLOBAL: ro(6, 6, 'Global Invalidate Supported'),
  STU: rw(20, 16, 'Smallest Translation Unit, 2^n pages'),
  ENABLE: rw(31, 31, 'ATS Enable'),
});

/** Control and status. */
export const PRI = reg32(4, 'PRI', PRI_TITLE, {
  ENABLE: rw(0, 0, 'Page Request Enable'),
  RESET: wo(1, 1, 'Page Request Reset'),
  RF: w1c(16, 16, 'Response Failure'),
  UPRGI: w1c(17, 17, 'Unexpected Page Request Group Index'),
  STOPPED: ro(24, 24, 'Stopped'),
  PASID_REQUIRED: ro(31, 31, 'PRG Response PASID Required', undefined, 1),
});
export const PRI_CAPACITY = reg32(8, 'PRI_CAPACITY', PRI_TITLE, {
  REQUESTS: ro(31, 0, 'Outstanding Page Request Capacity'),
});
export const PRI_ALLOCATION = reg32(12, 'PRI_ALLOCATION', PRI_TITLE, {
  REQUESTS: rw(31, 0, 'Outstanding Page Request Allocation'),
});

export const ARI = reg32(4, 'ARI', ARI_TITLE, {
  MFVC: ro(0, 0, 'MFVC Function Groups Capability'),
  ACS: ro(1, 1, 'ACS Function Groups Capability'),
  NEXT: ro(15, 8, 'Next Function Number'),
});

/**
 * Requests among the functions of one device do not exist in this model, so that isolation by these bits always holds; they
 * can be set as a driver sets them.
 */
export const ACS = reg32(4, 'ACS', ACS_TITLE, {
  RR_CAP: ro(2, 2, 'P2P Request Redirect', undefined, 1),
  CR_CAP: ro(3, 3, 'P2P Completion Redirect', undefined, 1),
  DT_CAP: ro(6, 6, 'Direct Translated P2P', undefined, 1),
  RR: rw(18, 18, 'P2P Request Redirect Enable'),
  CR: rw(19, 19, 'P2P Completion Redirect Enable'),
  DT: rw(22, 22, 'Direct Translated P2P Enable'),
});

export interface PasidSpec {
  /** 1 to 20. */
  readonly width: number;
  readonly execute?: boolean;
  readonly privileged?: boolean;
}

export function pasidCapability({ width, execute, privileged }: PasidSpec): ExtendedCapabilitySpec {
  // PCI Express Base: PASID Control Register: an enable without its capability bit is hardwired to 0.
  const { EXEC, PRIV, ...plain } = PASID.fields;
  const fields = {
    ...plain,
    ...(execute === true ? { EXEC } : {}),
    ...(privileged === true ? { PRIV } : {}),
  };
  const register = reg32(PASID.offset, PASID.name, PASID.cite, fields);
  const resets = { WIDTH: width, EXEC_CAP: execute ? 1 : 0, PRIV_CAP: privileged ? 1 : 0 };
  return {
    id: EXT_CAP_ID.pasid,
    version: 1,
    bytes: 8,
    registers: (at) => [withResets(register, resets).at(at + 4, 'PASID')],
  };
}

export interface AtsSpec {
  /** Invalidations it takes at once, 1 to 32. */
  readonly queueDepth: number;
  readonly globalInvalidate: boolean;
}

export function atsCapability({ queueDepth, globalInvalidate }: AtsSpec): ExtendedCapabilitySpec {
  const resets = { QDEPTH: queueDepth & 31, ALIGNED: 1, GLOBAL: globalInvalidate ? 1 : 0 };
  return {
    id: EXT_CAP_ID.ats,
    version: 1,
    bytes: 8,
    registers: (at) => [withResets(ATS, resets).at(at + 4, 'ATS')],
  };
}

/** PCI Express Base: SR-IOV: ATS of a VF: queue depth and STU are the PF's and read 0 here. */
export function vfAtsCapability({ globalInvalidate }: AtsSpec): ExtendedCapabilitySpec {
  const { STU, ...fields } = ATS.fields;
  const register = reg32(ATS.offset, ATS.name, ATS.cite, { ...fields, STU: ro(STU.hi, STU.lo, STU.doc) });
  const resets = { ALIGNED: 1, GLOBAL: globalInvalidate ? 1 : 0 };
  return {
    id: EXT_CAP_ID.ats,
    version: 1,
    bytes: 8,
    registers: (at) => [withResets(register, resets).at(at + 4, 'ATS')],
  };
}

/** @param capacity page requests the function can have outstanding */
export function priCapability(capacity: number): ExtendedCapabilitySpec {
  return {
    id: EXT_CAP_ID.pri,
    version: 1,
    bytes: 16,
    registers: (at) => [
      PRI.at(at + 4, 'PRI'),
      withResets(PRI_CAPACITY, { REQUESTS: capacity }).at(at + 8, 'PRI_CAPACITY'),
      PRI_ALLOCATION.at(at + 12, 'PRI_ALLOCATION'),
    ],
  };
}

/** @param next function number that follows in the device, 0 for the last */
export function ariCapability(next: number): ExtendedCapabilitySpec {
  return {
    id: EXT_CAP_ID.ari,
    version: 1,
    bytes: 8,
    registers: (at) => [withResets(ARI, { NEXT: next }).at(at + 4, 'ARI')],
  };
}

export function acsCapability(): ExtendedCapabilitySpec {
  return { id: EXT_CAP_ID.acs, version: 1, bytes: 8, registers: (at) => [ACS.at(at + 4, 'ACS')] };
}
