// SPDX-License-Identifier: MIT
/*
 * A driver on a virtual config space: where the plan has PASID, ATS and PRI, what they say, what becomes of enables in the right order
 * and in every wrong one, and that nothing of it moves in a reset. Arguments: where pasid, ats and pri are expected, in hex, and the width
 * of a PASID: `e00 e10 e20 16`. Controls of an assigned device are virtual, and those of the device are its host's: a fifth argument
 * says what follows of them. `caught`: requests are looked at on their way. `nested`: the device does what its host lets it do, whatever
 * the guest has switched off. `shadow`: so it does, and keeps translations as long as its host has them mapped.
 */
#define pr_fmt(format) "vconfig: " format
#include <stdlib.h>
#include <string.h>
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>

#define PASID 7
#define AREA 0x40000000u
#define AREA_PAGES 32
#define CONFIG_BYTES 4096
/// At most as many headers fit behind 100h.
#define MOST_CAPABILITIES 960

static struct iommu *iommu;
static struct iommu_device device;
static struct svm_engine engine;
static struct mm_struct *mm;
static u16 bdf, pasid, ats, pri;
static u32 page; /* next one that nobody has touched */
static struct iommu_page_request unanswered;
static bool silent;
static bool caught, nested, shadow;

static void on_page_request(struct iommu *asked, const struct iommu_page_request *request)
{
	if (silent) {
		unanswered = *request;
		return;
	}
	bool bad = handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0);

	if (request->last)
		iommu_page_response(asked, request, bad ? IOMMU_PAGE_INVALID : IOMMU_PAGE_SUCCESS);
}

// Registers of the three, by what they are.

static u16 pasid_control(void)
{
	return pci_read16(bdf, pasid + PCI_PASID + 2);
}

static void set_pasid(u16 value)
{
	pci_write16(bdf, pasid + PCI_PASID + 2, value);
}

static u16 ats_control(void)
{
	return pci_read16(bdf, ats + PCI_ATS + 2);
}

static void set_ats(u16 value)
{
	pci_write16(bdf, ats + PCI_ATS + 2, value);
}

static u32 pri_state(void)
{
	return pci_read32(bdf, pri + PCI_PRI);
}

static void set_pri(u16 value)
{
	pci_write16(bdf, pri + PCI_PRI, value);
}

static void set_allocation(u32 requests)
{
	pci_write32(bdf, pri + PCI_PRI_ALLOCATION, requests);
}

#define ATS_ON 0x8000
#define PASID_ON 1
#define PASID_PRIV_ON 4
#define PRI_ON 1

static void all_off(void)
{
	set_pri(0);
	set_ats(0);
	set_pasid(0);
}

// Operations: a write of 8 bytes somewhere.

static struct svm_result write_at(u32 id, u32 address, u32 more)
{
	u32 control = id == IOMMU_NO_PASID ? 0 : SVM_WITH_PASID;

	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = control | more, .pasid = id, .dst = address,
						 .size = 8, .operand = 0x1234 });
}

/// To a page that is there.
static u8 plain(u32 id)
{
	return write_at(id, AREA, 0).error;
}

/// To a page that has to be asked for.
static struct svm_result asking(void)
{
	return write_at(PASID, AREA + page++ * PAGE_SIZE, SVM_ASKS_PAGES);
}

// What is shown.

static u32 number(const char *text, int base)
{
	return (u32)strtoul(text, NULL, base);
}

