/*
 * Fuzzes base/jdec: it takes just what jansson in its strictest mode takes, and makes the same of
 * it; whatever parses also decodes or is refused; durations and names never read beyond their end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct body {
	char *name;
	struct leased_secret *password;
	bool flag;
	int64_t count, ttl;
	struct jdec_list statements, policies;
	json_t *meta, *any;
};

static const struct jdec_field fields[] = {
    JDEC_FIELD(struct body, name, JDEC_STRING),
    JDEC_FIELD(struct body, password, JDEC_SECRET),
    JDEC_FIELD(struct body, flag, JDEC_BOOL),
    JDEC_FIELD(struct body, count, JDEC_INT),
    JDEC_FIELD(struct body, ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct body, statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct body, policies, JDEC_COMMA_LIST),
    JDEC_FIELD(struct body, meta, JDEC_STRING_MAP),
    JDEC_FIELD(struct body, any, JDEC_JSON),
    JDEC_END,
};

static void
hold_against_jansson(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *ours = NULL, *theirs;
	int r = jdec_parse(bytes, len, NULL, &ours, &err);

	if (r == LEASED_ETOOBIG)
		return; /* our limits are narrower */
	if (r != 0 && memchr(bytes, 0, len) != NULL)
		return; /* jansson loses a NUL behind a word */
	theirs =
	    json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if ((r == 0) != (theirs != NULL) || (r == 0 && json_equal(ours, theirs) == 0))
		abort();
	json_decref(ours);
	json_decref(theirs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct body body = {0};
	json_t *value = NULL, *unknown = NULL;
	int64_t seconds = 0;
	char *text;

	hold_against_jansson(bytes, len);
	if (jdec_parse(bytes, len, NULL, &value, &err) == 0) {
		if (jdec_decode(value, fields, &body, &unknown, &err) == 0 && body.ttl < 0)
			abort();
		jdec_clear(fields, &body);
		json_decref(unknown);
		json_decref(value);
	}
	if ((text = strndup((const char *)bytes, len)) == NULL)
		return (0);
	if (jdec_duration_s(text, &seconds, &err) == 0 && seconds < 0)
		abort();
	(void)jdec_nearest_field(text, fields);
	free(text);
	return (0);
}
