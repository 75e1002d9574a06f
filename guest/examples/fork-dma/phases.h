/* SPDX-License-Identifier: MIT */
/* How the parent and its children end. */
#ifndef PHASES_H
#define PHASES_H

#define SIZE (32 * 1024)
#define OLD 'o'
#define NEW 'n'
#define SCRIBBLE 's'

enum {
	ALL_WELL,
	BAD_SETUP,
	TOO_EARLY, /* the copy was over before the fork */
	LOST_DATA, /* what the device wrote is not in the parent's memory */
	LEAKED_TO_CHILD, /* but in the child's */
	READ_CHILDS_DATA, /* the device read what the child had written */
	CHILD_SAW_NOTHING = 42,
	CHILD_SAW_OTHERS = 43,
};

#endif
