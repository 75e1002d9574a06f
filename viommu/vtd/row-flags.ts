import {
  FIRST_DIRTY,
  FIRST_GLOBAL,
  FIRST_RIGHTS,
  FS_SMEP,
  FS_WPE,
  isUserPage,
  supervisorPermissions,
  userPermissions,
} from '../walk/first-stage.ts';

/**
 * Flags of IOTLB rows (word 5). What a hit may use at once stands apart from what the tables allow, because a write has to
 * set dirty bits first:
 * 2:0 usable by users, and by who tracks no dirty bits | 5:3 usable by privileged requests, and by who does track them
 * | 6 global page | 7 user page | 15:8 fault code, so that the row never hits | 18:16, 21:19 what the tables allow.
 */
export const ROW_GLOBAL = 0x40;
export const ROW_USER_PAGE = 0x80;
/** Class of second-stage requests with SSADE, and of privileged first-stage requests, as a shift. */
export const UPPER_CLASS = 3;
const WRITE = 2;
const ALLOWED = 16;
/** Permissions times this: in every place of them. */
const IN_EVERY_CLASS = (1 | (1 << UPPER_CLASS)) * (1 | (1 << ALLOWED));
const USABLE_WRITES = WRITE | (WRITE << UPPER_CLASS);

/** @param marks the walk set accessed and dirty bits */
export function secondStageFlags(permissions: number, marks: boolean, dirty: boolean): number {
  const tracked = !marks ? 0 : dirty ? permissions : permissions & ~WRITE;
  return permissions | (tracked << UPPER_CLASS) | (permissions << ALLOWED) | (permissions << (ALLOWED + 3));
}

/** secondStageFlags() where nothing is tracked. */
export function untrackedFlags(permissions: number): number {
  return Math.imul(permissions, 1 | (1 << ALLOWED) | (8 << ALLOWED));
}

/**
 * @param user permissions of users
 * @param dirty every dirty bit that a write needs is set
 * @param page ROW_GLOBAL and ROW_USER_PAGE
 */
export function firstStageFlags(user: number, supervisor: number, dirty: boolean, page: number): number {
  const now = dirty ? 7 : 7 & ~WRITE;
  const usable = (user & now) | ((supervisor & now) << UPPER_CLASS);
  return usable | page | (user << ALLOWED) | (supervisor << (ALLOWED + 3));
}

/** firstStageFlags() of a nested page, by those of its first stage and what the second stage allows. */
export function nestedFlags(first: number, allowed: number, dirty: boolean): number {
  const given = Math.imul(allowed, IN_EVERY_CLASS) & (dirty ? -1 : ~USABLE_WRITES);
  return first & (given | ROW_USER_PAGE);
}

/**
 * Index of a 4 KiB page's flags in firstStageFlagsTable(): 0 not to be executed | 1 R/W | 2 U/S | 3 D | 4 G | 5 WPE | 6 SMEP.
 *
 * @param controls controlsInIndex()
 * @param above bits of the entries above, XD in bit 31
 */
export function firstStageIndex(controls: number, e0: number, e1: number, above: number): number {
  return (
    controls |
    (above & e0 & FIRST_RIGHTS) |
    ((above | e1) >>> 31) |
    ((e0 & FIRST_DIRTY) >>> 3) |
    ((e0 & FIRST_GLOBAL) >>> 4)
  );
}

/** @param controls of the tables: a set of FS_ bits */
export function controlsInIndex(controls: number): number {
  return ((controls & FS_WPE) << 5) | ((controls & FS_SMEP) << 4);
}

export function firstStageFlagsTable(): Uint32Array {
  return Uint32Array.from({ length: 128 }, (_, i) => {
    const bits = (i & FIRST_RIGHTS) | (i << 31);
    const controls = ((i >>> 5) & FS_WPE) | ((i >>> 4) & FS_SMEP);
    const user = userPermissions(bits);
    const page = ((i & 16) !== 0 ? ROW_GLOBAL : 0) | (isUserPage(bits) ? ROW_USER_PAGE : 0);
    return firstStageFlags(user, supervisorPermissions(controls, bits), (i & 8) !== 0, page);
  });
}

/** A row that answers with a fault; `permissions` are those of the entries on the way. */
export function faultFlags(code: number, permissions: number): number {
  return (code << 8) | (permissions << ALLOWED) | (permissions << (ALLOWED + 3));
}

export function usableIn(flags: number, shift: number): number {
  return (flags >>> shift) & 7;
}

export function allowedIn(flags: number, shift: number): number {
  return (flags >>> (ALLOWED + shift)) & 7;
}

export function faultIn(flags: number): number {
  return (flags >>> 8) & 0xff;
}
