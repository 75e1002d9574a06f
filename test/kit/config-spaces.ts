import type { ConfigSpace } from '../../devices/vconfig/space.ts';

/** A device's registers, as far as layouts matter: `[offset, id, next, dwords behind the header]`. */
export interface DeviceRegisters {
  readonly name: string;
  readonly title: string;
  /** vendor, device, class with programming interface, subsystem vendor and device. */
  readonly ids: readonly [number, number, number, number, number];
  readonly first: number;
  /** Standard: `[offset, id, next, the two bytes behind, dwords]`. */
  readonly standard: readonly (readonly [number, number, number, number, ...number[]])[];
  /** Extended: `[offset, id, version, next, dwords]`. */
  readonly extended: readonly (readonly [number, number, number, number, ...number[]])[];
  readonly bytes?: 256 | 4096;
}

export function buildSpace(device: DeviceRegisters): ConfigSpace {
  const bytes = new Uint8Array(device.bytes ?? 4096);
  const view = new DataView(bytes.buffer);
  const [vendor, id, code, subVendor, subDevice] = device.ids;
  view.setUint16(0, vendor, true);
  view.setUint16(2, id, true);
  view.setUint16(6, device.first === 0 ? 0 : 0x10, true);
  view.setUint32(8, code << 8, true);
  view.setUint16(0x2c, subVendor, true);
  view.setUint16(0x2e, subDevice, true);
  bytes[0x34] = device.first;
  for (const [offset, capability, next, rest, ...dwords] of device.standard) {
    view.setUint32(offset, (capability | (next << 8) | (rest << 16)) >>> 0, true);
    dwords.forEach((dword, index) => {
      view.setUint32(offset + 4 + 4 * index, dword >>> 0, true);
    });
  }
  for (const [offset, capability, version, next, ...dwords] of device.extended) {
    view.setUint32(offset, (capability | (version << 16) | (next << 20)) >>> 0, true);
    dwords.forEach((dword, index) => {
      view.setUint32(offset + 4 + 4 * index, dword >>> 0, true);
    });
  }
  return { source: device.name, name: device.name, title: device.title, bytes };
}

/**
 * Layouts of real devices: the registers that lspci decoded in public reports, written down here by value. Origin of each: the
 * named case of the tests of pciutils (https://github.com/pciutils/pciutils, folder tests), except Navi 10 (a mail with lspci output,
 * thread on resizable BARs).
 */
