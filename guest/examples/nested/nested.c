// SPDX-License-Identifier: MIT
/*
 * Nested translation: a virtual machine keeps its own page tables for its device, and the hypervisor keeps it in its memory.
 *
 * The first stage is the guest's: tables that it writes itself, with addresses that mean something in the virtual machine only. The
 * second stage is the hypervisor's: it translates those addresses, the tables' own among them. A PASID table entry of type nested
 * names both. Each side invalidates what it changes: the guest by PASID, the hypervisor by domain.
 */
#define pr_fmt(format) "nested: " format
#include <tsvmm.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

TSVMM_MACHINE("--viommu intel,svm=on --device svm-engine");

#define VIRTUAL 0x7f0012345000ull
#define DATA 0x6666666666666666ull
#define LEVELS 4

// x86 page tables, which the first stage uses.
#define P BIT_ULL(0)
#define W BIT_ULL(1)
#define U BIT_ULL(2)
#define A BIT_ULL(5)
#define D BIT_ULL(6)

// VT-d fault reasons.
#define NO_TABLE_WRITE 0x77
#define NO_SECOND_STAGE 0x79
#define WRITE_DENIED 0x85
#define NOT_PRESENT 0x71

/// Pages of a virtual machine, by number: its tables, from the root on, and its data.
enum { ROOT, DIRECTORY_POINTERS, DIRECTORY, TABLE, BUFFER, SPARE, VM_PAGES };

struct vm {
	u32 pasid;
	u64 *memory; /* as the hypervisor sees it */
	struct vtd_domain domain; /* where the virtual machine's memory is */
};

static struct vtd_unit unit;
static struct vtd_pasid_table table;
static struct svm_engine engine;

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
		*guest_entry(vm, level) = guest_physical(LEVELS - level) | P | W | U;
	*guest_entry(vm, 0) = guest_physical(page) | P | W | U;
}

static int make_vm(struct vm *vm, u32 pasid)
{
	int result;

	vm->pasid = pasid;
	vm->memory = alloc_pages(VM_PAGES);
	result = vm->memory ? vtd_domain_init(&vm->domain, &unit, (u16)(pasid + 10), 48) : -E_NOMEM;
	if (!result)
		result = vtd_map(&vm->domain, VM_BASE, virt_to_phys(vm->memory), VM_PAGES * PAGE_SIZE, VTD_READ | VTD_WRITE);
	guest_maps(vm, BUFFER);
	return result ? result : vtd_pasid_nested(&table, pasid, &vm->domain, guest_physical(ROOT), 0);
}

static struct svm_result device_writes(const struct vm *vm)
{
	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID, .pasid = vm->pasid,
						 .dst = VIRTUAL, .size = 8, .operand = DATA });
}

static bool arrives_in(const struct vm *vm, u32 page)
{
	*page_of(vm, BUFFER) = 0;
	*page_of(vm, SPARE) = 0;
	return device_writes(vm).error == SVM_ERROR_NONE && *page_of(vm, page) == DATA;
}

/// Whatever stage refuses: the record has the address the device used.
static bool faults(const struct vm *vm, u8 reason)
{
	struct svm_result result = device_writes(vm);
	struct vtd_fault fault;
	bool seen = vtd_read_fault(&unit, &fault);

	if (seen)
		pr_info("%s\n", vtd_fault_reason(fault.reason));
	return seen && result.error == SVM_ERROR_UNSUPPORTED_REQUEST && fault.reason == reason &&
	       fault.pasid == vm->pasid && fault.address == VIRTUAL && !fault.read;
}

static void show_two_stages(const struct vm *one, const struct vm *two)
{
	report(arrives_in(one, BUFFER), "a virtual address goes through the guest's tables and the hypervisor's");
	report(*page_of(two, BUFFER) == 0, "another virtual machine is not touched");
	report(arrives_in(two, BUFFER), "it has tables of its own at the same addresses");
	report((*guest_entry(one, 0) & (A | D)) == (A | D) && (*guest_entry(one, 3) & (A | D)) == A,
	       "the device's accesses show in the guest's tables: accessed, and dirty where it wrote");
}

