/*
 * What a host answers to the rename of a list that was brought to it: a number, or refused. (The
 * head of a list that is there already is sshcli_file's.)
 */
#include <stdlib.h>
#include <string.h>

#include "ssh/sshca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	uint8_t *exact = malloc(size > 0 ? size : 1); /* what is read behind its end is seen */
	uint32_t status = 4711;
	int r;

	if (exact == NULL)
		return (0);
	if (size > 0)
		memcpy(exact, data, size);
	r = sshca_push_status(exact, size, 7, &status, &err);
	if (r == 0 ? size < 9 || exact[0] != 101 : r != LEASED_EREFUSED || status != 4711)
		abort();
	free(exact);
	return (0);
}
