/* Loops the rewriter's cost is measured with. Freestanding: build with
 *   clang --target=wasm32 -O2 -nostdlib -fno-builtin -Wl,--no-entry -Wl,--export-all -o rewrite-loops.wasm rewrite-loops.c
 * Every function takes a repeat count and returns a checksum. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define N 65536u
static u64 src64[N / 8], dst64[N / 8];
static u8 src8[N], dst8[N];
static u32 seed = 12345;

static u32 next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed;
}

__attribute__((noinline)) static void copy64(u64 *d, const u64 *s, u32 n) {
#pragma clang loop vectorize(disable) unroll(disable)
  for (u32 i = 0; i < n; i++) d[i] = s[i];
}

__attribute__((noinline)) static void copy8(volatile u8 *d, const u8 *s, u32 n) {
#pragma clang loop vectorize(disable) unroll(disable)
  for (u32 i = 0; i < n; i++) d[i] = s[i];
}

u32 memcpy64(u32 repeat) {
  for (u32 i = 0; i < N / 8; i++) src64[i] = next();
  for (u32 r = 0; r < repeat; r++) copy64(dst64, src64, N / 8);
  return (u32)dst64[100] ^ (u32)dst64[N / 8 - 1];
}

u32 memcpy8(u32 repeat) {
  for (u32 i = 0; i < N; i++) src8[i] = (u8)next();
  for (u32 r = 0; r < repeat; r++) copy8(dst8, src8, N);
  return dst8[100] ^ dst8[N - 1];
}

/* A 4-level page table of 64-bit entries in a pool of 4 KiB pages: build, then walk. */
static u64 pool[160][512] __attribute__((aligned(4096)));
static u32 used;

static u64 *table(u64 *entry) {
  if ((*entry & 1) == 0) {
    u64 *page = pool[used++];
    for (u32 i = 0; i < 512; i++) page[i] = 0;
    *entry = (u64)(u32)page | 3;
  }
  return (u64 *)(u32)(*entry & ~0xfffull);
}

static void map(u64 *root, u64 iova, u64 pa) {
  u64 *t = root;
  for (u32 level = 3; level > 0; level--) t = table(&t[(iova >> (12 + 9 * level)) & 511]);
  t[(iova >> 12) & 511] = pa | 3;
}

static u64 walk(const u64 *root, u64 iova) {
  const u64 *t = root;
  for (u32 level = 3; level > 0; level--) {
    u64 e = t[(iova >> (12 + 9 * level)) & 511];
    if ((e & 1) == 0) return 0;
    t = (const u64 *)(u32)(e & ~0xfffull);
  }
  return t[(iova >> 12) & 511];
}

u32 ptbuild(u32 repeat) {
  u64 sum = 0;
  for (u32 r = 0; r < repeat; r++) {
    used = 1;
    for (u32 i = 0; i < 512; i++) pool[0][i] = 0;
    for (u32 i = 0; i < 8192; i++) map(pool[0], (u64)i << 15, (u64)i << 12);
    for (u32 i = 0; i < 32768; i++) sum += walk(pool[0], (u64)(next() & 8191) << 15);
  }
  return (u32)sum ^ (u32)(sum >> 32);
}

static u32 crc_table[256];

u32 crc32(u32 repeat) {
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (u32 k = 0; k < 8; k++) c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
    crc_table[i] = c;
  }
  u32 crc = ~0u;
  for (u32 r = 0; r < repeat; r++)
    for (u32 i = 0; i < N; i++) crc = crc_table[(crc ^ src8[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

static u32 values[16384];

__attribute__((noinline)) static void sort(u32 *a, int lo, int hi) {
  while (lo < hi) {
    u32 pivot = a[(lo + hi) >> 1];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        u32 t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (j - lo < hi - i) {
      sort(a, lo, j);
      lo = i;
    } else {
      sort(a, i, hi);
      hi = j;
    }
  }
}

u32 qsort(u32 repeat) {
  for (u32 r = 0; r < repeat; r++) {
    for (u32 i = 0; i < 16384; i++) values[i] = next();
    sort(values, 0, 16383);
  }
  return values[8000] ^ values[0];
}

/* What a network driver does per packet: ring slot, IOVA bitmap, map and unmap, header parse, checksum. */
struct descriptor {
  u64 addr;
  u16 length, flags;
  u32 cookie;
};
static struct descriptor ring[256];
static u32 bitmap[64];
static u8 packets[256][256];

__attribute__((noinline)) static u32 iova_alloc(void) {
  for (u32 w = 0; w < 64; w++) {
    u32 free = ~bitmap[w];
    if (free != 0) {
      u32 bit = (u32)__builtin_ctz(free);
      bitmap[w] |= 1u << bit;
      return w * 32 + bit;
    }
  }
  return ~0u;
}

__attribute__((noinline)) static u32 checksum(const u8 *p, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < n; i += 2) sum += (u32)p[i] << 8 | p[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum ^ 0xffff;
}

u32 driver(u32 repeat) {
  u32 result = 0;
  used = 1;
  for (u32 i = 0; i < 512; i++) pool[0][i] = 0;
  for (u32 i = 0; i < 256; i++)
    for (u32 k = 0; k < 256; k++) packets[i][k] = (u8)next();
  for (u32 r = 0; r < repeat; r++) {
    for (u32 i = 0; i < 256; i++) {
      u32 page = iova_alloc();
      map(pool[0], (u64)page << 12, (u64)(u32)packets[i]);
      struct descriptor *d = &ring[i];
      d->addr = (u64)page << 12;
      d->length = (u16)(64 + (r & 127));
      d->flags = 1;
      d->cookie = page;
    }
    for (u32 i = 0; i < 256; i++) {
      struct descriptor *d = &ring[i];
      const u8 *p = (const u8 *)(u32)(walk(pool[0], d->addr) & ~0xfffull) + ((u32)packets[i] & 0xfffu);
      if ((p[12] << 8 | p[13]) == 0x800) result++;
      result += checksum(p, d->length & ~1u);
      map(pool[0], d->addr, 0);
      bitmap[d->cookie >> 5] &= ~(1u << (d->cookie & 31));
      d->flags = 2;
    }
  }
  return result;
}

