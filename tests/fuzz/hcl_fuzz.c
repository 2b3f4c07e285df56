/*
 * Fuzzes base/hcl: what is refused says where; in what is accepted every key has a position and
 * blocks can be walked.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int
visit(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	(void)err;
	if (label == NULL || !json_is_object(body) || hcl_object_position(arg, body).line == 0)
		abort();
	return (0);
}

static void
check_positions(const struct hcl_doc *doc, const json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;

	json_array_foreach(value, i, member) check_positions(doc, member);
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		if (hcl_key_position(doc, value, key).line == 0)
			abort();
		check_positions(doc, member);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct hcl_doc *doc = NULL;
	int r = hcl_parse((const char *)bytes, len, &doc, &err);

	if (r == 0) {
		check_positions(doc, hcl_root(doc));
		(void)!hcl_blocks(doc, hcl_root(doc), "path", visit, doc, &err);
		hcl_free(doc);
	} else if (r == LEASED_EINVAL && !isdigit((unsigned char)err.text[0])) {
		abort();
	}
	return (0);
}
