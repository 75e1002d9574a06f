import type { EventDecl, EventName } from './command.ts';
import { BOOL, may, need, oneOf, STR } from './types.ts';

const CAUSES = [
  'host-qmp-quit',
  'host-qmp-system-reset',
  'host-signal',
  'guest-shutdown',
  'guest-reset',
  'guest-panic',
];

/** Every event a QMP client can get. */
export const EVENTS: Readonly<Record<EventName, EventDecl>> = {
  STOP: { doc: 'The machine stopped', data: {} },
  RESUME: { doc: 'The machine runs again', data: {} },
  RESET: {
    doc: 'The machine was reset; the reset is complete',
    data: {
      guest: need(BOOL, 'the guest asked for it'),
      reason: need(oneOf(...CAUSES), 'what made it reset'),
    },
  },
  SHUTDOWN: {
    doc: 'The machine ends',
    data: {
      guest: need(BOOL, 'the guest ended by itself'),
      reason: need(oneOf(...CAUSES), 'what ended it'),
    },
  },
  DEVICE_DELETED: {
    doc: 'A device is gone',
    data: { device: may(STR, 'its id'), path: need(STR, 'its path in the object tree') },
  },
  JOB_STATUS_CHANGE: {
    doc: 'A job changed its state',
    data: {
      id: need(STR, 'the job'),
      status: need(
        oneOf('created', 'running', 'pending', 'waiting', 'aborting', 'concluded', 'null'),
        'its state',
      ),
    },
  },
  X_TSVMM_STOPPED: {
    doc: 'Where and why the guest stopped; after STOP',
    data: {
      reason: need(oneOf('stop', 'step', 'run-until', 'reverse', 'end'), 'what stopped it'),
      event: may(STR, 'the trace event it stopped after'),
      at: may(STR, 'function and line of the guest'),
    },
  },
};
