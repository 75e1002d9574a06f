// SPDX-License-Identifier: MIT
/*
 * Nested translation: virtual machines keep page tables of their own for a device that they were given, and the hypervisor keeps
 * them in their memory.
 *
 * The first stage is the guest's: tables that it writes itself, with addresses that mean something in the virtual machine only. The
 * second stage is the hypervisor's: it translates those addresses, the tables' own among them. Each side invalidates what it
 * changes: the guest by PASID, the hypervisor all of the virtual machine.
 */
#define pr_fmt(format) "nested: " format
#include <tsvmm/iommu_domain.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device svm-engine --device svm-engine");

#define PASID 1
#define VIRTUAL 0x7f0012345000ull
#define DATA 0x6666666666666666ull
#define LEVELS 4

/// Pages of a virtual machine, by number: its tables, from the root on, and its data.
enum { ROOT, DIRECTORY_POINTERS, DIRECTORY, TABLE, BUFFER, SPARE, VM_PAGES };

struct vm {
	u64 *memory; /* as the hypervisor sees it */
	struct iommu_domain domain; /* where the virtual machine's memory is */
	struct svm_engine engine;
	struct iommu_device device; /* which the engine is for the IOMMU */
};

static struct iommu *iommu;
static struct iommu_fault last_fault;

static void on_fault(const struct iommu_fault *fault)
{
	last_fault = *fault;
}

/// Virtual machines see their memory from here on.
#define VM_BASE 0x100000000ull

static u64 guest_physical(u32 page)
{
	return VM_BASE + (u64)page * PAGE_SIZE;
}

static u64 *page_of(const struct vm *vm, u32 page)
{
	return vm->memory + page * (PAGE_SIZE / sizeof(u64));
}

static u32 index_at(u32 level)
{
	return (u32)(VIRTUAL >> (PAGE_SHIFT + 9 * level)) & 511;
}

/// The guest's entry for VIRTUAL in its table of this level; 0 is the leaf.
static u64 *guest_entry(const struct vm *vm, u32 level)
{
	return &page_of(vm, LEVELS - 1 - level)[index_at(level)];
}

/// What the guest's own kernel does: addresses in its tables are guest-physical.
static void guest_maps(const struct vm *vm, u32 page)
{
	for (u32 level = LEVELS - 1; level > 0; level--)
		*guest_entry(vm, level) = pte_table(guest_physical(LEVELS - level));
	*guest_entry(vm, 0) = pte_fresh(guest_physical(page));
}

static int make_vm(struct vm *vm, u32 nth)
{
	int result = svm_engine_probe(&vm->engine, nth);

	vm->memory = alloc_pages(VM_PAGES);
	if (!result)
		result = vm->memory ? iommu_domain_init(&vm->domain, iommu, IOMMU_DOMAIN_VM) : -E_NOMEM;
	if (!result)
		result = iommu_map(&vm->domain, VM_BASE, virt_to_phys(vm->memory), VM_PAGES * PAGE_SIZE,
				   IOMMU_READ | IOMMU_WRITE);
	if (!result)
		result = iommu_attach_nested(&vm->device, iommu, &vm->engine.pci, IOMMU_DEV_PASID, &vm->domain);
	if (result)
		return result;
	guest_maps(vm, BUFFER);
	return iommu_bind(&vm->device, PASID, guest_physical(ROOT), IOMMU_BIND_MARKS);
}

static void destroy_vm(struct vm *vm)
{
	iommu_detach(&vm->device);
	iommu_domain_destroy(&vm->domain);
	free_pages(vm->memory, VM_PAGES);
}

static struct svm_result device_writes(const struct vm *vm)
{
	return svm_engine_run(&vm->engine, 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID, .pasid = PASID,
						 .dst = VIRTUAL, .size = 8, .operand = DATA });
}

static bool arrives_in(const struct vm *vm, u32 page)
{
	*page_of(vm, BUFFER) = 0;
	*page_of(vm, SPARE) = 0;
	return device_writes(vm).error == SVM_ERROR_NONE && *page_of(vm, page) == DATA;
}

/// Whatever stage refuses: the record has the address the device used.
static bool faults(const struct vm *vm, u8 stage)
{
	struct svm_result result = device_writes(vm);

	poll_until(last_fault.text, NSEC_PER_MSEC);
	struct iommu_fault fault = last_fault;

	last_fault.text = NULL;
	if (fault.text)
		pr_info("%s\n", fault.text);
	return fault.text && svm_engine_refused(result) && fault.kind == IOMMU_FAULT_ACCESS &&
	       (fault.stage == stage || !fault.stage) && fault.bdf == vm->engine.pci.bdf && fault.pasid == PASID &&
	       fault.address == VIRTUAL && fault.write;
}

