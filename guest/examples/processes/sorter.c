// SPDX-License-Identifier: MIT
// Sorts a linked list on its heap, differently in each process.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT 2000

struct node {
	struct node *next;
	unsigned value;
};

static struct node *insert(struct node *list, struct node *node)
{
	struct node **link = &list;

	while (*link && (*link)->value < node->value)
		link = &(*link)->next;
	node->next = *link;
	*link = node;
	return list;
}

int main(void)
{
	unsigned seed = (unsigned)getpid();
	struct node *list = NULL;
	int count = 0;

	for (int i = 0; i < COUNT; i++) {
		struct node *node = malloc(sizeof(*node));

		seed = seed * 1664525 + 1013904223;
		node->value = seed >> 16;
		list = insert(list, node);
		if (i % 500 == 0)
			sched_yield();
	}
	for (struct node *node = list; node; node = node->next, count++)
		if (node->next && node->next->value < node->value)
			return 1;
	printf("# process %d: %d nodes, the first at %p\n", getpid(), count, (void *)list);
	return count == COUNT ? 0 : 2;
}
