import {
  ATC_INV,
  CFGI_CD,
  CFGI_CD_ALL,
  CMD_ATC_INV,
  CMD_CFGI_CD,
  CMD_CFGI_CD_ALL,
  CMD_TLBI_NH_ALL,
  CMD_TLBI_NH_ASID,
  CMD_TLBI_NH_VA,
  CMD_TLBI_NH_VAA,
  CMD_TLBI_NSNH_ALL,
  TLBI_NH_ALL,
  TLBI_NH_ASID,
  TLBI_NH_VA,
  TLBI_NH_VAA,
  TLBI_NSNH_ALL,
} from '../../../viommu/spec/smmuv3/commands.ts';
import { HWPT_DATA, INVALIDATE_DATA } from '../iommufd/abi.ts';
import type { DriverViommu, HostDevice } from '../iommufd/driver.ts';
import type { UserArray, UserData } from '../iommufd/user-data.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { SMMU_EVENT_BYTES, SMMUV3_INVALIDATE, VEVENTQ_SMMUV3 } from './abi.ts';
import type { PhysicalDevice } from './device.ts';
import { SmmuNestedDomain, type SmmuPagingDomain, userStream } from './smmu-domains.ts';
import type { SmmuQueue } from './smmu-queue.ts';

/** Bits of each word that a command has no field for, by opcode: the user's commands that go to the unit's queue. */
const RESERVED: ReadonlyMap<number, Uint32Array> = new Map(
  (
    [
      [CMD_TLBI_NH_ALL, TLBI_NH_ALL],
      [CMD_TLBI_NH_ASID, TLBI_NH_ASID],
      [CMD_TLBI_NH_VA, TLBI_NH_VA],
      [CMD_TLBI_NH_VAA, TLBI_NH_VAA],
      [CMD_TLBI_NSNH_ALL, TLBI_NSNH_ALL],
      [CMD_ATC_INV, ATC_INV],
      [CMD_CFGI_CD, CFGI_CD],
      [CMD_CFGI_CD_ALL, CFGI_CD_ALL],
    ] as const
  ).map(([opcode, layout]) => [opcode, layout.reserved]),
);
/** Commands between two CMD_SYNCs. */
const BATCH = 63;

export interface SmmuViommuParts {
  readonly queue: SmmuQueue;
  readonly parent: SmmuPagingDomain;
  /** The VMID is not needed any more. */
  readonly release: () => void;
}

/** What a virtual machine has of a unit: a VMID, which StreamIDs are its devices, its commands and events. */
export class SmmuViommu implements DriverViommu {
  readonly parent: SmmuPagingDomain;
  deliver?: (type: number, bytes: Uint8Array) => void;
  readonly #parts: SmmuViommuParts;
  readonly #streams = new Map<HostDevice, number>();

  constructor(parts: SmmuViommuParts) {
    this.#parts = parts;
    this.parent = parts.parent;
  }

  eventBytes(type: number): number | undefined {
    return type === VEVENTQ_SMMUV3 ? SMMU_EVENT_BYTES : undefined;
  }

  allocNested(_device: HostDevice, flags: number, data: UserData): SmmuNestedDomain {
    demand(flags === 0, 'EOPNOTSUPP', 'a nested table of an SMMU takes no flags: PASIDs are in its CD table');
    demand(data.type === HWPT_DATA.ARM_SMMUV3, 'EINVAL', `an SMMUv3 takes no data of type ${data.type}`);
    return new SmmuNestedDomain(this, userStream(data));
  }

  attachVdevice(device: HostDevice, virtId: bigint): void {
    demand(virtId < 1n << 32n, 'EINVAL', 'a StreamID has 32 bits');
    this.#streams.set(device, Number(virtId));
  }

  detachVdevice(device: HostDevice): void {
    this.#streams.delete(device);
  }

  /** By which StreamID the guest knows a device. */
  streamOf(device: HostDevice): number | undefined {
    return this.#streams.get(device);
  }

  /** Commands of the guest. The host ends each batch with a CMD_SYNC of its own; what was refused did not go out. */
  invalidate(array: UserArray, deviceOf: (virtId: bigint) => HostDevice | undefined): void {
    array.expect(INVALIDATE_DATA.ARM_SMMUV3);
    const { queue } = this.#parts;
    const words = new Int32Array(4);
    const before = queue.illegal;
    const whole = array.whole(SMMUV3_INVALIDATE);
    try {
      for (let batch = 0; array.done < array.entries; array.done++) {
        const view = whole ?? new DataView(array.bytes(SMMUV3_INVALIDATE, array.done).buffer);
        const at = whole === undefined ? 0 : array.done * SMMUV3_INVALIDATE.bytes;
        for (let i = 0; i < 4; i++) words[i] = view.getInt32(at + i * 4, true);
        this.#convert(words, deviceOf);
        queue.user(words[0] as number, words[1] as number, words[2] as number, words[3] as number);
        if (++batch % BATCH === 0) queue.sync();
      }
    } finally {
      queue.sync();
    }
    if (queue.illegal > before) refuse('EIO', 'the unit called a command illegal');
  }

  free(): void {
    this.#parts.release();
  }

  /** The guest's identifiers become the host's. Throws EIO. */
  #convert(words: Int32Array, deviceOf: (virtId: bigint) => HostDevice | undefined): void {
    const opcode = (words[0] as number) & 0xff;
    const reserved =
      RESERVED.get(opcode) ?? refuse('EIO', `command 0x${opcode.toString(16)} is not for users`);
    for (let i = 0; i < 4; i++)
      if (((words[i] as number) & (reserved[i] as number)) !== 0) refuse('EIO', 'a reserved bit is set');
    switch (opcode) {
      case CMD_TLBI_NSNH_ALL:
        words.fill(0);
        words[0] = CMD_TLBI_NH_ALL;
        words[1] = this.parent.tag;
        return;
      case CMD_ATC_INV:
      case CMD_CFGI_CD:
      case CMD_CFGI_CD_ALL: {
        const device =
          deviceOf(BigInt((words[1] as number) >>> 0)) ?? refuse('EIO', 'no device has this StreamID');
        words[1] = (device as PhysicalDevice).requester;
        return;
      }
      default:
        words[1] = ((words[1] as number) & -0x10000) | this.parent.tag;
    }
  }
}
