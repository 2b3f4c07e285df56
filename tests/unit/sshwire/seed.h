/*
 * What ssh-keygen made, from the seeds of the fuzz targets.
 */
#ifndef SEED_H
#define SEED_H

#include <stdio.h>
#include <stdlib.h>

#include "sshwire/sshwire.h"

/* The caller frees. */
static inline char *
seed(const char *target, const char *name)
{
	char path[256], *text = calloc(1, 8192);
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/sshwire_%s/%s", SEEDS, target, name);
	file = fopen(path, "r");
	if (file == NULL || text == NULL || fread(text, 1, 8191, file) == 0)
		abort();
	(void)fclose(file);
	return (text);
}

static inline struct sshwire_key
seed_key(const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	char *line = seed("key", name);

	if (sshwire_key_read_line(line, &key, &err) != 0)
		abort();
	free(line);
	return (key);
}

#endif