static void show_guest_changes(const struct vm *vm)
{
	guest_maps(vm, SPARE);
	report(arrives_in(vm, BUFFER), "the guest maps another page: until it says so the old one counts");
	vtd_flush_piotlb_pages(&unit, vm->domain.id, vm->pasid, VIRTUAL, PAGE_SIZE, true);
	report(arrives_in(vm, SPARE), "the guest invalidates a page of its PASID");
	*guest_entry(vm, 0) = 0;
	vtd_flush_piotlb_pages(&unit, vm->domain.id, vm->pasid, VIRTUAL, PAGE_SIZE, true);
	report(faults(vm, NOT_PRESENT), "the guest unmaps it: a fault of the first stage");
	guest_maps(vm, BUFFER);
	report(arrives_in(vm, BUFFER), "what becomes present needs no invalidation");
}

/// Writes the hypervisor's entry for a page of the virtual machine, and invalidates the domain.
static u64 hypervisor_sets(struct vm *vm, u32 page, u64 entry)
{
	volatile u64 *leaf = vtd_leaf(&vm->domain, guest_physical(page));
	u64 before = *leaf;

	*leaf = entry;
	vtd_flush_iotlb_domain(&unit, vm->domain.id);
	return before;
}

static void show_hypervisor_changes(struct vm *vm)
{
	u64 before = hypervisor_sets(vm, BUFFER, 0);

	report(faults(vm, NO_SECOND_STAGE), "the hypervisor takes the data page: a fault of the second stage");
	hypervisor_sets(vm, BUFFER, before & ~(u64)VTD_WRITE);
	report(faults(vm, WRITE_DENIED), "it makes it read-only: the guest's W is not enough");
	// Swapped out and in again elsewhere: the guest's tables stay what they are.
	memcpy(page_of(vm, SPARE), page_of(vm, BUFFER), PAGE_SIZE);
	hypervisor_sets(vm, BUFFER, virt_to_phys(page_of(vm, SPARE)) | VTD_READ | VTD_WRITE);
	report(arrives_in(vm, SPARE), "it moves the page: the guest need not know");
	hypervisor_sets(vm, BUFFER, before);

	before = hypervisor_sets(vm, DIRECTORY, 0);
	report(faults(vm, NO_SECOND_STAGE), "it takes a page that holds a table of the guest");
	hypervisor_sets(vm, DIRECTORY, before & ~(u64)VTD_WRITE);
	report(arrives_in(vm, BUFFER), "a read-only table is read");
	*guest_entry(vm, 1) &= ~A;
	vtd_flush_iotlb_domain(&unit, vm->domain.id);
	report(faults(vm, NO_TABLE_WRITE), "but its accessed bits cannot be set");
	hypervisor_sets(vm, DIRECTORY, before);
	report(arrives_in(vm, BUFFER) && *guest_entry(vm, 1) & A, "writable again, they are");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	if (!result)
		result = vtd_init(&unit, dmar_find_unit(engine.pci.bdf));
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result && !(unit.ecap & VTD_ECAP_NEST))
		result = -E_OPNOTSUPP;
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_pasid_table_init(&table, &unit, engine.pci.bdf, 13);
	if (!result)
		result = vtd_attach_pasid_table(&table, VTD_ATTACH_PASID);
	if (!result)
		result = vtd_enable_translation(&unit);
	return result ? result : svm_engine_enable(&engine, SVM_ENGINE_PASID);
}

int main(void)
{
	static struct vm one, two;

	if (start() || make_vm(&one, 1) || make_vm(&two, 2))
		report_bail_out("an svm-engine behind VT-d with nested translation is needed");
	show_two_stages(&one, &two);
	show_guest_changes(&one);
	show_hypervisor_changes(&one);
	report(vtd_pasid_clear(&table, 1) == 0 && faults(&one, 0x59), "a PASID taken away means nothing any more");
	report(arrives_in(&two, BUFFER), "the other virtual machine's still does");
	vtd_pasid_clear(&table, 2);
	svm_engine_disable(&engine);
	vtd_detach_pasid_table(&table);
	vtd_destroy(&unit);
	return 0;
}
