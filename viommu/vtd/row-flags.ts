import type { FirstStageWalker } from '../walk/first-stage.ts';

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

/** @param marks the walk set accessed and dirty bits */
export function secondStageFlags(permissions: number, marks: boolean, dirty: boolean): number {
  const tracked = !marks ? 0 : dirty ? permissions : permissions & ~WRITE;
  return permissions | (tracked << UPPER_CLASS) | (permissions << ALLOWED) | (permissions << (ALLOWED + 3));
}

/** secondStageFlags() where nothing is tracked. */
export function untrackedFlags(permissions: number): number {
  return Math.imul(permissions, 1 | (1 << ALLOWED) | (8 << ALLOWED));
}

export function firstStageFlags(walker: FirstStageWalker): number {
  const { user, supervisor } = walker;
  const now = walker.dirty ? 7 : 7 & ~WRITE;
  const page = (walker.global ? ROW_GLOBAL : 0) | (walker.userPage ? ROW_USER_PAGE : 0);
  const usable = (user & now) | ((supervisor & now) << UPPER_CLASS);
  return usable | page | (user << ALLOWED) | (supervisor << (ALLOWED + 3));
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
