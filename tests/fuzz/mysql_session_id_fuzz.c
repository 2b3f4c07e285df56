/*
 * Fuzzes the ids of sessions that the MySQL plugin is told to end: what is taken for one names one
 * connection, and what it is made of is what stands there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mysql/session_id.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	struct maria_session_id id;
	char *text = malloc(len + 1), again[128];
	int n;

	if (text == NULL)
		abort();
	if (len > 0)
		memcpy(text, bytes, len);
	text[len] = '\0';
	if (maria_session_id_parse(text, &id)) {
		n = snprintf(again, sizeof(again), "%llu:%lld", id.number, (long long)id.start_s);
		if (id.lock[0] != '\0')
			(void)snprintf(again + n, sizeof(again) - (size_t)n, ":%s",
			    id.lock + strlen("leased "));
		if (strcmp(again, text) != 0 || id.number == 0)
			abort();
	}
	free(text);
	return (0);
}
