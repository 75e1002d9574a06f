/* SPDX-License-Identifier: MIT */
/* Virtual time: it passes with instructions executed and with waiting, never with the host's clock. */
#ifndef TSVMM_TIME_H
#define TSVMM_TIME_H

#include <tsvmm/abi.h>
#include <tsvmm/types.h>

#define NSEC_PER_USEC 1000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_SEC 1000000000ull

/** Nanoseconds since power-on. */
static inline u64 ktime_get_ns(void) { return tsvmm_clock_ns(); }

static inline void ndelay(u64 ns) { tsvmm_delay_ns(ns); }
static inline void udelay(u64 us) { tsvmm_delay_ns(us * NSEC_PER_USEC); }
static inline void mdelay(u64 ms) { tsvmm_delay_ns(ms * NSEC_PER_MSEC); }

/** In every loop that polls: lets time pass to the next device event and interrupts in. */
static inline void cpu_relax(void) { tsvmm_cpu_relax(); }

/** Polls until `condition` holds; gives 0, or -E_TIMEDOUT after `ns` of virtual time. */
#define poll_until(condition, ns)                                                                                      \
	({                                                                                                             \
		u64 deadline_ = ktime_get_ns() + (ns);                                                                 \
		int result_ = 0;                                                                                       \
		while (!(condition)) {                                                                                 \
			if (ktime_get_ns() > deadline_) {                                                              \
				result_ = -E_TIMEDOUT;                                                                 \
				break;                                                                                 \
			}                                                                                              \
			cpu_relax();                                                                                   \
		}                                                                                                      \
		result_;                                                                                               \
	})

#endif
