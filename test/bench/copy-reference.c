/* What DMA through a vIOMMU costs at least: for every page a look-up in a 2-way cache of the layout, hash and size that
 * viommu/walk/iotlb.ts has, then memcpy. One line of input, "bytes count write", is one run; its answer is nanoseconds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETS 4096u
#define FOLD 12
#define ROW_WORDS 8u
#define TAG 1u
#define IOVA 0x80000000u
#define TARGET 0x08000000u
#define RAM_BYTES (512u << 20)
#define PAGES 64u

static uint32_t rows[SETS * 2 * ROW_WORDS];
static uint8_t *ram;

static uint32_t set_of(uint32_t page, uint32_t hi, uint32_t tag) {
  uint32_t hash = page ^ (page >> FOLD) ^ ((tag * 0x9e3779b1u) >> 16) ^ (hi * 0x85ebca6bu);
  return (hash & (SETS - 1)) * 2 * ROW_WORDS;
}

static void map(uint32_t iova, uint32_t target) {
  uint32_t r = set_of(iova >> 12, 0, TAG);
  if (rows[r + 2] != 0) r += ROW_WORDS;
  uint32_t row[ROW_WORDS] = {iova, 0, TAG, target, 0, 3, 0xfff, 5};
  memcpy(rows + r, row, sizeof row);
}

/* The row, or the program ends. */
static inline uint32_t lookup(uint32_t lo, uint32_t hi, uint32_t tag, uint32_t need) {
  uint32_t key = lo & ~0xfffu;
  uint32_t r = set_of((lo >> 12) | (hi << 20), hi, tag);
  for (int way = 0; way < 2; way++, r += ROW_WORDS)
    if (((rows[r] ^ key) | (rows[r + 1] ^ hi) | (rows[r + 2] ^ tag) | (need & ~rows[r + 5])) == 0) return r;
  fprintf(stderr, "miss\n");
  exit(1);
}

static void move(uint32_t iova, uint8_t *buffer, uint32_t bytes, int write) {
  while (bytes > 0) {
    uint32_t r = lookup(iova, 0, TAG, write ? 2 : 1);
    uint32_t inside = rows[r + 6], offset = iova & inside;
    uint32_t n = inside + 1 - offset;
    if (n > bytes) n = bytes;
    uint8_t *at = ram + (rows[r + 3] | offset);
    if (write) memcpy(at, buffer, n);
    else memcpy(buffer, at, n);
    iova += n;
    buffer += n;
    bytes -= n;
  }
}

int main(void) {
  ram = aligned_alloc(4096, RAM_BYTES);
  uint8_t *block = aligned_alloc(4096, 1 << 20);
  if (ram == NULL || block == NULL) return 1;
  uint8_t *buffer = block + 2048;
  memset(buffer, 1, 65536);
  memset(ram + TARGET, 2, PAGES * 4096);
  for (uint32_t i = 0; i < PAGES; i++) map(IOVA + i * 4096, TARGET + i * 4096);
  unsigned bytes, count, write;
  while (scanf("%u %u %u", &bytes, &count, &write) == 3) {
    struct timespec a, b;
    uint32_t at = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < count; i++) {
      move(IOVA + at, buffer, bytes, (int)write);
      at = (at + bytes) % (PAGES * 4096);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.0f\n", (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec));
    fflush(stdout);
  }
  return 0;
}