static void show_chain(char **expected)
{
	u32 found[3] = { 0 }, steps = 0;
	u16 at = 0x100;
	bool inside = true;

	while (at && steps++ < MOST_CAPABILITIES) {
		u32 header = pci_read32(bdf, at);

		inside = inside && at >= 0x100 && !(at & 3);
		found[0] += (header & 0xffff) == PCI_EXT_CAP_ID_PASID;
		found[1] += (header & 0xffff) == PCI_EXT_CAP_ID_ATS;
		found[2] += (header & 0xffff) == PCI_EXT_CAP_ID_PRI;
		at = (u16)(header >> 20);
	}
	report(inside && steps < MOST_CAPABILITIES, "the chain of extended capabilities ends");
	report(found[0] == 1 && found[1] == 1 && found[2] == 1, "PASID, ATS and PRI are in it, each once");
	report(pasid == number(expected[0], 16) && ats == number(expected[1], 16) && pri == number(expected[2], 16),
	       "where the plan has them: %x %x %x", pasid, ats, pri);
	report(pci_max_pasids(&engine.pci) == 1u << number(expected[3], 10), "PASIDs are as wide as planned");
	report(FIELD_GET(PCI_ATS_QDEPTH, pci_read32(bdf, ats + PCI_ATS)) == 0 &&
		       pci_read32(bdf, ats + PCI_ATS) & PCI_ATS_ALIGNED,
	       "ATS takes 32 invalidations at once, and asks for whole pages");
	report(pri_state() & PCI_PRI_STOPPED && pci_read32(bdf, pri + PCI_PRI_CAPACITY) > 0,
	       "page requests are stopped, and there is room for some");
}

struct path {
	bool open;
	u32 ports;
	u8 bus;
};

/// A bridge whose secondary bus it is.
static bool look_at_port(const struct pci_dev *port, void *context)
{
	struct path *path = context;
	u16 cap;

	if (!port->bridge || pci_read8(port->bdf, 0x19) != path->bus)
		return true;
	cap = pci_find_capability(port, PCI_CAP_ID_PCIE);
	path->ports++;
	path->open = path->open && cap && pci_read32(port->bdf, cap + PCI_DEVCAP2) & PCI_DEVCAP2_PREFIX;
	path->bus = (u8)(port->bdf >> 8);
	return true;
}

/// What an operating system looks at before it enables PASID: every port on the way passes End-End TLP prefixes.
static void show_path(void)
{
	u16 cap = pci_find_capability(&engine.pci, PCI_CAP_ID_PCIE);
	struct path path = { .open = pci_read32(bdf, cap + PCI_DEVCAP2) & PCI_DEVCAP2_PREFIX, .bus = (u8)(bdf >> 8) };

	pci_for_each(look_at_port, &path);
	report(path.open && path.ports == 1, "the function and the port above it have End-End TLP prefixes");
}

static void show_right_order(void)
{
	all_off();
	set_pasid(PASID_ON);
	report(pasid_control() == PASID_ON, "PASID first");
	report(plain(PASID) == SVM_ERROR_NONE, "a request with PASID arrives, without ATS");
	set_ats(ATS_ON);
	report(ats_control() == ATS_ON, "then ATS");
	report(plain(PASID) == SVM_ERROR_NONE, "the device translates, and it arrives");
	set_allocation(8);
	set_pri(PRI_ON);
	report(pri_state() & PCI_PRI_ENABLE && !(pri_state() & PCI_PRI_STOPPED), "then PRI");
	struct svm_result result = asking();

	report(result.error == SVM_ERROR_NONE && result.requests == 1, "a page that is not there is asked for, and comes");
	set_pri(0);
	report(pri_state() & PCI_PRI_STOPPED, "PRI stops first");
	set_ats(0);
	if (shadow)
		report(ats_control() == 0, "then ATS; the device remembers what its host has mapped");
	else
		report(!readl(engine.regs + SVM_ATC), "then ATS, and the device has forgotten");
	set_pasid(0);
	report(pasid_control() == 0, "then PASID");
	if (nested)
		report(plain(PASID) == SVM_ERROR_NONE, "requests with PASID go on, as its host lets them");
	else
		report(plain(PASID) == SVM_ERROR_DISABLED, "no request has a PASID any more");
}

