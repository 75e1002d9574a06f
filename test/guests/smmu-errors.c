// SPDX-License-Identifier: MIT
// Global errors, command errors, overflow of the queues, interrupts and MSIs of the SMMU, as a driver sees them
// (SMMUv3: SMMU_GERROR; Command queue errors; Event queue overflow; PRI queue overflow).
#define pr_fmt(format) "errors: " format
#include "smmu-rig.h"

#define IRQ_GERROR 1
#define IRQ_PRI 2
#define IRQ_EVENT 4
#define MSI_DATA 0xc0de0000u

static struct smmu_rig r;
static volatile u32 *message; /* where MSIs go */

static u32 reg(u32 offset) { return readl(r.unit.regs + offset); }
static void set(u32 offset, u32 value) { writel(value, r.unit.regs + offset); }
static u32 active(void) { return reg(SMMU_GERROR) ^ reg(SMMU_GERRORN); }
static void acknowledge(void) { set(SMMU_GERRORN, reg(SMMU_GERROR)); }

static void check(bool good, const char *name)
{
	if (!report(good, "%s", name))
		pr_err("GERROR %08x GERRORN %08x CONS %08x EVENTQ %08x %08x PRIQ %08x %08x message %08x\n", reg(SMMU_GERROR),
		       reg(SMMU_GERRORN), reg(SMMU_CMDQ_CONS), reg(SMMU_EVENTQ_PROD), reg(SMMU_EVENTQ_CONS),
		       reg(SMMU_PRIQ_PROD), reg(SMMU_PRIQ_CONS), *message);
}

// --- the command queue ------------------------------------------------------------------------------------------------

/// One command that the queue stops at; it is replaced and the error acknowledged.
static void command_error(u64 lo, u64 hi, u32 error, const char *name)
{
	u32 at = r.unit.command_prod;

	smmu_submit(&r.unit, lo, hi);
	// An answer may have to be waited for.
	for (u32 i = 0; i < 100 && !(active() & 1); i++)
		ndelay(1000000);
	u32 cons = reg(SMMU_CMDQ_CONS);

	check(active() == 1 && cons >> 24 == error && (cons & 0xfffff) == at, name);
	r.unit.commands[at & 255] = (struct smmu_command){ .lo = SMMU_CMD_TLBI_NSNH_ALL };
	acknowledge();
	if (active() || (reg(SMMU_CMDQ_CONS) & 0xfffff) != r.unit.command_prod)
		report(false, "%s: and goes on after it", name);
}

static void test_commands(void)
{
	static const struct {
		u64 lo, hi;
		const char *name;
	} ill[] = {
		{ 0x00, 0, "CERROR 1 opcode 00h" },
		{ 0x7f, 0, "CERROR 1 an unknown opcode" },
		{ 0x07, 0, "CERROR 1 CMD_CFGI_VMS_PIDM without MPAM" },
		{ 0x18, 0, "CERROR 1 CMD_TLBI_EL3_ALL in a Non-secure queue" },
		{ 0x50, 0, "CERROR 1 a Secure command" },
		{ 0x70, 0, "CERROR 1 CMD_DPTI_ALL without DPT" },
		{ 0x403, 0, "CERROR 1 SSec in a Non-secure queue" },
		{ 0x80000003, 0, "CERROR 1 a reserved bit" },
		{ 0x12, 0x400, "CERROR 1 TG with NUM, SCALE and TTL of 0" },
		{ 0x1012, 0, "CERROR 1 NUM without TG" },
		{ 0x40, 53, "CERROR 1 CMD_ATC_INV with Size 53" },
		{ 0x41, 0x3000, "CERROR 1 CMD_PRI_RESP with Resp 3" },
		{ 0x3046, 0, "CERROR 1 CMD_SYNC with CS 3" },
	};

	for (u32 i = 0; i < ARRAY_SIZE(ill); i++)
		command_error(ill[i].lo, ill[i].hi, 1, ill[i].name);

	// Of a function that is not there nobody hears that it is done.
	smmu_submit(&r.unit, 0x40 | 0xff00ull << 32, 52);
	command_error(SMMU_CMD_SYNC, 0, 3, "CERROR 3 a CMD_SYNC after a CMD_ATC_INV that nobody completed");

	u64 base = readq(r.unit.regs + SMMU_CMDQ_BASE);

	smmu_control(&r.unit, SMMU_CR0_CMDQEN, false);
	writeq(NOWHERE | 8, r.unit.regs + SMMU_CMDQ_BASE);
	set(SMMU_CMDQ_PROD, 0);
	set(SMMU_CMDQ_CONS, 0);
	smmu_control(&r.unit, SMMU_CR0_CMDQEN, true);
	set(SMMU_CMDQ_PROD, 1);
	check(active() == 1 && reg(SMMU_CMDQ_CONS) == 2u << 24, "CERROR 2 the queue is not in memory");
	smmu_control(&r.unit, SMMU_CR0_CMDQEN, false);
	acknowledge();
	writeq(base, r.unit.regs + SMMU_CMDQ_BASE);
	set(SMMU_CMDQ_PROD, 0);
	set(SMMU_CMDQ_CONS, 0);
	r.unit.command_prod = 0;
	smmu_control(&r.unit, SMMU_CR0_CMDQEN, true);
	report(smmu_sync(&r.unit) == 0, "the queue works again");
}

