/*
 * Fuzzes the reader of records against jansson: what it takes jansson takes as well, and as the
 * same value; and what is written of it is read again as the same.
 */
#include <stdlib.h>

#include "store/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
check(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const uint8_t *text = len > 0 ? bytes : (const uint8_t *)"";
	json_t *value = store_record_read(text, len), *other;
	struct jenc json = {0};

	if (value == NULL)
		return (0);
	other = json_loadb((const char *)text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	check(other != NULL && json_equal(value, other));
	json_decref(other);
	jenc_json(&json, value);
	if (jenc_check(&json, NULL) == 0) {
		other = json_loadb(
		    (const char *)json.bytes, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		check(other != NULL && json_equal(value, other));
		json_decref(other);
	}
	jenc_clear(&json);
	json_decref(value);
	return (0);
}
