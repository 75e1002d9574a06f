// SPDX-License-Identifier: MIT
// Saved with page requests in the queue and devices waiting for their answers: an svm-engine and an accelerator that share an address
// space. With interrupts off nobody answers until the machine has been saved.
#include <tsvmm/dsa_driver.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --device svm-engine --device dsa,delay_ns=1000");

#define AREA 0x40000000u
#define ROUNDS 4u
#define FRAMES 6u
#define PAGES_A_ROUND 16u
#define RECORDS (AREA + ROUNDS * PAGES_A_ROUND * PAGE_SIZE)
#define DATA 0x1111111111111111ull

static struct iommu *iommu;
static struct mm_struct *mm;
static struct iommu_device device;
static struct svm_engine engine;
static struct dsa dsa;
static struct iommu_sva for_engine, for_dsa;

static u32 page_at(u32 round, u32 page)
{
	return AREA + (round * PAGES_A_ROUND + page) * PAGE_SIZE;
}

/// Half of the frames ask at once, the others while the machine is saved again.
static void start_engine(u32 round)
{
	for (u32 i = 0; i < FRAMES; i++)
		svm_engine_start(&engine, i,
				 &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES,
						    .pasid = for_engine.pasid, .dst = page_at(round, 2 * i), .size = 2 * PAGE_SIZE,
						    .operand = (round + 1) * DATA, .delay_ns = i % 2 * 50000 });
}

static void start_dsa(u32 round)
{
	struct dsa_descriptor fill = {
		.flags = DSA_OPERATION(DSA_OP_FILL) | DSA_FLAG_BLOCK | DSA_FLAG_CR_VALID | DSA_FLAG_CR_REQUEST,
		.completion = RECORDS + round * sizeof(struct dsa_completion),
		.source = (round + 1) * DATA,
		.destination = page_at(round, 2 * FRAMES),
		.size = 4 * PAGE_SIZE,
	};

	report(dsa_submit(&dsa, 0, &fill) == 0, "round %u: a descriptor is submitted", round);
}

static u32 waiting_frames(void)
{
	u32 n = 0;

	for (u32 i = 0; i < FRAMES; i++)
		n += svm_engine_state(&engine, i) == SVM_STATE_WAITING;
	return n;
}

static u32 dsa_status(u32 round)
{
	struct dsa_completion done = { 0 };

	copy_from_user(mm, &done, RECORDS + round * (u32)sizeof(done), sizeof(done));
	return done.status;
}

static void check(u32 round)
{
	u32 wrong = 0;

	for (u32 page = 0; page < PAGES_A_ROUND; page++) {
		u64 value = 0;

		copy_from_user(mm, &value, page_at(round, page) + PAGE_SIZE - 8, sizeof(value));
		wrong += value != (round + 1) * DATA;
	}
	report(wrong == 0, "round %u: every page is written", round);
}

static void run_round(u32 round)
{
	u32 flags = local_irq_save();

	start_engine(round);
	start_dsa(round);
	ndelay(5000);
	u32 waiting = waiting_frames();
	u32 handled = iommu->page_requests;

	tsvmm_yield();
	report(waiting == FRAMES / 2 && waiting_frames() == waiting && iommu->page_requests == handled,
	       "round %u: saved while %u frames wait, and nobody has answered", round, waiting);
	report(dsa_status(round) == 0, "round %u: the accelerator waits too", round);
	local_irq_restore(flags);
	// The rest is still to come.
	tsvmm_yield();
	for (u32 i = 0; i < FRAMES; i++)
		report(svm_engine_wait(&engine, i).error == SVM_ERROR_NONE, "round %u: frame %u is done", round, i);
	poll_until(dsa_status(round), NSEC_PER_MSEC);
	report(dsa_status(round) == DSA_STATUS_SUCCESS, "round %u: the accelerator is done", round);
	check(round);
}

static int start(void)
{
	struct dsa_queue queue = { .size = 8, .block_on_fault = true };
	int result = svm_engine_probe(&engine, 0);

	if (!result)
		result = iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI);
	if (!result)
		result = dsa_probe(&dsa, iommu);
	if (!result)
		result = iommu_enable(iommu);
	if (!result)
		result = iommu_sva_bind(&for_engine, &device, mm);
	if (!result)
		result = iommu_sva_bind(&for_dsa, &dsa.iommu, mm);
	queue.pasid = for_dsa.pasid;
	if (!result)
		result = dsa_setup_queue(&dsa, 0, &queue);
	return result ? result : dsa_start(&dsa);
}

int main(void)
{
	iommu = iommu_probe();
	mm = mm_alloc();
	if (!iommu || !mm || !mm_map(mm, AREA, ROUNDS * PAGES_A_ROUND * PAGE_SIZE + PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) ||
	    start())
		report_bail_out("an svm-engine and an accelerator behind an IOMMU with page requests are needed");
	for (u32 round = 0; round < ROUNDS; round++)
		run_round(round);
	printk("%u page requests\n", iommu->page_requests);
	report(iommu->page_faults_refused == 0 && iommu->faults == 0, "nothing was refused");
	return 0;
}