// --- the event queue --------------------------------------------------------------------------------------------------

static u32 events;

static void on_event(u32 vector __maybe_unused, void *context __maybe_unused) { events++; }

/// Anew at `base`, empty.
static void event_queue(u64 base)
{
	smmu_control(&r.unit, SMMU_CR0_EVENTQEN, false);
	writeq(base, r.unit.regs + SMMU_EVENTQ_BASE);
	set(SMMU_EVENTQ_PROD, 0);
	set(SMMU_EVENTQ_CONS, 0);
	r.unit.event_cons = 0;
	smmu_control(&r.unit, SMMU_CR0_EVENTQEN, true);
}

static void fault(void) { engine_send(&r.engine, WRITE, PASID, 0x1000); }

static void test_events(void)
{
	u64 base = readq(r.unit.regs + SMMU_EVENTQ_BASE);

	event_queue(virt_to_phys(r.spare) | 1);
	fault();
	fault();
	check(reg(SMMU_EVENTQ_PROD) == 2 && !active(), "two events fill a queue of two");
	fault();
	check(reg(SMMU_EVENTQ_PROD) == 0x80000002 && !active(), "OVFLG of the event queue: a third is lost");
	set(SMMU_EVENTQ_CONS, 1);
	fault();
	check(reg(SMMU_EVENTQ_PROD) == 0x80000003, "there is room again, and OVFLG stays");
	fault();
	check(reg(SMMU_EVENTQ_PROD) == 0x80000003, "OVFLG is toggled once until it is acknowledged");
	set(SMMU_EVENTQ_CONS, 0x80000001);
	fault();
	check(reg(SMMU_EVENTQ_PROD) == 3, "acknowledged, the next overflow toggles it back");

	event_queue(NOWHERE | 1);
	fault();
	check(active() == 4 && reg(SMMU_EVENTQ_PROD) == 0, "GERROR 2 EVENTQ_ABT_ERR, and PROD stays");
	fault();
	check(active() == 4 && reg(SMMU_EVENTQ_PROD) == 0, "until it is acknowledged nothing is written");
	acknowledge();
	event_queue(base);

	// Wired: edges when the queue stops to be empty.
	request_irq(r.unit.event_vector, on_event, NULL);
	set(SMMU_IRQ_CTRL, IRQ_EVENT);
	fault();
	fault();
	cpu_relax();
	report(events == 1, "one interrupt for an empty queue that is not");
	set(SMMU_EVENTQ_CONS, reg(SMMU_EVENTQ_PROD));
	fault();
	cpu_relax();
	report(events == 2, "and one more after it was emptied");
	set(SMMU_IRQ_CTRL, 0);
	set(SMMU_EVENTQ_CONS, reg(SMMU_EVENTQ_PROD));
	fault();
	cpu_relax();
	report(events == 2, "none while EVENTQ_IRQEN is 0");
	set(SMMU_EVENTQ_CONS, reg(SMMU_EVENTQ_PROD));
}

// --- MSIs -------------------------------------------------------------------------------------------------------------

static void msi(u32 config, u64 address, u32 data)
{
	writeq(address, r.unit.regs + config);
	set(config + 8, data);
}

static void test_messages(void)
{
	u64 here = virt_to_phys((void *)message);

	msi(SMMU_EVENTQ_IRQ_CFG0, here, MSI_DATA);
	msi(SMMU_GERROR_IRQ_CFG0, here + 4, MSI_DATA + 1);
	set(SMMU_IRQ_CTRL, IRQ_EVENT | IRQ_GERROR);
	fault();
	check(message[0] == MSI_DATA && events == 2, "an MSI of the event queue, and no wire");
	msi(SMMU_EVENTQ_IRQ_CFG0, NOWHERE, 0);
	check(readq(r.unit.regs + SMMU_EVENTQ_IRQ_CFG0) == here, "EVENTQ_IRQ_CFG0 cannot be written while EVENTQ_IRQEN is 1");
	smmu_submit(&r.unit, 0x7f, 0);
	check(message[1] == MSI_DATA + 1 && active() == 1, "an MSI of GERROR");
	r.unit.commands[(r.unit.command_prod - 1) & 255].lo = SMMU_CMD_SYNC;
	acknowledge();

	smmu_submit(&r.unit, 0x1046 | (u64)(MSI_DATA + 2) << 32, here + 8);
	check(message[2] == MSI_DATA + 2 && !active(), "an MSI of CMD_SYNC");

	set(SMMU_IRQ_CTRL, 0);
	msi(SMMU_EVENTQ_IRQ_CFG0, NOWHERE, 0);
	set(SMMU_IRQ_CTRL, IRQ_EVENT | IRQ_GERROR);
	set(SMMU_EVENTQ_CONS, reg(SMMU_EVENTQ_PROD));
	message[1] = 0;
	fault();
	check(active() == 0x20 && message[1] == MSI_DATA + 1, "GERROR 5 MSI_EVENTQ_ABT_ERR, with an interrupt");
	acknowledge();
	smmu_submit(&r.unit, 0x1046, NOWHERE);
	check(active() == 0x10, "GERROR 4 MSI_CMDQ_ABT_ERR");
	acknowledge();
	set(SMMU_IRQ_CTRL, IRQ_EVENT);
	msi(SMMU_GERROR_IRQ_CFG0, NOWHERE, 0);
	set(SMMU_IRQ_CTRL, IRQ_GERROR);
	smmu_submit(&r.unit, 0x7f, 0);
	check(active() == 0x81, "GERROR 7 MSI_GERROR_ABT_ERR");
	r.unit.commands[(r.unit.command_prod - 1) & 255].lo = SMMU_CMD_SYNC;
	acknowledge();
	set(SMMU_IRQ_CTRL, 0);
	set(SMMU_EVENTQ_CONS, reg(SMMU_EVENTQ_PROD));
}

