/* SPDX-License-Identifier: MIT */
/*
 * What a user process imports, generated from guest/abi/user-imports.ts by `npm run gen`. Do not edit.
 * Programs rarely need to: <user.h> wraps these in the names a C library uses.
 */
#ifndef TSVMM_USER_H
#define TSVMM_USER_H

#include <stdint.h>

#define TSVMM_USER_IMPORT(name) __attribute__((import_module("tsvmm_user"), import_name(#name)))

/** Enters the kernel; a result from -4095 to -1 is an error number, by the habit of kernels. */
TSVMM_USER_IMPORT(syscall)
int32_t tsvmm_user_syscall(uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4, uint32_t a5);

/** Stores 64 bytes to the 64-byte aligned address to as one write (MOVDIR64B). */
TSVMM_USER_IMPORT(movdir64b)
void tsvmm_user_movdir64b(void *to, const void *from);

/**
 * Offers a 64-byte command with the PASID of IA32_PASID to the enqueue register mapped at to
 * (ENQCMD): 0 taken, 1 to be tried again.
 */
TSVMM_USER_IMPORT(enqcmd)
uint32_t tsvmm_user_enqcmd(void *to, const void *from);

/**
 * The hint of a polling loop (PAUSE): virtual time passes to the next device event within the poll
 * quantum.
 */
TSVMM_USER_IMPORT(pause)
void tsvmm_user_pause(void);

#endif
