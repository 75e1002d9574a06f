// SPDX-License-Identifier: MIT
// Where a process begins and ends.
#include <user.h>

int main(void);
void __wasm_call_ctors(void);

int errno;

__attribute__((export_name("_start"))) void _start(void)
{
	__wasm_call_ctors();
	exit(main());
}

_Noreturn void _exit(int status)
{
	for (;;)
		syscall(SYS_exit, status);
}

_Noreturn void exit(int status)
{
	_exit(status);
}

_Noreturn void abort(void)
{
	__builtin_trap();
}

_Noreturn void assert_failed(const char *condition, const char *file, int line)
{
	printf("# %s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}