// --- the PRI queue ----------------------------------------------------------------------------------------------------

static void request_queue(u64 base)
{
	smmu_control(&r.unit, SMMU_CR0_PRIQEN, false);
	writeq(base, r.unit.regs + SMMU_PRIQ_BASE);
	set(SMMU_PRIQ_PROD, 0);
	set(SMMU_PRIQ_CONS, 0);
	smmu_control(&r.unit, SMMU_CR0_PRIQEN, true);
}

/// The answer of a page request, or FFh: it waits for one, and gets it by CMD_PRI_RESP.
static u8 answer(void)
{
	struct svm_job job = { .pasid = PASID, .dst = IOVA, .size = 4, .op = SVM_OP_PAGE_REQUEST,
			       .control = SVM_WITH_PASID | SVM_WRITE | SVM_FRAME_CONTROL_LAST };

	svm_engine_start(&r.engine, 0, &job);
	struct svm_result result = svm_engine_result(&r.engine, 0);

	if (result.answered)
		return result.response;
	smmu_submit(&r.unit, SMMU_CMD_PRI_RESP | 1 << 11 | (u64)PASID << 12 | (u64)r.sid << 32, 2 << 12 | result.group);
	smmu_sync(&r.unit);
	if (svm_engine_wait(&r.engine, 0).error != SVM_ERROR_NONE)
		report(false, "CMD_PRI_RESP arrives");
	return 0xff;
}

#define FEATURES (SVM_ENGINE_PASID | SVM_ENGINE_PRIVILEGED | SVM_ENGINE_ATS | SVM_ENGINE_PRI)

/// A function asks no more after Response Failure (PCIe: Page Request Status).
static void revive(void)
{
	svm_engine_disable(&r.engine);
	if (svm_engine_enable(&r.engine, FEATURES))
		report_bail_out("the engine has no page requests");
}

static void test_requests(void)
{
	u64 here = virt_to_phys((void *)message);
	volatile u64 *entry = (volatile u64 *)r.spare;

	report(answer() == 15, "with PRIQEN = 0 a page request is answered with failure");
	revive();
	request_queue(virt_to_phys(r.spare) | 1);
	report(answer() == 0xff && entry[0] == (r.sid | (u64)PASID << 32 | 0xeull << 60) &&
		       (entry[1] & PAGE_MASK) == IOVA,
	       "an entry of the PRI queue: W, Last, SSV, PASID and page");
	answer();
	check(reg(SMMU_PRIQ_PROD) == 2, "two requests fill a queue of two");
	report(answer() == 0 && reg(SMMU_PRIQ_PROD) == 0x80000002,
	       "OVFLG of the PRI queue: the third is answered with success");
	set(SMMU_PRIQ_CONS, 2);
	report(answer() == 0 && reg(SMMU_PRIQ_PROD) == 0x80000002, "until OVFLG is acknowledged nothing is written");
	set(SMMU_PRIQ_CONS, 0x80000002);
	msi(SMMU_PRIQ_IRQ_CFG0, here + 12, MSI_DATA + 3);
	set(SMMU_IRQ_CTRL, IRQ_PRI);
	answer();
	check(reg(SMMU_PRIQ_PROD) == 0x80000003 && message[3] == MSI_DATA + 3, "then they are, with an MSI");
	set(SMMU_IRQ_CTRL, 0);
	msi(SMMU_PRIQ_IRQ_CFG0, NOWHERE, 0);
	set(SMMU_IRQ_CTRL, IRQ_PRI);
	set(SMMU_PRIQ_CONS, 0x80000003);
	answer();
	check(active() == 0x40, "GERROR 6 MSI_PRIQ_ABT_ERR");
	acknowledge();
	request_queue(NOWHERE | 1);
	report(answer() == 15 && active() == 8 && reg(SMMU_PRIQ_PROD) == 0, "GERROR 3 PRIQ_ABT_ERR, and the answer is failure");
	acknowledge();
	set(SMMU_IRQ_CTRL, 0);
}

int main(void)
{
	rig_start(&r);
	message = alloc_page();
	revive();
	test_commands();
	test_events();
	test_messages();
	test_requests();
	return 0;
}
