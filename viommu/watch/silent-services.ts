import type { ExplainedFault, IommuServices } from '../../vmm/bus/iommu.ts';
import { SystemMemory } from '../../vmm/bus/memory.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';

/** The machine as a unit sees it that nobody is to notice: its memory is the guest's, all else leads nowhere. */
export function silentServices(
  { id, memory }: IommuServices,
  onFault: (fault: ExplainedFault) => void,
): IommuServices {
  const clock = new VirtualClock();
  const own = `${id} (second opinion)`;
  clock.handle(own, () => {});
  return {
    id: own,
    memory: new SystemMemory(GuestRam.unnoticed(memory.ram), memory.mmio),
    clock,
    tracer: new Tracer(() => clock.now),
    interrupts: { deliver: () => {} },
    onFault,
    provenance: { lastWriter: () => undefined, here: () => undefined },
  };
}
