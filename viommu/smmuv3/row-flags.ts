/**
 * Flags of TLB rows (word 5). What a hit may use at once stands apart from what the tables allow, because a write may have to
 * set the dirty state first, and because a refusal belongs to one of the stages:
 * 2:0 usable without privilege | 5:3 with privilege | 10:8, 13:11 allowed by stage 1 | 18:16, 21:19 allowed by stage 2 |
 * 24:22 size code of the stage 1 block that stage 2 has broken up, or 0.
 */
const WRITE = 2;
const STAGE1 = 8;
const STAGE2 = 16;
export const PRIVILEGED = 3;
export const EVERYTHING = 7;

export function rowFlags(
  user1: number,
  privileged1: number,
  user2: number,
  privileged2: number,
  dirty: boolean,
): number {
  const now = dirty ? EVERYTHING : EVERYTHING & ~WRITE;
  const usable = (user1 & user2 & now) | ((privileged1 & privileged2 & now) << PRIVILEGED);
  return (
    usable |
    (user1 << STAGE1) |
    (privileged1 << (STAGE1 + PRIVILEGED)) |
    (user2 << STAGE2) |
    (privileged2 << (STAGE2 + PRIVILEGED))
  );
}

const FRAGMENT = 22;

/** The flag of a row that holds a part of a stage 1 block. */
export function fragmentOf(size: number): number {
  return size << FRAGMENT;
}

/** Size code of the block the row is a part of, or 0: it is whole. */
export function fragmentIn(flags: number): number {
  return (flags >>> FRAGMENT) & 7;
}

export function usableIn(flags: number, shift: number): number {
  return (flags >>> shift) & EVERYTHING;
}

export function stage1In(flags: number, shift: number): number {
  return (flags >>> (STAGE1 + shift)) & EVERYTHING;
}

export function stage2In(flags: number, shift: number): number {
  return (flags >>> (STAGE2 + shift)) & EVERYTHING;
}
