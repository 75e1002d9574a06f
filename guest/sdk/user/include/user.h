/* SPDX-License-Identifier: MIT */
/*
 * The C library of user processes: small, in the names every program knows. Its system calls are those of the kernel
 * library (tsvmm/syscall.h); a driver's own are called by syscall(). <stdio.h>, <stdlib.h>, <string.h>, <unistd.h>,
 * <sys/mman.h> and <sys/wait.h> all lead here.
 */
#ifndef TSVMM_USER_LIBRARY_H
#define TSVMM_USER_LIBRARY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tsvmm/syscall.h>
#include <tsvmm_user.h>

typedef int pid_t;
typedef int ssize_t;

/* Errors are returned, negative, by syscall() itself; the functions below return -1 or NULL and set errno. */
extern int errno;

/** Any system call by number; further arguments are 0. */
#define syscall(...) SYSCALL_PAD_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYSCALL_PAD_(number, a0, a1, a2, a3, a4, a5, ...)                                                              \
	tsvmm_user_syscall((uint32_t)(number), (uint32_t)(uintptr_t)(a0), (uint32_t)(uintptr_t)(a1),                   \
			   (uint32_t)(uintptr_t)(a2), (uint32_t)(uintptr_t)(a3), (uint32_t)(uintptr_t)(a4),            \
			   (uint32_t)(uintptr_t)(a5))

_Noreturn void exit(int status);
_Noreturn void _exit(int status);
_Noreturn void abort(void);
/** Ends the process with a message where the condition is false. */
#define assert(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void assert_failed(const char *condition, const char *file, int line);

/** A copy of the process: 0 there, its pid here. */
pid_t fork(void);
pid_t getpid(void);
pid_t getppid(void);
/** Waits for a child (-1: any); its status is the exit status, or 128 + signal number where it was killed. */
pid_t waitpid(pid_t pid, int *status, int options);
pid_t wait(int *status);
int sched_yield(void);
/** Virtual time in nanoseconds. */
uint64_t clock_ns(void);

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define MAP_FAILED ((void *)-1)

/** Anonymous private memory; other flags are refused. Nothing is there before it is touched. */
void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int munmap(void *address, size_t length);
int mprotect(void *address, size_t length, int protection);
int brk(void *end);
void *sbrk(ptrdiff_t increment);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void free(void *memory);

#define STDOUT_FILENO 1
#define STDERR_FILENO 2
ssize_t write(int fd, const void *buffer, size_t size);
/* As printk() formats; no floating point. Each call is one write. */
int printf(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
int snprintf(char *buffer, size_t size, const char *format, ...) __attribute__((__format__(__printf__, 3, 4)));
int puts(const char *text);
int putchar(int c);

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *at, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);

/** Stores 64 bytes at once to a register page (MOVDIR64B). */
static inline void movdir64b(void *to, const void *from) { tsvmm_user_movdir64b(to, from); }
/** Offers a command to a shared work queue's portal (ENQCMD): 0 taken, 1 to be tried again. */
static inline int enqcmd(void *portal, const void *command) { return (int)tsvmm_user_enqcmd(portal, command); }
/** In polling loops: lets time pass. */
static inline void cpu_relax(void) { tsvmm_user_pause(); }

#endif