static void show_two_stages(const struct vm *one, const struct vm *two)
{
	report(arrives_in(one, BUFFER), "a virtual address goes through the guest's tables and the hypervisor's");
	report(*page_of(two, BUFFER) == 0, "another virtual machine is not touched");
	report(arrives_in(two, BUFFER), "it has tables of its own at the same addresses");
	report(pte_is_used(*guest_entry(one, 0)) && pte_is_written(*guest_entry(one, 0)),
	       "the device's accesses show in the guest's tables: used, and written");
}

static void show_guest_changes(struct vm *vm)
{
	guest_maps(vm, SPARE);
	report(arrives_in(vm, BUFFER), "the guest maps another page: until it says so the old one counts");
	iommu_flush(&vm->device, PASID, VIRTUAL, PAGE_SIZE);
	report(arrives_in(vm, SPARE), "the guest invalidates a page of its PASID");
	*guest_entry(vm, 0) = 0;
	iommu_flush(&vm->device, PASID, VIRTUAL, PAGE_SIZE);
	report(faults(vm, 1), "the guest unmaps it: a fault of the first stage");
	guest_maps(vm, BUFFER);
	report(arrives_in(vm, BUFFER), "what becomes present needs no invalidation");
}

/// Writes the hypervisor's entry for a page of the virtual machine, and invalidates all of that.
static u64 hypervisor_sets(struct vm *vm, u32 page, u64 entry)
{
	volatile u64 *leaf = iommu_entry(&vm->domain, guest_physical(page), 1);
	u64 before = *leaf;

	*leaf = entry;
	iommu_flush_domain(&vm->domain, IOMMU_SCOPE_DOMAIN, 0);
	return before;
}

static u64 entry_for(const struct vm *vm, u32 page, u32 access)
{
	return iommu_page_entry(&vm->domain, virt_to_phys(page_of(vm, page)), access);
}

static void show_hypervisor_changes(struct vm *vm)
{
	u64 before = hypervisor_sets(vm, BUFFER, 0);

	report(faults(vm, 2), "the hypervisor takes the data page: a fault of the second stage");
	hypervisor_sets(vm, BUFFER, entry_for(vm, BUFFER, IOMMU_READ));
	report(faults(vm, 2), "it makes it read-only: that the guest allows writing is not enough");
	// Swapped out and in again elsewhere: the guest's tables stay what they are.
	memcpy(page_of(vm, SPARE), page_of(vm, BUFFER), PAGE_SIZE);
	hypervisor_sets(vm, BUFFER, entry_for(vm, SPARE, IOMMU_READ | IOMMU_WRITE));
	report(arrives_in(vm, SPARE), "it moves the page: the guest need not know");
	hypervisor_sets(vm, BUFFER, before);

	before = hypervisor_sets(vm, TABLE, 0);
	report(faults(vm, 2), "it takes a page that holds a table of the guest");
	hypervisor_sets(vm, TABLE, entry_for(vm, TABLE, IOMMU_READ));
	report(arrives_in(vm, BUFFER), "a read-only table is read");
	*guest_entry(vm, 0) = pte_unmarked(*guest_entry(vm, 0));
	iommu_flush_domain(&vm->domain, IOMMU_SCOPE_DOMAIN, 0);
	report(faults(vm, 2), "but its entries cannot be marked as used");
	hypervisor_sets(vm, TABLE, before);
	report(arrives_in(vm, BUFFER) && pte_is_used(*guest_entry(vm, 0)), "writable again, they are");
}

static void show_end(struct vm *one, struct vm *two)
{
	struct svm_result result;

	report(iommu_unbind(&one->device, PASID) == 0, "a PASID is taken away");
	result = device_writes(one);
	poll_until(last_fault.text, NSEC_PER_MSEC);
	report(svm_engine_refused(result) && last_fault.kind == IOMMU_FAULT_PASID && last_fault.bdf == one->engine.pci.bdf,
	       "it means nothing any more");
	report(arrives_in(two, BUFFER), "the other virtual machine's still does");
}

int main(void)
{
	static struct vm one, two;

	iommu = iommu_probe();
	if (!iommu || make_vm(&one, 0) || make_vm(&two, 1) || iommu_enable(iommu))
		report_bail_out("two svm-engines behind an IOMMU with nested translation are needed");
	iommu->on_fault = on_fault;
	show_two_stages(&one, &two);
	show_guest_changes(&one);
	show_hypervisor_changes(&one);
	show_end(&one, &two);
	destroy_vm(&one);
	destroy_vm(&two);
	iommu_disable(iommu);
	return 0;
}
