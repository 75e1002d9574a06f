import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { EduDriver, QtestMachine } from '../../kit/qtest-machine.ts';

const VTD = 0xfed90000n;
const SCRATCH = 0x7ff00000n;
const TE = 0x80000000n;
const QIE = 0x04000000n;
const SRTP = 0x40000000n;

interface Map {
  readonly iova: string;
  readonly gpa: string;
  readonly size: number;
  readonly r: number | boolean;
  readonly w: number | boolean;
}

interface Walk {
  readonly regs: Readonly<Record<string, string>>;
  readonly pages: Readonly<Record<string, readonly string[]>>;
  readonly devices: readonly {
    readonly bus: number;
    readonly devfn: number;
    readonly maps: readonly Map[];
  }[];
}

/** Linux's tables in memory, the unit started as Linux starts it, an edu device at a requester that has mappings. */
class LinuxRun {
  readonly walk: Walk;
  readonly q: QtestMachine;
  readonly edu: EduDriver;
  readonly maps: readonly Map[];
  #tail = 0n;

  constructor(run: string, options: string, profile: string) {
    const base = `test/fixtures/linux/${run}/03-vfio-mapped-before-dma`;
    this.walk = JSON.parse(gunzipSync(readFileSync(`${base}.walk.json.gz`)).toString()) as Walk;
    const iommu = ['-device', `intel-iommu,${options}`, '-profile', profile];
    const edu = ['-device', 'edu,addr=8.0,dma_mask=0xffffffffffffffff'];
    this.q = new QtestMachine('-machine', 'q35', '-m', '3072', ...iommu, ...edu);
    this.edu = new EduDriver(this.q, 0x40, 0xc0000000);
    const kept = (gpa: string) => this.walk.pages[`0x${(BigInt(gpa) & ~0xfffn).toString(16)}`] !== undefined;
    const device = this.walk.devices.find((d) => d.bus === 0 && d.devfn === 0x40)!;
    this.maps = device.maps.filter((m) => BigInt(m.gpa) >= 1n << 32n && !kept(m.gpa));
    this.#load(`${base}.pages.gz`);
    this.#start();
  }

  #load(file: string): void {
    const bytes = gunzipSync(readFileSync(file));
    for (let at = 0; at < bytes.length; at += 4104)
      this.q.store(bytes.readBigUInt64LE(at), bytes.subarray(at + 8, at + 4104));
  }

  /** IQA.DW: 256-bit descriptors. */
  get #wide(): boolean {
    return (this.#register('0x090') & 0x800n) !== 0n;
  }

  #register(offset: string): bigint {
    return BigInt(this.walk.regs[offset]!);
  }

  #start(): void {
    const { q } = this;
    q.write(VTD + 0x88n, 8, 0n);
    q.write(VTD + 0x90n, 8, this.#register('0x090'));
    q.write(VTD + 0x18n, 4, QIE);
    q.write(VTD + 0x20n, 8, this.#register('0x020'));
    q.write(VTD + 0x18n, 4, QIE | SRTP);
    // Global invalidation of the context-cache, in scalable mode the PASID-cache, and the IOTLB; a wait that writes 600Dh.
    const pasids = this.#wide ? ([[0x37n, 0n]] as const) : [];
    this.#submit([0x11n, 0n], ...pasids, [0xd2n, 0n], [0x25n | (0x600dn << 32n), SCRATCH]);
    q.write(VTD + 0x18n, 4, QIE | TE);
  }

  #submit(...descriptors: readonly (readonly [bigint, bigint])[]): void {
    const queue = this.#register('0x090') & ~0xfffn;
    for (const [low, high] of descriptors) {
      this.q.write(queue + this.#tail, 8, low);
      this.q.write(queue + this.#tail + 8n, 8, high);
      if (this.#wide) for (const at of [16n, 24n]) this.q.write(queue + this.#tail + at, 8, 0n);
      this.#tail += this.#wide ? 32n : 16n;
    }
    this.q.write(VTD + 0x88n, 8, this.#tail);
  }
}

const RUNS = [
  ['g1a-legacy-strict', 'device-iotlb=on,intremap=on', 'spec', 0x05],
  ['g1a-legacy-strict', 'device-iotlb=on,intremap=on', 'qemu', 0x05],
  ['g1c-legacy-pt', 'intremap=off', 'spec', 0x05],
  ['g2a-scalable-ss', 'scalable-mode=on,device-iotlb=on', 'spec', 0x79],
  ['g2a-scalable-ss', 'scalable-mode=on,device-iotlb=on', 'qemu', 0x05],
  ['g2c-scalable-fs', 'scalable-mode=on,fsts=on,device-iotlb=on', 'spec', 0x71],
  ['g2c-scalable-fs', 'scalable-mode=on,fsts=on,device-iotlb=on', 'qemu', 0x71],
] as const;

describe.each(RUNS)('tables Linux built: %s (%s), profile %s', (run, options, profile, code) => {
  const linux = new LinuxRun(run, options, profile);

  test('capabilities are those Linux saw, and its queue is consumed', () => {
    expect(linux.q.read(VTD + 0x08n, 8)).toBe(BigInt(linux.walk.regs['0x008']!));
    expect(linux.q.read(VTD + 0x10n, 8)).toBe(BigInt(linux.walk.regs['0x010']!));
    expect(linux.q.read(SCRATCH, 4)).toBe(0x600dn);
  });

  test('what a device writes arrives where Linux mapped it, for every permitted mapping', () => {
    const pattern = Buffer.from('0123456789abcdef');
    linux.q.write(VTD + 0x18n, 4, QIE);
    linux.q.store(SCRATCH + 16n, pattern);
    linux.edu.load(SCRATCH + 16n, 0, 16);
    linux.q.write(VTD + 0x18n, 4, QIE | TE);
    const missed = linux.maps.filter((m) => {
      linux.edu.store(0, BigInt(m.iova) + 64n, 16);
      return linux.q.bytes(BigInt(m.gpa) + 64n, 16).equals(pattern) !== Boolean(m.w);
    });

    expect(linux.maps.length).toBeGreaterThan(100);
    expect(missed).toEqual([]);
  });

  test('an address that Linux did not map is refused and recorded with the requester', () => {
    linux.q.write(VTD + 0x22cn, 4, 0x80000000n);
    linux.edu.store(0, 0x7f_0000_0000n, 16);

    expect(linux.q.read(VTD + 0x220n, 8)).toBe(0x7f_0000_0000n);
    expect(linux.q.read(VTD + 0x228n, 8)).toBe(0x8000_0000_0000_0040n | (BigInt(code) << 32n));
  });
});