static void show_pasid_after_ats(void)
{
	all_off();
	set_ats(ATS_ON);
	set_pasid(PASID_ON);
	report(pasid_control() == 0, "PASID is not enabled while ATS is on");
	if (nested)
		report(plain(PASID) == SVM_ERROR_NONE, "and a request has one all the same");
	else
		report(plain(PASID) == SVM_ERROR_DISABLED, "and no request has one");
	set_ats(0);
	set_pasid(PASID_ON);
	set_ats(ATS_ON);
	set_pasid(0);
	report(pasid_control() == PASID_ON && plain(PASID) == SVM_ERROR_NONE, "nor disabled: requests with PASID go on");
	set_ats(0);
	set_pasid(0);
	report(pasid_control() == 0, "with ATS off it can be");
}

static void show_unsupported(void)
{
	all_off();
	set_pasid(PASID_ON | PASID_PRIV_ON);
	report(pasid_control() == PASID_ON, "privileged mode is not planned, and its enable stays 0");
	report(pci_enable_pasid(&engine.pci, PCI_PASID_WANT_PRIV) == -E_OPNOTSUPP, "a driver that looks does not try");
	struct svm_result result = write_at(1u << 16, AREA, 0);

	if (nested)
		report(svm_engine_refused(result), "a PASID wider than planned is sent, and refused by the IOMMU");
	else
		report(result.error == SVM_ERROR_DISABLED, "a PASID wider than planned is not sent, though the device could");
}

static void show_unit(void)
{
	all_off();
	set_ats(ATS_ON | 1);
	set_ats(ATS_ON | 3);
	report(ats_control() == (ATS_ON | 1), "the smallest translation unit stays while ATS is on");
	set_ats(3);
	set_ats(ATS_ON);
	report(ats_control() == ATS_ON, "with ATS off it can be set");
}

static void show_allocation(void)
{
	all_off();
	set_pasid(PASID_ON);
	set_ats(ATS_ON);
	set_allocation(0);
	set_pri(PRI_ON);
	struct svm_result result = asking();

	if (nested)
		report(result.error == SVM_ERROR_NONE && result.requests == 1,
		       "enabled with nothing allocated, it asks: what is allocated is its host's");
	else if (caught)
		report(result.error == SVM_ERROR_PAGE_REQUEST_REFUSED,
		       "enabled with nothing allocated, what it asks for is refused");
	else
		report(result.error == SVM_ERROR_ABORTED && !result.requests,
		       "enabled with nothing allocated, it waits until it is aborted: no page can be asked for");
	set_allocation(8);
	report(pci_read32(bdf, pri + PCI_PRI_ALLOCATION) == 0, "and nothing is allocated while PRI is on");
	set_pri(0);
	set_allocation(8);
	set_pri(PRI_ON);
	report(asking().error == SVM_ERROR_NONE, "stopped, it can be, and pages come");
}

/// PRI is enabled only when Stopped: no request is outstanding.
static void show_stopping(void)
{
	all_off();
	set_pasid(PASID_ON);
	set_ats(ATS_ON);
	set_pri(PRI_ON);
	silent = true;
	unanswered.bdf = 0;
	svm_engine_start(&engine, 0,
			 &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES, .pasid = PASID,
					    .dst = AREA + page++ * PAGE_SIZE, .size = 8 });
	poll_until(unanswered.bdf == bdf, NSEC_PER_MSEC);
	set_pri(0);
	report(!(pri_state() & PCI_PRI_STOPPED), "disabled with a request outstanding, PRI has not stopped");
	set_pri(PRI_ON);
	report(!(pri_state() & PCI_PRI_ENABLE), "and is not enabled again");
	silent = false;
	iommu_page_response(iommu, &unanswered, IOMMU_PAGE_INVALID);
	svm_engine_wait(&engine, 0);
	report(pri_state() & PCI_PRI_STOPPED, "with the answer it has stopped");
	set_pri(PRI_ON);
	report(pri_state() & PCI_PRI_ENABLE && asking().error == SVM_ERROR_NONE, "and can be enabled");
}

