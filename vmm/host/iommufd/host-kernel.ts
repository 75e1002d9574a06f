import { Allocations } from '../kernel/allocations.ts';
import { Files, type HostFile } from '../kernel/files.ts';
import { HostMemory } from '../kernel/host-memory.ts';
import { Process, type ProcessOptions } from '../kernel/process.ts';
import { Syscalls } from '../kernel/syscalls.ts';
import type { IommufdHost } from './context.ts';
import type { Ioctl } from './ioctl.ts';
import { Iommufd } from './iommufd.ts';
import { selftestIoctls } from './selftest.ts';

export interface HostKernelOptions {
  /** Bits of the kernel's `unsigned long`; 64 unless told otherwise. */
  readonly wordBits?: 32 | 64;
  /** Offer IOMMU_TEST_CMD with its mock IOMMU, as a kernel built with CONFIG_IOMMUFD_TEST does. */
  readonly selftest?: boolean;
  /** Linux' parameter iommufd.allow_unsafe_interrupts. */
  readonly allowUnsafeInterrupts?: boolean;
}

/**
 * The entry to the modelled host: processes with memory and files of their own, and the system calls by which they reach
 * `/dev/iommu`.
 */
export class HostKernel implements IommufdHost {
  readonly memory = new HostMemory();
  readonly allocations = new Allocations();
  readonly wordBits: 32 | 64;
  readonly userLocked = { locked: 0n };
  readonly allowUnsafeInterrupts: boolean;
  readonly #extra: readonly Ioctl[];
  /** What processes can open, by path: other drivers add theirs. */
  readonly devices = new Map<string, (opener: Process) => HostFile>();

  constructor(options: HostKernelOptions = {}) {
    this.wordBits = options.wordBits ?? 64;
    this.allowUnsafeInterrupts = options.allowUnsafeInterrupts ?? false;
    this.#extra = options.selftest === true ? selftestIoctls() : [];
    this.devices.set('/dev/iommu', (opener) => new Iommufd(this, opener, this.#extra));
  }

  /** A new process, and its system calls. */
  process(options: ProcessOptions): Syscalls {
    return new Syscalls(new Process(this.memory, new Files(), options), this.devices);
  }
}
