/* SPDX-License-Identifier: MIT */
/* System calls of process-kernel.c. */
#include <user.h>

#define SYS_test (SYSCALL_DRIVER + 0)
#define SYS_share (SYSCALL_DRIVER + 1)
#define SYS_remap (SYSCALL_DRIVER + 2)
#define SYS_sleep (SYSCALL_DRIVER + 3)
#define SYS_turns (SYSCALL_DRIVER + 4)

static inline void test(bool ok, const char *name)
{
	syscall(SYS_test, ok, name);
}
