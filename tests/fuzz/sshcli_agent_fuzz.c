/*
 * What an ssh-agent answers, a forwarded one of somebody else's too: a list is whole or none.
 */
#include <stdlib.h>
#include <string.h>

#include "ssh/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_list list = {NULL, 0};
	size_t i, len = 5;

	if (agent_decode_list(data, size, &list, NULL) != 0)
		return (0);
	for (i = 0; i < list.count; i++)
		len += 8 + list.entries[i].blob_len + strlen(list.entries[i].comment);
	if (len > size)
		abort();
	agent_list_clear(&list);
	return (0);
}
