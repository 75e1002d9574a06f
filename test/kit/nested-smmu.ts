import type { SmmuConfig } from '../../viommu/smmuv3/config.ts';
import { SMMUV3 } from '../../viommu/smmuv3/kind.ts';
import { STRTAB_BASE_CFG } from '../../viommu/spec/smmuv3/registers.ts';
import { STE } from '../../viommu/spec/smmuv3/structures.ts';
import { completeOptions } from '../../vmm/bus/iommu.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import type { Passthrough } from '../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from './assigned.ts';
import type { NestedOptions } from './nested.ts';
import { CMDQEN, EVENTQEN, REG, SMMUEN, SmmuMachine, STREAMS, TABLE } from './smmu-machine.ts';
import { SvmFrames } from './svm-world.ts';

const HOST = 'arm-mmu-700';
const ENGINE = '0000:01:00.0';
const CFGI_STE = 3n;
const CFGI_CD = 5n;
/** Leaf descriptors of user pages: valid, page, AP, AF, inner shareable. */
const USER = 0x743n;

/** An SVM engine of a host, assigned to a guest whose SMMUv3 is driven by this kit: its transactions without PASID stall. */
export class NestedSmmu {
  readonly machine: Machine;
  readonly smmu: SmmuMachine;
  readonly frames: SvmFrames;

  constructor(config: Partial<SmmuConfig> = {}, { mode, host = true, verify = false }: NestedOptions = {}) {
    const options = { stall: 'optional', ...config } as const;
    const port = { kind: 'pcie-root-port', id: 'rp0', options: {} };
    const engine = host
      ? assigned(ENGINE, 'svm', 'rp0', mode)
      : { kind: 'svm-engine', id: 'svm', bus: 'rp0', options: {} };
    this.machine = machineOn(
      HOST,
      [port, engine],
      {
        machine: 'virt',
        highmem: false,
        memory: 16 << 20,
        viommu: { kind: 'smmuv3', options: { ...completeOptions(SMMUV3, options) } },
      },
      verify,
    );
    this.smmu = new SmmuMachine({ machine: this.machine, config: options });
    const { fn } = this.machine.pciDevice('svm')!;
    // Where firmware has put it.
    this.frames = new SvmFrames(this.machine.mmio, fn.configRead(0x10, 4) & -16);
    this.smmu.start(CMDQEN | EVENTQEN);
    // 1024 streams: those of buses 0 to 3.
    this.smmu.write32(STRTAB_BASE_CFG.offset, 10);
    this.smmu.write32(REG.cr0, CMDQEN | EVENTQEN | SMMUEN);
    this.stream();
    fn.configWrite(4, 2, 6);
  }

  get passthrough(): Passthrough {
    return this.machine.host!.passthrough as Passthrough;
  }

  get requester(): number {
    return this.machine.pciDevice('svm')!.fn.w.dma.requester;
  }

  /** Stage 1 for the engine, whose CD asks for stalls. */
  stream(): void {
    const { smmu, requester } = this;
    smmu.stage1(requester, { S: 1 });
    smmu.submit(CFGI_STE | (BigInt(requester) << 32n), 1);
    smmu.submit(CFGI_CD | (BigInt(requester) << 32n), 1);
  }

  /** The stream is aborted. */
  unbind(): void {
    this.smmu.storeWords(STREAMS + this.requester * 64, STE.pack({ V: 1, Config: 0 }));
    this.smmu.submit(CFGI_STE | (BigInt(this.requester) << 32n), 1);
  }

  /** What firmware does with the port before the engine. */
  renumber(bus: number): void {
    this.machine.pciDevice('rp0')!.fn.configWrite(0x18, 4, (bus << 16) | (bus << 8));
  }

  /** Page `n` of the address space. */
  map(n: number, to: number): void {
    const { smmu } = this;
    smmu.store(TABLE, BigInt(TABLE + 0x1000) | 3n);
    smmu.store(TABLE + 0x1000, BigInt(TABLE + 0x2000) | 3n);
    smmu.store(TABLE + 0x2000 + n * 8, BigInt(to) | USER);
  }

  /** CMD_RESUME. */
  resume(tag: number, retry: boolean, sid = this.requester): void {
    this.smmu.submit(0x44n | (retry ? 1n << 12n : 1n << 13n) | (BigInt(sid) << 32n), tag);
  }

  /** Virtual time goes on: what waits for its turn has it. */
  settle(): void {
    this.machine.clock.advanceTo(this.machine.clock.now);
  }
}
