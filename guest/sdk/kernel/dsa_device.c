// SPDX-License-Identifier: MIT
// The accelerator as processes have it: a portal in their address space, and a PASID that stands for it.
#include <tsvmm/dsa_driver.h>
#include <tsvmm/kernel.h>

/// What a process has of it.
struct dsa_client {
	struct iommu_sva sva;
	struct dsa *dsa;
	u32 portal; /* where it is mapped */
};

static struct {
	struct dsa *dsa;
	u32 queue;
} shared;

/// Everything the process has submitted ends before its PASID loses its meaning.
static void drain(struct iommu_sva *sva)
{
	struct dsa_client *client = (struct dsa_client *)sva;

	dsa_command(client->dsa, DSA_CMD_DRAIN_PASID, sva->pasid);
}

static struct dsa_client *client_of(struct process *process)
{
	return process->data;
}

static s32 open_call(struct process *process, u32 a0 __maybe_unused, u32 a1 __maybe_unused, u32 a2 __maybe_unused,
		     u32 a3 __maybe_unused, u32 a4 __maybe_unused, u32 a5 __maybe_unused)
{
	struct dsa_client *client = client_of(process);
	phys_addr_t portal = dsa_portal(shared.dsa, shared.queue, true);
	int result;

	if (client)
		return (s32)client->portal;
	client = alloc_page();
	if (!client)
		return -E_NOMEM;
	client->dsa = shared.dsa;
	client->sva.stop = drain;
	result = iommu_sva_bind(&client->sva, &shared.dsa->iommu, process->mm);
	if (!result) {
		client->portal = mm_map(process->mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, VM_IO, portal);
		if (!client->portal) {
			iommu_sva_unbind(&client->sva);
			result = -E_NOMEM;
		}
	}
	if (result) {
		free_page(client);
		return result;
	}
	tsvmm_process_set_pasid(process->pid, 1u << 31 | client->sva.pasid);
	process->data = client;
	return (s32)client->portal;
}

/// A process ends with work under way, perhaps.
static void exited(struct process *process)
{
	struct dsa_client *client = client_of(process);

	if (!client)
		return;
	iommu_sva_unbind(&client->sva);
	free_page(client);
	process->data = NULL;
}

int dsa_register_device(struct dsa *dsa, u32 queue)
{
	shared.dsa = dsa;
	shared.queue = queue;
	process_exit_hook = exited;
	return register_syscall(SYSCALL_DSA_OPEN, open_call);
}
