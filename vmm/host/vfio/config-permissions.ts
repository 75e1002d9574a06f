import { read16 } from '../../../devices/vconfig/capability-table.ts';

/** A field of a capability: which bits the user sees of the shadow, and which it can write (Linux, vfio_pci_config.c: perm_bits). */
interface Permission {
  /** Offset in the capability. */
  readonly at: number;
  readonly bytes: 1 | 2 | 4;
  readonly virt: number;
  readonly write: number;
}

/** What vfio-pci lets the user do with the bytes of a capability that it shows. */
export interface CapabilityPermissions {
  readonly fields: readonly Permission[];
  /** Writes go to the hardware as they are. */
  readonly rawWrites?: boolean;
}

const NONE = 0;
const ALL = 0xffff_ffff;
const field = (at: number, bytes: 1 | 2 | 4, virt: number, write: number): Permission => ({
  at,
  bytes,
  virt,
  write,
});
/** The pointer to the next capability is always virtual: hidden ones are passed over. */
const NEXT = field(1, 1, ALL, NONE);
const EXTENDED_HEADER = field(0, 4, ALL, NONE);

export const PM_PME_SUPPORT = 0xf800;
export const PM_STATE = 3;
export const PM_PME = 0x8100;
export const DEVCTL_FLR = 0x8000;
export const DEVCTL_MRRS = 0x7000;
const DEVCTL_MPS = 0x00e0;
const DEVCTL_PHANTOM = 0x0200;
const DEVCTL2_ARI = 0x0020;
export const AF_FLR = 1;
const bits = (...numbers: number[]): number => numbers.reduce((mask, bit) => (mask | (1 << bit)) >>> 0, 0);
const UNCORRECTABLE = bits(0, 4, 5, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25);
const CORRECTABLE = bits(0, 6, 7, 8, 12, 13, 14, 15);
const ECRC = bits(6, 8);

/** The header of a function that is no bridge. */
export const HEADER_PERMISSIONS: CapabilityPermissions = {
  fields: [
    field(0x00, 2, ALL, NONE),
    field(0x02, 2, ALL, NONE),
    // INTx Disable is the host's own means of masking.
    field(0x04, 2, 0x400, ALL),
    field(0x06, 2, 0x10, NONE),
    field(0x0c, 1, NONE, ALL),
    field(0x0d, 1, NONE, ALL),
    field(0x0f, 1, NONE, ALL),
    ...[0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30].map((at) => field(at, 4, ALL, ALL)),
    field(0x34, 1, ALL, NONE),
    field(0x3c, 1, ALL, ALL),
    field(0x3d, 1, ALL, NONE),
  ],
};

/** The rest can be read but for its header, and not written. */
const DEFAULT_STANDARD: CapabilityPermissions = { fields: [field(0, 2, ALL, NONE)] };
const DEFAULT_EXTENDED: CapabilityPermissions = { fields: [EXTENDED_HEADER] };

const BY_KEY: Readonly<Record<string, CapabilityPermissions>> = {
  pm: {
    fields: [
      NEXT,
      field(2, 2, PM_PME_SUPPORT, NONE),
      // The state is trapped: the host changes it.
      field(4, 2, PM_PME, ~(PM_PME | PM_STATE)),
    ],
  },
  vpd: { fields: [NEXT, field(2, 2, ALL, ALL), field(4, 4, ALL, ALL)] },
  pcix: { fields: [NEXT, field(2, 2, NONE, ALL), field(8, 4, NONE, ALL)] },
  vendor: { ...DEFAULT_STANDARD, rawWrites: true },
  pcie: {
    fields: [
      NEXT,
      field(8, 2, DEVCTL_FLR | DEVCTL_MPS | DEVCTL_MRRS, ~DEVCTL_PHANTOM),
      field(0x28, 2, NONE, ~DEVCTL2_ARI),
    ],
  },
  af: { fields: [NEXT, field(4, 1, AF_FLR, AF_FLR)] },
  aer: {
    fields: [
      EXTENDED_HEADER,
      field(0x04, 4, NONE, UNCORRECTABLE),
      field(0x08, 4, NONE, UNCORRECTABLE),
      field(0x0c, 4, NONE, UNCORRECTABLE),
      field(0x10, 4, NONE, CORRECTABLE),
      field(0x14, 4, NONE, CORRECTABLE),
      field(0x18, 4, NONE, ECRC),
    ],
  },
  // Linux allows writing of the data, where its comment says the selector (vfio_pci_config.c: init_pci_ext_cap_pwr_perm).
  power: { fields: [EXTENDED_HEADER, field(8, 1, NONE, ALL)] },
  vsec: { ...DEFAULT_EXTENDED, rawWrites: true },
  dvsec: { ...DEFAULT_EXTENDED, rawWrites: true },
};

/** MSI: where address and data end depends on its control register. */
function msiPermissions(control: number): CapabilityPermissions {
  const fields = [NEXT, field(2, 1, ALL, ALL), field(4, 4, ALL, ALL)];
  const wide = (control & 0x80) !== 0;
  if (wide) fields.push(field(8, 4, ALL, ALL));
  const data = wide ? 12 : 8;
  fields.push(field(data, 2, ALL, ALL));
  if ((control & 0x100) !== 0) fields.push(field(data + 4, 4, NONE, ALL), field(data + 8, 4, NONE, ALL));
  return { fields };
}

/** What the user may do with the capability of this key at `at`. */
export function permissionsOf(
  chain: 'standard' | 'extended',
  key: string,
  space: Uint8Array,
  at: number,
): CapabilityPermissions {
  if (chain === 'standard' && key === 'msi') return msiPermissions(read16(space, at + 2));
  return BY_KEY[key] ?? (chain === 'standard' ? DEFAULT_STANDARD : DEFAULT_EXTENDED);
}
