/* A program that knows nothing of tsvmm: C library and the q35 address map. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECAM 0xB0000000u
#define VTD 0xFED90000u

static uint32_t config_read(unsigned device, unsigned offset)
{
	return *(volatile uint32_t *)(ECAM + (device << 15) + offset);
}

static unsigned find(uint32_t id)
{
	for (unsigned device = 0; device < 32; device++)
		if (config_read(device, 0) == id)
			return device;
	return 32;
}

int main(int argc, char **argv)
{
	printf("args: %d", argc);
	for (int i = 1; i < argc; i++)
		printf(" [%s]", argv[i]);
	printf("\nenv: COLOUR=%s MISSING=%s\n", getenv("COLOUR"), getenv("MISSING") ? "there" : "not there");

	FILE *file = fopen("/data/numbers.txt", "r");
	int a = 0, b = 0;

	if (!file || fscanf(file, "%d %d", &a, &b) != 2)
		printf("no file\n");
	else
		printf("file: %d + %d = %d\n", a, b, a + b);
	if (file)
		fclose(file);

	char *text = malloc(1 << 20);

	if (!text)
		return 2;
	memset(text, 'x', 1 << 20);
	printf("heap: %c, %.3f, %lld\n", text[(1 << 20) - 1], 1.0 / 3, 1ll << 40);
	free(text);

	volatile uint32_t *vtd = (volatile uint32_t *)VTD;

	printf("vtd: version %u.%u\n", vtd[0] >> 4 & 15, vtd[0] & 15);

	unsigned device = find(0x11e81234);

	if (device == 32)
		return 3;
	volatile uint16_t *command = (volatile uint16_t *)(ECAM + (device << 15) + 4);

	*command |= 6;

	volatile uint8_t *edu = (volatile uint8_t *)(uintptr_t)(config_read(device, 0x10) & ~15u);

	*(volatile uint32_t *)(edu + 4) = 0x12345678;
	printf("edu: %08x, liveness %08x\n", *(volatile uint32_t *)edu, *(volatile uint32_t *)(edu + 4));
	*(volatile uint32_t *)(edu + 8) = 10;
	while (*(volatile uint32_t *)(edu + 0x20) & 1)
		;
	printf("edu: 10! = %u\n", *(volatile uint32_t *)(edu + 8));
	fprintf(stderr, "and stderr\n");
	return argc > 3 ? 7 : 0;
}
