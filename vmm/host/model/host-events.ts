import { PCI_EVENTS } from '../../../devices/pci/events.ts';
import type { EventBinder, Tracer } from '../../trace/tracer.ts';

/** Names of events of a host begin with it: those of its units, and of what its kernel does with configuration spaces. */
export const HOST_EVENT = 'host_';

/** For what the host has for itself. */
export function ofHost(tracer: Tracer): EventBinder {
  return { bind: (table) => tracer.bindAs(HOST_EVENT, table) };
}

/** For functions that it may give away: what a device does has the same name whoever has it. */
export function ofFunctions(tracer: Tracer): EventBinder {
  return {
    bind: (table) =>
      (table as object) === PCI_EVENTS ? tracer.bindAs(HOST_EVENT, table) : tracer.bind(table),
  };
}
