/* SPDX-License-Identifier: MIT */
/* Work for the data streaming accelerator, on a program's own addresses: nothing is pinned, nothing is copied for it. */
#ifndef TSVMM_USER_DSA_H
#define TSVMM_USER_DSA_H

#include <tsvmm/dsa_desc.h>
#include <user.h>

/** The portal of the shared queue, or NULL with errno. After a fork the child opens its own. */
void *dsa_open(void);
/** Offers a descriptor until the queue takes it. `done` is where its completion record goes; its status is 0 then. */
void dsa_submit(void *portal, struct dsa_descriptor *descriptor, struct dsa_completion *done);
/** Polls until the record is there; returns its status. */
int dsa_wait(const struct dsa_completion *done);

/** A copy; pages that are not there come as the device touches them. Returns the status of the record. */
int dsa_copy(void *portal, void *to, const void *from, size_t size, struct dsa_completion *done);
/** A descriptor of a copy, to be submitted. */
struct dsa_descriptor dsa_copy_descriptor(void *to, const void *from, size_t size);

#endif
