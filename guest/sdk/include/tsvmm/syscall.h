/* SPDX-License-Identifier: MIT */
/* Numbers of the kernel library's system calls, for both sides. A driver's own begin at SYSCALL_DRIVER. */
#ifndef TSVMM_SYSCALL_H
#define TSVMM_SYSCALL_H

#define SYS_exit 0 /* status */
#define SYS_write 1 /* fd (1 or 2), buffer, length: bytes written */
#define SYS_brk 2 /* end, 0 to ask: end */
#define SYS_mmap 3 /* address or 0, length, PROT_: address */
#define SYS_munmap 4 /* address, length */
#define SYS_mprotect 5 /* address, length, PROT_ */
#define SYS_fork 6 /* pid of the child; 0 in the child */
#define SYS_getpid 7
#define SYS_waitpid 8 /* pid or -1, status or NULL: pid */
#define SYS_sched_yield 9
#define SYS_clock_ns 10 /* where to put 64 bits */
#define SYS_getppid 11
#define SYSCALL_DRIVER 32
#define SYSCALL_MAX 64

#endif
