// SPDX-License-Identifier: MIT
// Entry of a freestanding guest. With a C library its own start-up code does this, and report.c hooks into exit().
#include <tsvmm.h>

#if !__STDC_HOSTED__
int main(void);
void __wasm_call_ctors(void);

_Noreturn void _start(void)
{
	__wasm_call_ctors();
	tsvmm_exit((u32)report_summary(main()));
}
#endif