export const REAL = {
  /** `cap-pasid-pri`: PASID is the first extended capability. */
  skylakeGpu: {
    name: '00:02.0',
    title: 'Skylake integrated graphics',
    ids: [0x8086, 0x191e, 0x030000, 0x8086, 0x2212],
    first: 0x40,
    standard: [
      [0x40, 0x09, 0x70, 0x010c, 0x7a616685, 0x161580d4],
      [0x70, 0x10, 0xac, 0x0092, 0x10008000, 0],
      [0xac, 0x05, 0xd0, 0x0001, 0xfee00018],
      [0xd0, 0x01, 0x00, 0x0022, 0],
    ],
    extended: [
      [0x100, 0x1b, 1, 0x200, 0x0003_1402],
      [0x200, 0x0f, 1, 0x300, 0x8000_0020],
      [0x300, 0x13, 1, 0, 0x8000_0000, 0x8000, 0],
    ],
  },
  /** `pri-pasid`: Intel DSA. */
  dsa: {
    name: '6a:01.0',
    title: 'Intel DSA',
    ids: [0x8086, 0x0b25, 0x088000, 0x8086, 0],
    first: 0x40,
    standard: [
      [0x40, 0x10, 0x80, 0x0092, 0x10008022, 0x00005957],
      [0x80, 0x11, 0x90, 0x8008, 0x2000, 0x3000],
      [0x90, 0x01, 0x00, 0x0003, 8],
    ],
    extended: [
      [0x100, 0x01, 2, 0x150, 0, 0x0010_0000, 0x0004_0000],
      [0x150, 0x18, 1, 0x160, 0],
      [0x160, 0x17, 1, 0x170, 0x0001_0205, 2],
      [0x170, 0x02, 1, 0x200, 0x11, 0x01],
      [0x200, 0x23, 1, 0x220, 0x0180_8086, 0x5, 0x1],
      [0x220, 0x0f, 1, 0x230, 0x8000_0060],
      [0x230, 0x1b, 1, 0x240, 0x0005_1404],
      [0x240, 0x13, 1, 0, 0x8100_0000, 0x200, 0],
    ],
  },
  /** `cap-dvsec-cxl`: the chain is not in the order of addresses. Here b40h comes before b20h. */
  cxl: {
    name: '6b:00.0',
    title: 'CXL accelerator 0d93',
    ids: [0x8086, 0x0d93, 0xff0000, 0x8086, 0],
    first: 0x40,
    standard: [
      [0x40, 0x10, 0x80, 0x0092, 0x10008fe1, 0x0000211f],
      [0x80, 0x05, 0xa0, 0x0384],
      [0xa0, 0x01, 0x00, 0xf813, 8],
    ],
    extended: [
      [0x100, 0x01, 1, 0xb40, 0, 0x0010_0000, 0x0046_3010],
      [0xb40, 0x1b, 1, 0x6e0, 0x1406],
      [0x6e0, 0x0f, 1, 0xb20, 0x80],
      [0xb20, 0x13, 1, 0xb80, 0x0100_0000, 0, 0],
      [0xb80, 0x10, 1, 0xd00, 2, 0, 0x0006_0006],
      [0xd00, 0x0b, 1, 0xe00, 0x04c1_0040],
      [0xe00, 0x23, 1, 0xe38, 0x0380_1e98, 0x001e_0000, 2],
      [0xe38, 0x03, 1, 0, 0x1178_0000, 0x3091_1381],
    ],
  },
  /** `cap-rebar`: Fiji, the first layout of its family. */
  fiji: {
    name: '09:00.0',
    title: 'AMD Fiji',
    ids: [0x1002, 0x7300, 0x030000, 0x1002, 0x0b36],
    first: 0x48,
    standard: [
      [0x48, 0x09, 0x50, 0x0008, 0x0b361002],
      [0x50, 0x01, 0x58, 0xf603, 8],
      [0x58, 0x10, 0xa0, 0x0012, 0x00008fa1, 0x00092930],
      [0xa0, 0x05, 0x00, 0x0081, 0xfee00000],
    ],
    extended: [
      [0x100, 0x0b, 1, 0x150, 0x0101_0001],
      [0x150, 0x01, 2, 0x200, 0, 0, 0x0046_2030],
      [0x200, 0x15, 1, 0x270, 0x0001_f000, 0x0820],
      [0x270, 0x19, 1, 0x2b0, 0, 0],
      [0x2b0, 0x0f, 1, 0x2c0, 0x8000_0020],
      [0x2c0, 0x13, 1, 0x2d0, 0x0100_0000, 0x20, 0],
      [0x2d0, 0x1b, 1, 0x328, 0x1006],
      [0x328, 0x0e, 1, 0, 0x0100],
    ],
  },
  /** Navi 10: the same three capabilities, others around them. */
  navi10: {
    name: '2f:00.0',
    title: 'AMD Navi 10',
    ids: [0x1002, 0x731f, 0x030000, 0x1002, 0x0b36],
    first: 0x48,
    standard: [
      [0x48, 0x09, 0x50, 0x0008, 0x0b361002],
      [0x50, 0x01, 0x64, 0xf603, 8],
      [0x64, 0x10, 0xa0, 0x0012, 0x00008fa1, 0x00092930],
      [0xa0, 0x05, 0x00, 0x0080],
    ],
    extended: [
      [0x100, 0x0b, 1, 0x150, 0x0101_0001],
      [0x150, 0x01, 2, 0x200, 0, 0, 0x0046_2030],
      [0x200, 0x15, 1, 0x240, 0x0001_f000, 0x0820],
      [0x240, 0x04, 1, 0x270, 0, 0, 0],
      [0x270, 0x19, 1, 0x2a0, 0, 0],
      [0x2a0, 0x0d, 1, 0x2b0, 0],
      [0x2b0, 0x0f, 1, 0x2c0, 0x20],
      [0x2c0, 0x13, 1, 0x2d0, 0x0100_0000, 0x100, 0],
      [0x2d0, 0x1b, 1, 0x320, 0x1006],
      [0x320, 0x18, 1, 0x400, 0],
      [0x400, 0x25, 1, 0x410, 0x8000_0001, 0],
      [0x410, 0x26, 1, 0, 0],
    ],
  },
  /** `cap-pcie-2`: Intel 82576, SR-IOV, no shared virtual memory. */
  nic82576: {
    name: '01:00.0',
    title: 'Intel 82576',
    ids: [0x8086, 0x10c9, 0x020000, 0x8086, 0xa03c],
    first: 0x40,
    standard: [
      [0x40, 0x01, 0x50, 0xc823, 0x1a00_2000],
      [0x50, 0x05, 0x70, 0x0180],
      [0x70, 0x11, 0xa0, 0x8009, 3, 0x2003],
      [0xa0, 0x10, 0x00, 0x0002, 0x10008cc2, 0x00192830],
    ],
    extended: [
      [0x100, 0x01, 1, 0x140, 0, 0, 0x0006_2011],
      [0x140, 0x03, 1, 0x150, 0xff2b_46e0, 0x001b_21ff],
      [0x150, 0x0e, 1, 0x160, 0x0100],
      [0x160, 0x10, 1, 0, 0, 9, 0x0008_0008, 0x0002, 0x0002_0080, 0x10ca_0000],
    ],
  },
  /** `broken-ecaps`: RS690 host bridge, whose 100h does not hold a capability. */
  broken: {
    name: '00:00.0',
    title: 'RS690 host bridge',
    ids: [0x1002, 0x7911, 0x060000, 0, 0],
    first: 0,
    standard: [],
    extended: [
      [0x100, 0x1002, 1, 0x791],
      [0xd00, 0x1002, 1, 0x791],
      [0x790, 0, 0, 0xd00],
    ],
  },
} as const satisfies Record<string, DeviceRegisters>;
