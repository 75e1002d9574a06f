import { DEVICE_TLB_EVENT, DeviceTlbs } from '../../vmm/bus/device-tlbs.ts';
import type { SmmuCaches } from './caches.ts';
import { COMMAND_EVENT, CommandQueue } from './command-queue.ts';
import { Commands } from './commands.ts';
import { EventQueue } from './event-queue.ts';
import type { EventSink } from './events.ts';
import { GlobalErrors } from './gerror.ts';
import { Interrupts } from './interrupts.ts';
import { PriQueue, type ResponseRule } from './pri-queue.ts';
import { RegisterFile } from './register-file.ts';
import { Stalls } from './stalls.ts';
import type { SmmuState } from './state.ts';
import type { TableWatch } from './table-watch.ts';
import { unitFeatures } from './unit.ts';
import type { SmmuWiring } from './wiring.ts';

/** What software programs a unit through: registers, queues, interrupts; and where events and stalled transactions go. */
export interface SmmuControl {
  readonly registers: RegisterFile;
  readonly commands: CommandQueue;
  /** What they do, wherever they come from. */
  readonly work: Commands;
  readonly pages: PriQueue;
  readonly stalls: Stalls;
  readonly sink: EventSink;
}

/** @param rule what the STE of a stream says about automatic page responses */
export function smmuControl(
  s: SmmuState,
  w: SmmuWiring,
  caches: SmmuCaches,
  watch: TableWatch,
  rule: ResponseRule,
): SmmuControl {
  const features = unitFeatures(w.config);
  const interrupts = new Interrupts(s.regs, w);
  const errors = new GlobalErrors(s.regs, interrupts, w.trace.smmuv3_write_gerror);
  const events = new EventQueue(s.regs, w, errors, interrupts);
  const stalls = new Stalls(s, w, events);
  const pages = new PriQueue(s.regs, w, errors, interrupts, rule);
  const tlbs = new DeviceTlbs(s.deviceTlbs, w.services, {
    // docs/deviations.md: smmu-atc-absent.
    waits: w.config.profile !== 'qemu',
    // The architecture has no place to say so.
    unexpected: () => {},
  });
  const work = new Commands(s, w, { announce: watch, caches, tlbs, pages, stalls, features });
  const commands = new CommandQueue(s, w, {
    commands: work,
    tlbs,
    errors,
    interrupts,
  });
  return {
    registers: new RegisterFile(s, w, { caches, commands, stalls, errors, features, watch }),
    commands,
    work,
    pages,
    stalls,
    sink: {
      record(event) {
        interrupts.hold();
        return events.record(event);
      },
      stall(port, event) {
        interrupts.hold();
        return stalls.stall(port, event);
      },
      relay(words) {
        interrupts.hold();
        return events.relay(words);
      },
      settle: () => interrupts.settle(),
    },
  };
}

/** A clock event of the unit; false when it is of another part. */
export function controlEvent(control: SmmuControl, name: string): boolean {
  if (name === COMMAND_EVENT) control.commands.due();
  else if (name === DEVICE_TLB_EVENT) control.commands.timedOut();
  else return false;
  return true;
}

/** Reset of everything but the registers: nothing is held, awaited or due. */
export function resetControl(s: SmmuState, w: SmmuWiring): void {
  const { clock, id } = w.services;
  s.stalls.fill(0);
  s.stallHeads.fill(0);
  s.stallCounters.fill(0);
  s.deviceTlbs.length = 0;
  s.atcFailed = false;
  s.queueDue = false;
  clock.cancel(id, COMMAND_EVENT);
  clock.cancel(id, DEVICE_TLB_EVENT);
}
