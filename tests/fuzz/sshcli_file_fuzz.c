/*
 * Files that `lease ssh` finds: key files of OpenSSH, heads of lists of revoked keys, and the
 * configuration that it wrote itself, after somebody else has been at it.
 */
#include <stdlib.h>
#include <string.h>

#include "ssh/config.h"
#include "ssh/keypair.h"
#include "ssh/krl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Put in twice is put in once; and what is taken out is gone. */
static void
config_try(const char *text)
{
	char *once = config_put_block(text, "k", "B\n"), *twice = NULL, *without = NULL;

	if (once != NULL && (twice = config_put_block(once, "k", "B\n")) != NULL &&
	    strcmp(once, twice) != 0)
		abort();
	free(once);
	free(twice);
	once = config_put_include(text, "I\n");
	if (once != NULL && (twice = config_put_include(once, "I\n")) != NULL) {
		if (strcmp(once, twice) != 0)
			abort();
		free(twice);
	}
	without = once != NULL ? config_drop_include(once, "I\n") : NULL;
	free(without);
	free(once);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t public[KEYPAIR_PUBLIC_LEN];
	struct sshwire_krl_head head;
	char *text;

	if (sshwire_krl_read_head(data, size, &head, NULL) == 0 &&
	    sshwire_krl_is_of_another(&head, &head))
		abort();
	if ((text = malloc(size + 1)) == NULL)
		return (0);
	memcpy(text, data, size);
	text[size] = '\0';
	(void)!keypair_file_public(text, public, NULL);
	config_try(text);
	free(text);
	return (0);
}
