/* SPDX-License-Identifier: MIT */
/*
 * Drivers with one bug each: what the device moves after a change of tables that was announced wrongly, or not at all. With the
 * argument `good` the same changes are announced as they should be, and every point passes.
 */
#ifndef TEST_SEEDED_H
#define TEST_SEEDED_H

#include <tsvmm.h>
#include <tsvmm/svm_engine_driver.h>

#define PASID 0x15u
#define OTHER_PASID 0x16u
#define IOVA 0x12344000ull
#define NEIGHBOUR 0x12345000ull /* the other page of an aligned pair */
#define OFFSET 0x678u
#define STORED 0x12345678u

/* Which page the device's data came from, or went to. */
enum data { NOTHING, OLD, NEW, SECRET, DATA_KINDS };

static const char *const data_names[] = { "nothing", "the old page", "the new page", "a secret page" };
static const u64 contents[] = { 0, 0x01d01d01d01d01d0, 0x4e3e4e3e4e3e4e3e, 0x5ec5ec5ec5ec5ec5 };

/* How the device asks. */
enum way {
	UNTRANSLATED,
	/* Through its cache of translations, which it fills. */
	CACHED,
	/* Untranslated, without PASID. */
	PLAIN,
};

struct outcome {
	enum data read, written;
};

struct seeded {
	const char *bug;
	/* What a driver without it has the device do. */
	struct outcome good;
	enum way way;
	bool neighbour; /* asks there */
	/* Changes tables and announces that. */
	void (*change)(bool bug);
};

static struct svm_engine engine;
static u8 *pages[DATA_KINDS];

static inline void make_pages(void)
{
	for (u32 i = OLD; i < DATA_KINDS; i++)
		pages[i] = alloc_page();
	if (!pages[SECRET])
		report_bail_out("no memory");
}

static inline volatile u64 *content(enum data which) { return (volatile u64 *)(pages[which] + OFFSET); }

static inline enum data device_reads(enum way way, u64 address)
{
	struct svm_job job = { .op = way == CACHED ? SVM_OP_SUM : SVM_OP_RAW_READ, .pasid = PASID, .src = address + OFFSET,
			       .size = 8, .control = way == PLAIN ? 0 : SVM_WITH_PASID };
	struct svm_result result = svm_engine_run(&engine, 0, &job);

	for (u32 i = OLD; i < DATA_KINDS && !result.error; i++)
		if (result.value == contents[i])
			return i;
	return NOTHING;
}

static inline enum data device_writes(enum way way, u64 address)
{
	struct svm_job job = { .op = way == CACHED ? SVM_OP_FILL : SVM_OP_RAW_WRITE, .pasid = PASID,
			       .dst = address + OFFSET, .size = 4, .operand = STORED,
			       .control = way == PLAIN ? 0 : SVM_WITH_PASID };

	(void)svm_engine_run(&engine, 0, &job);
	for (u32 i = OLD; i < DATA_KINDS; i++)
		if ((u32)*content(i) == STORED)
			return i;
	return NOTHING;
}

static inline struct outcome device_moves(enum way way, u64 address)
{
	for (u32 i = OLD; i < DATA_KINDS; i++)
		*content(i) = contents[i];

	enum data read = device_reads(way, address);

	return (struct outcome){ read, device_writes(way, address) };
}

/** Every page and table is as at the start, and nothing is cached. */
static void restore(void);

static inline void show(const struct seeded *one, bool bug)
{
	u64 address = one->neighbour ? NEIGHBOUR : IOVA;

	restore();

	struct outcome first = device_moves(one->way, address);

	one->change(bug);

	struct outcome then = device_moves(one->way, address);
	bool good = then.read == one->good.read && then.written == one->good.written;

	report(good, "%s: reads %s, writes %s", one->bug, data_names[then.read], data_names[then.written]);
	if (first.read != OLD || first.written != OLD)
		report(false, "%s: before, it reads %s and writes %s", one->bug, data_names[first.read],
		       data_names[first.written]);
}

static inline void show_all(const struct seeded *all, u32 count, int argc, char **argv)
{
	bool bug = !(argc > 1 && strcmp(argv[1], "good") == 0);

	for (u32 i = 0; i < count; i++)
		show(&all[i], bug);
}

#endif
