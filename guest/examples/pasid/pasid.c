// SPDX-License-Identifier: MIT
/*
 * PASIDs: with each request a device says whose address it means.
 *
 * iommu_sva_bind() gives an address space a PASID and puts its page tables into the device's PASID table. The same address means
 * another page under each PASID. iommu_sva_unbind() takes the entry away and invalidates what was cached of it; a request that
 * still comes then is refused, and the fault record says which PASID it had.
 */
#define pr_fmt(format) "pasid: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device svm-engine");

#define MANY 64
#define ADDRESS 0x40000000u
#define NEVER_BOUND 0xabcdeu

static struct svm_engine engine;
static struct iommu_device device;
static struct iommu_fault last_fault;

static void on_fault(const struct iommu_fault *fault)
{
	last_fault = *fault;
}

/// An address space with one page at ADDRESS, which holds `value`.
static struct mm_struct *make_space(u64 value)
{
	struct mm_struct *mm = mm_alloc();

	if (!mm || !mm_map(mm, ADDRESS, PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) ||
	    copy_to_user(mm, ADDRESS, &value, sizeof(value)))
		report_bail_out("no memory");
	return mm;
}

static struct svm_result device_reads(u32 pasid)
{
	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_SUM, .control = SVM_WITH_PASID, .pasid = pasid,
						 .src = ADDRESS, .size = 8 });
}

static struct svm_result device_writes(u32 pasid, u64 value)
{
	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID, .pasid = pasid,
						 .dst = ADDRESS, .size = 8, .operand = value });
}

/// The fault comes as an interrupt, and says that the PASID means nothing. Of SMMUv3 such a record has no address.
static bool faulted(struct svm_result result, u32 pasid, bool write)
{
	if (!svm_engine_refused(result) || poll_until(last_fault.text, NSEC_PER_MSEC))
		return false;
	struct iommu_fault fault = last_fault;

	last_fault.text = NULL;
	pr_info("%s\n", fault.text);
	return fault.kind == IOMMU_FAULT_PASID && fault.bdf == engine.pci.bdf && fault.has_pasid && fault.pasid == pasid &&
	       (!fault.has_address || (fault.address == ADDRESS && fault.write == write));
}

static void show_two(void)
{
	struct mm_struct *one = make_space(0x1111), *two = make_space(0x2222);
	struct iommu_sva first = { 0 }, second = { 0 };
	u64 value = 0;

	if (!report(iommu_sva_bind(&first, &device, one) == 0 && iommu_sva_bind(&second, &device, two) == 0,
		    "two address spaces are bound"))
		return;
	report(first.pasid != second.pasid, "each has a PASID of its own");
	report(device_reads(first.pasid).value == 0x1111 && device_reads(second.pasid).value == 0x2222,
	       "one address, two PASIDs: the device finds two pages");
	device_writes(second.pasid, 0x3333);
	copy_from_user(two, &value, ADDRESS, sizeof(value));
	report(value == 0x3333 && device_reads(first.pasid).value == 0x1111, "what it writes to one, the other does not see");

	u32 pasid = first.pasid;

	iommu_sva_unbind(&first);
	report(faulted(device_writes(pasid, 0x4444), pasid, true), "after unbind a write faults, with its PASID");
	report(faulted(device_reads(pasid), pasid, false), "and a read");
	value = 0;
	copy_from_user(one, &value, ADDRESS, sizeof(value));
	report(value == 0x1111, "nothing was written");
	report(device_reads(second.pasid).value == 0x3333, "the other PASID still works");
	iommu_sva_bind(&first, &device, one);
	report(device_reads(first.pasid).value == 0x1111, "bound again, the device finds its page");
	iommu_sva_unbind(&first);
	iommu_sva_unbind(&second);
	mmput(one);
	mmput(two);
}

static void show_many(void)
{
	static struct iommu_sva bound[MANY];
	static struct mm_struct *spaces[MANY];
	u32 failures = 0, wrong = 0;

	for (u32 i = 0; i < MANY; i++) {
		spaces[i] = make_space(i * 3ull);
		failures += iommu_sva_bind(&bound[i], &device, spaces[i]) != 0;
	}
	report(failures == 0, "%u address spaces are bound at once", MANY);
	for (u32 i = 0; i < MANY; i++)
		wrong += device_reads(bound[i].pasid).value != i * 3ull;
	report(wrong == 0, "under each PASID the device finds the page of its space");
	for (u32 i = 0; i < MANY; i += 2)
		iommu_sva_unbind(&bound[i]);
	for (u32 i = 1; i < MANY; i += 2)
		wrong += device_reads(bound[i].pasid).value != i * 3ull;
	report(wrong == 0, "with every other one unbound, the rest still work");
	// An address space that ends takes its bindings along.
	for (u32 i = 0; i < MANY; i++)
		mmput(spaces[i]);
	report(faulted(device_reads(bound[1].pasid), bound[1].pasid, false),
	       "after the end of an address space its PASID faults");
}

int main(void)
{
	struct iommu *iommu = iommu_probe();

	if (!iommu || svm_engine_probe(&engine, 0) || iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID) ||
	    iommu_enable(iommu))
		report_bail_out("an svm-engine behind an IOMMU with PASIDs is needed");
	iommu->on_fault = on_fault;
	show_two();
	show_many();
	report(faulted(device_reads(NEVER_BOUND), NEVER_BOUND, false), "so does one far from all others, which never had any");
	iommu_detach(&device);
	iommu_disable(iommu);
	return 0;
}
