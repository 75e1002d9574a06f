import { rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/** Arm SMMU architecture version 3 (IHI 0070): Commands. 16 bytes each; bits that no field names are reserved. */
export const CMD_PREFETCH_CONFIG = 0x01;
export const CMD_PREFETCH_ADDR = 0x02;
export const CMD_CFGI_STE = 0x03;
export const CMD_CFGI_STE_RANGE = 0x04;
export const CMD_CFGI_CD = 0x05;
export const CMD_CFGI_CD_ALL = 0x06;
export const CMD_CFGI_VMS_PIDM = 0x07;
export const CMD_TLBI_NH_ALL = 0x10;
export const CMD_TLBI_NH_ASID = 0x11;
export const CMD_TLBI_NH_VA = 0x12;
export const CMD_TLBI_NH_VAA = 0x13;
export const CMD_TLBI_EL3_ALL = 0x18;
export const CMD_TLBI_EL3_VA = 0x1a;
export const CMD_TLBI_EL2_ALL = 0x20;
export const CMD_TLBI_EL2_ASID = 0x21;
export const CMD_TLBI_EL2_VA = 0x22;
export const CMD_TLBI_EL2_VAA = 0x23;
export const CMD_TLBI_S12_VMALL = 0x28;
export const CMD_TLBI_S2_IPA = 0x2a;
export const CMD_TLBI_NSNH_ALL = 0x30;
export const CMD_ATC_INV = 0x40;
export const CMD_PRI_RESP = 0x41;
export const CMD_RESUME = 0x44;
export const CMD_STALL_TERM = 0x45;
export const CMD_SYNC = 0x46;

/** SMMU_CMDQ_CONS.ERR. */
export const CERROR_NONE = 0;
export const CERROR_ILL = 1;
export const CERROR_ABT = 2;
export const CERROR_ATC_INV_SYNC = 3;

/** CMD_SYNC.CS. */
export const CS_NONE = 0;
export const CS_IRQ = 1;
export const CS_SEV = 2;
export const CS_RESERVED = 3;

const OPCODE = { OP: rw(7, 0, 'Opcode') };
const SSEC = { SSec: rw(10, 10, 'Secure stream') };
const SUBSTREAM = { SSV: rw(11, 11, 'SSID is valid'), SSID: rw(31, 12, 'SubstreamID') };
const STREAM = { SID: rw(63, 32, 'StreamID') };
const RANGE = {
  NUM: rw(16, 12, 'Range: (NUM + 1) x 2^SCALE granules'),
  SCALE: rw(24, 20, 'Range: scale'),
};
const VMID = { VMID: rw(47, 32, 'VMID') };
const ASID = { ASID: rw(63, 48, 'ASID') };
const LEAF = { Leaf: rw(64, 64, 'Only last-level entries changed') };
const HINT = {
  TTL: rw(73, 72, 'Level of the leaf; 0: any'),
  TG: rw(75, 74, 'Granule', { 0: 'no range', 1: '4 KiB', 2: '16 KiB', 3: '64 KiB' }),
};
const ADDRESS = { Address: rw(127, 76, 'Address') };

const command = <const F extends Record<string, ReturnType<typeof rw>>>(name: string, fields: F) =>
  struct(`CMD_${name}`, 16, `SMMUv3: CMD_${name}`, { ...OPCODE, ...fields });

export const PREFETCH_CONFIG = command('PREFETCH_CONFIG', { ...SSEC, ...SUBSTREAM, ...STREAM });
export const PREFETCH_ADDR = command('PREFETCH_ADDR', {
  ...SSEC,
  ...SUBSTREAM,
  ...STREAM,
  Size: rw(68, 64, 'log2 of pages'),
  Stride: rw(73, 69, 'log2 of the distance, in pages'),
  ...ADDRESS,
});
export const CFGI_STE = command('CFGI_STE', { ...SSEC, ...STREAM, ...LEAF });
export const CFGI_STE_RANGE = command('CFGI_STE_RANGE', {
  ...SSEC,
  ...STREAM,
  Range: rw(68, 64, 'log2 of StreamIDs, minus 1; 31: CFGI_ALL'),
});
export const CFGI_CD = command('CFGI_CD', {
  ...SSEC,
  SSID: rw(31, 12, 'SubstreamID'),
  ...STREAM,
  ...LEAF,
});
export const CFGI_CD_ALL = command('CFGI_CD_ALL', { ...SSEC, ...STREAM });
export const CFGI_VMS_PIDM = command('CFGI_VMS_PIDM', { ...SSEC, ...VMID });
export const TLBI_NH_ALL = command('TLBI_NH_ALL', { ...VMID });
export const TLBI_NH_ASID = command('TLBI_NH_ASID', { ...VMID, ...ASID });
export const TLBI_NH_VA = command('TLBI_NH_VA', {
  ...RANGE,
  ...VMID,
  ...ASID,
  ...LEAF,
  ...HINT,
  ...ADDRESS,
});
export const TLBI_NH_VAA = command('TLBI_NH_VAA', { ...RANGE, ...VMID, ...LEAF, ...HINT, ...ADDRESS });
export const TLBI_EL2_ALL = command('TLBI_EL2_ALL', {});
export const TLBI_EL2_ASID = command('TLBI_EL2_ASID', { ...ASID });
export const TLBI_EL2_VA = command('TLBI_EL2_VA', { ...RANGE, ...ASID, ...LEAF, ...HINT, ...ADDRESS });
export const TLBI_EL2_VAA = command('TLBI_EL2_VAA', { ...RANGE, ...LEAF, ...HINT, ...ADDRESS });
export const TLBI_S12_VMALL = command('TLBI_S12_VMALL', { ...VMID });
export const TLBI_S2_IPA = command('TLBI_S2_IPA', { ...RANGE, ...VMID, ...LEAF, ...HINT, ...ADDRESS });
export const TLBI_NSNH_ALL = command('TLBI_NSNH_ALL', {});
export const ATC_INV = command('ATC_INV', {
  Global: rw(9, 9, 'Entries of every PASID'),
  ...SSEC,
  ...SUBSTREAM,
  ...STREAM,
  Size: rw(69, 64, 'log2 of pages; 52: everything'),
  ...ADDRESS,
});
export const PRI_RESP = command('PRI_RESP', {
  ...SSEC,
  ...SUBSTREAM,
  ...STREAM,
  PRGIndex: rw(72, 64, 'Page request group index'),
  Resp: rw(77, 76, 'Response', { 0: 'Response Failure', 1: 'Invalid Request', 2: 'Success' }),
});
export const RESUME = command('RESUME', {
  ...SSEC,
  Ac: rw(12, 12, 'Action', { 0: 'terminate', 1: 'retry' }),
  Ab: rw(13, 13, 'Terminate with an abort'),
  ...STREAM,
  STAG: rw(79, 64, 'Stall tag'),
});
export const STALL_TERM = command('STALL_TERM', { ...SSEC, ...STREAM });
export const SYNC = command('SYNC', {
  CS: rw(13, 12, 'Completion signal', { 0: 'none', 1: 'IRQ', 2: 'SEV' }),
  MSH: rw(23, 22, 'Shareability of the message'),
  MSIAttr: rw(27, 24, 'Memory type of the message'),
  MSIData: rw(63, 32, 'Data of the message'),
  MSIAddress_LO: rw(95, 66, 'Address of the message; 0: none'),
  MSIAddress_HI: rw(119, 96, 'Address of the message, upper half'),
});

/** log2 of the granule. */
const GRANULE_OF_TG = [0, 12, 14, 16] as const;
/** A look is cheaper than a power. */
const POWERS = Float64Array.from({ length: 48 }, (_, i) => 2 ** i);

/** Bytes of a command that names a range: (NUM + 1) * 2^SCALE granules; 0: it names one address (TG is 0). */
export function rangeBytes(w0: number, w2: number): number {
  const tg = (w2 >>> 10) & 3;
  if (tg === 0) return 0;
  return (((w0 >>> 12) & 0x1f) + 1) * POWERS[((w0 >>> 20) & 0x1f) + GRANULE_OF_TG[tg]!]!;
}
