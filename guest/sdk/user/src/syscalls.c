// SPDX-License-Identifier: MIT
// System calls in their C names: -1 and errno where the kernel returns an error.
#include <user.h>

#define E_INVAL 22

static int result(int value)
{
	if (value >= 0 || value < -4095)
		return value;
	errno = -value;
	return -1;
}

pid_t fork(void)
{
	return result(syscall(SYS_fork));
}

pid_t getpid(void)
{
	return syscall(SYS_getpid);
}

pid_t getppid(void)
{
	return syscall(SYS_getppid);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return options ? result(-E_INVAL) : result(syscall(SYS_waitpid, pid, status));
}

pid_t wait(int *status)
{
	return waitpid(-1, status, 0);
}

int sched_yield(void)
{
	return syscall(SYS_sched_yield);
}

uint64_t clock_ns(void)
{
	uint64_t now = 0;

	syscall(SYS_clock_ns, &now);
	return now;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
{
	if (flags != (MAP_PRIVATE | MAP_ANONYMOUS) || fd != -1 || offset)
		return (void *)result(-E_INVAL);
	return (void *)result(syscall(SYS_mmap, address, length, protection));
}

int munmap(void *address, size_t length)
{
	return result(syscall(SYS_munmap, address, length));
}

int mprotect(void *address, size_t length, int protection)
{
	return result(syscall(SYS_mprotect, address, length, protection));
}

int brk(void *end)
{
	return (uintptr_t)syscall(SYS_brk, end) == (uintptr_t)end ? 0 : -1;
}

void *sbrk(ptrdiff_t increment)
{
	char *old = (char *)(uintptr_t)syscall(SYS_brk, 0);

	return increment == 0 || brk(old + increment) == 0 ? old : (void *)-1;
}

ssize_t write(int fd, const void *buffer, size_t size)
{
	return result(syscall(SYS_write, fd, buffer, size));
}
