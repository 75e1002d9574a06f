export type ErrorClass =
  | 'GenericError'
  | 'CommandNotFound'
  | 'DeviceNotFound'
  | 'DeviceNotActive'
  | 'KVMMissingCap';

/** A command that is refused: what a QMP client gets as `error`, and a person as one line. */
export class MonitorError extends Error {
  override readonly name = 'MonitorError';
  readonly errorClass: ErrorClass;

  constructor(desc: string, errorClass: ErrorClass = 'GenericError') {
    super(desc);
    this.errorClass = errorClass;
  }
}
