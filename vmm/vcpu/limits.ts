import type { Limit } from '../core/limit.ts';

export const VCPU_LIMITS: readonly Limit[] = [
  {
    id: 'vcpu-vmsa',
    what: 'processes of virt walk 4 KiB granules only and ignore the contiguous hint; their faults have the codes of x86',
    cite: 'Arm ARM: VMSAv8-64',
  },
  {
    id: 'guest-one-cpu',
    what: 'one CPU; memory.atomic.wait ends the guest, because nobody could wake it',
    cite: 'WebAssembly Threads: wait',
  },
  {
    id: 'guest-memory-forms',
    what: 'one unshared 32-bit memory; no multi-memory, memory64, garbage-collected or typed function references',
    cite: 'WebAssembly Core: Memories',
  },
  {
    id: 'guest-nmi-waits-for-if',
    what: 'a non-maskable interrupt is kept while interrupts are disabled and comes, as vector 2, when they are enabled',
    cite: 'Intel SDM: Nonmaskable Interrupt (NMI)',
  },
  {
    id: 'guest-c-heap',
    what: "the C library's heap (malloc) has a quarter of RAM, the page allocator the rest; --memory makes both larger",
    cite: 'docs/guide/write-a-driver.md',
  },
  {
    id: 'guest-wide-registers',
    what: '128-bit accesses and memory.init reach RAM only; on a register they end the guest with a report',
    cite: 'WebAssembly SIMD: Load and Store',
  },
  {
    id: 'guest-store-beyond-4g',
    what: 'a store whose base and offset add up to 4 GiB or more ends the guest without its address',
    cite: 'WebAssembly Core: Memory Instructions',
  },
  {
    id: 'guest-dropped-segments',
    what: 'a data or element segment that was dropped is whole again after a snapshot is loaded',
    cite: 'WebAssembly Core: data.drop, elem.drop',
  },
  {
    id: 'snapshot-points',
    what: 'a guest is saved at wfi and yield outside of interrupt handlers, with at most 256 KiB of call stack',
    cite: 'binaryen: asyncify',
  },
  {
    id: 'snapshot-guests',
    what: 'no snapshots of guests with a second table, mutable v128 or exnref globals, or asyncify of their own',
    cite: 'WebAssembly JavaScript Interface: Globals',
  },
  {
    id: 'process-addresses',
    what: 'addresses of a user process have 32 bits; base and offset of an access add up modulo 4 GiB; nothing is fetched through page tables, so XD, SMEP and SMAP have no meaning',
    cite: 'Intel SDM: 4-Level Paging',
  },
  {
    id: 'process-registers',
    what: 'on pages of registers a process makes accesses of 1 to 8 bytes within the page, and 64-byte stores; others, and bulk instructions, kill it',
    cite: 'WebAssembly Core: Memory Instructions',
  },
  {
    id: 'process-memory-grow',
    what: 'memory.grow fails in a user process, whose memory grows by brk and mmap; data.drop frees nothing',
    cite: 'WebAssembly Core: memory.grow, data.drop',
  },
  {
    id: 'process-preemption',
    what: 'a process is suspended in a system call; at a loop only when its program is built preemptible, in a page fault only when it is built blocking',
    cite: 'docs/processes.md: Who runs when',
  },
  {
    id: 'process-threads',
    what: 'one thread of control in a process; memory.atomic.wait kills it',
    cite: 'WebAssembly Threads: wait',
  },
  {
    id: 'process-tables',
    what: 'page tables of processes lie in RAM and cache nothing but translations of 4 KiB; a table outside of RAM is a reserved-bit fault; PKU, PCID and global pages are ignored',
    cite: 'Intel SDM: Caching Translation Information',
  },
  {
    id: 'wasi-files',
    what: 'files live in memory only, without times, rights, symbolic links or directories outside of them; 256 MiB in all',
    cite: 'WASI preview 1: path_open',
  },
  {
    id: 'wasi-signals-sockets',
    what: 'no signals and no sockets: the calls fail with ENOSYS or ENOTSUP',
    cite: 'WASI preview 1: proc_raise, sock_send',
  },
];
