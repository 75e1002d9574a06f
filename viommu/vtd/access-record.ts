/** Where an entry came from. */
export const NOT_READ = 0;
export const FROM_CACHE = 1;
export const FROM_MEMORY = 2;

/** What the last slow translation read, kept in place so that a fault can be explained by what really was seen. */
export class AccessRecord {
  rootSource = NOT_READ;
  rootAddress = 0;
  rootUpper = 0;
  readonly root = new Uint32Array(4);
  contextSource = NOT_READ;
  contextAddress = 0;
  contextUpper = 0;
  readonly context = new Uint32Array(4);
  /** IOTLB row that answered, or -1. */
  row = -1;
  /** True when second-stage entries were read. */
  walked = false;
  /** FPD of the context entry that was read. */
  faultDisabled = false;

  clear(): void {
    this.rootSource = NOT_READ;
    this.contextSource = NOT_READ;
    this.row = -1;
    this.walked = false;
    this.faultDisabled = false;
  }
}
