/* Register accesses as a guest makes them, and a call of an import. Freestanding: built as rewrite-loops.c is.
 * The addresses are set from outside, so that the compiler cannot know them. */
typedef unsigned int u32;
typedef unsigned long long u64;

u32 count, address;

void set_up(u32 repeat, u32 at) {
  count = repeat;
  address = at;
}

u32 load32(void) {
  volatile u32 *reg = (volatile u32 *)address;
  u32 sum = 0;
  for (u32 i = 0; i < count; i++) sum += *reg;
  return sum & 0;
}

u32 store32(void) {
  volatile u32 *reg = (volatile u32 *)address;
  for (u32 i = 0; i < count; i++) *reg = i & 0xff;
  return 0;
}

u32 load64(void) {
  volatile u64 *reg = (volatile u64 *)address;
  u64 sum = 0;
  for (u32 i = 0; i < count; i++) sum += *reg;
  return (u32)sum & 0;
}

__attribute__((import_module("env"), import_name("bare"))) u32 bare(u32 address, u32 offset);

u32 bare_call(void) {
  u32 sum = 0;
  for (u32 i = 0; i < count; i++) sum += bare(address, 0);
  return sum & 0;
}
