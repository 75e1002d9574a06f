/** Which structures an invalidation announces changes of. */
export const ANNOUNCES_NONE = 0;
/** Every root and context entry. */
export const ANNOUNCES_CONTEXTS = 1;
/** Context entries of the requester ids `a` with the bits of `b` free. */
export const ANNOUNCES_FUNCTIONS = 2;
/** Every entry of PASID directories and tables. */
export const ANNOUNCES_PASIDS = 3;
/** PASID table entries of domain `a`. */
export const ANNOUNCES_DOMAIN = 4;
/** The entries of PASID `b` in domain `a`. */
export const ANNOUNCES_PASID = 5;
/** Everything: a root pointer was latched. */
export const ANNOUNCES_ALL = 6;

/** Told of every consumed invalidation: the 'announced' half of a table change. */
export interface Announcements {
  /** Something was written that no invalidation has announced. */
  readonly on: boolean;
  /** @param kind what the invalidation is called in traces; `scope` is one of ANNOUNCES_, `a` and `b` belong to it */
  told(kind: string, scope: number, a: number, b: number): void;
}