static void report_without_ats(const struct svm_result *result, const char *what)
{
	if (nested)
		report(result->error == SVM_ERROR_NONE && result->requests == 1, "%s, but its host has ATS on: it asks", what);
	else
		report(result->error != SVM_ERROR_NONE && result->requests == 0, "%s", what);
}

/// Page requests come with ATS: without it a device has no translation that is missing.
static void show_pri_alone(void)
{
	struct svm_result result;

	all_off();
	set_pasid(PASID_ON);
	set_pri(PRI_ON);
	result = asking();
	report_without_ats(&result, "PRI without ATS asks for nothing");
	set_ats(ATS_ON);
	report(asking().error == SVM_ERROR_NONE, "with ATS it does");
	set_ats(0);
	result = asking();
	report_without_ats(&result, "ATS off before PRI: it asks for nothing more");
}

static u32 before[CONFIG_BYTES / 4];

/// All that does not depend on what software has set: the first config dwords have BARs and Command.
static u32 differences(void)
{
	u32 count = 0;

	for (u16 at = 0x40; at < CONFIG_BYTES; at += 4)
		count += pci_read32(bdf, at) != before[at / 4];
	return count;
}

static void show_stability(void)
{
	u16 cap = pci_find_capability(&engine.pci, PCI_CAP_ID_PCIE);

	for (u16 at = 0; at < CONFIG_BYTES; at += 4)
		before[at / 4] = pci_read32(bdf, at);
	// Every read-only bit there is; 104h and up: what lies at 40h to ffh has effects.
	for (u16 at = 0x100; at < CONFIG_BYTES; at += 4)
		if (at != pasid + PCI_PASID && at != ats + PCI_ATS && at != pri + PCI_PRI && at != pri + PCI_PRI_ALLOCATION)
			pci_write32(bdf, at, 0xffffffff);
	report(differences() == 0, "what is read-only keeps its value");
	set_pasid(PASID_ON);
	set_ats(ATS_ON);
	set_pri(PRI_ON);
	report(differences() == 3, "three registers say what is on");
	pci_write16(bdf, cap + PCI_DEVCTL, pci_read16(bdf, cap + PCI_DEVCTL) | 0x8000);
	// The allocation went with it.
	before[(pri + PCI_PRI_ALLOCATION) / 4] = 0;
	report(differences() == 0, "after a Function Level Reset all is as it was, where it was");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	iommu = iommu_probe();
	if (result || !iommu)
		return -E_NODEV;
	bdf = engine.pci.bdf;
	pasid = pci_find_ext_capability(&engine.pci, PCI_EXT_CAP_ID_PASID);
	ats = pci_find_ext_capability(&engine.pci, PCI_EXT_CAP_ID_ATS);
	pri = pci_find_ext_capability(&engine.pci, PCI_EXT_CAP_ID_PRI);
	return pasid && ats && pri ? 0 : -E_NODEV;
}

static int attach(void)
{
	int result;

	iommu->on_page_request = on_page_request;
	result = iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI);
	if (!result)
		result = iommu_bind(&device, PASID, virt_to_phys(mm->pgd), 0);
	return result ? result : iommu_enable(iommu);
}

int main(int argc, char **argv)
{
	mm = mm_alloc();
	if (argc < 5 || !mm || start() ||
	    !mm_map(mm, AREA, AREA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0))
		report_bail_out("an svm-engine with a planned config space is needed, and where it has what");
	caught = argc > 5 && !strcmp(argv[5], "caught");
	shadow = argc > 5 && !strcmp(argv[5], "shadow");
	nested = shadow || (argc > 5 && !strcmp(argv[5], "nested"));
	show_chain(argv + 1);
	show_path();
	if (attach() || handle_mm_fault(mm, AREA, FAULT_FLAG_WRITE))
		report_bail_out("an IOMMU with PASIDs, ATS and page requests is needed");
	page = 1;
	show_right_order();
	show_pasid_after_ats();
	show_unsupported();
	show_unit();
	show_allocation();
	show_stopping();
	show_pri_alone();
	all_off();
	show_stability();
	return 0;
}
