/*
 * Keeping a JSON value out of the ordinary heap. Called by the pools of plugin/, which keep a
 * connection's configuration for as long as there is the connection.
 */
#include "base/jkeep.h"

#include <limits.h>
#include <stdint.h>

#include "base/jdec.h"
#include "base/jenc.h"

static struct leased_secret *
text_of(const json_t *value)
{
	struct leased_secret *text = NULL;
	struct jenc json = {0};

	jenc_json(&json, value);
	if (jenc_check(&json, NULL) == 0)
		text = leased_secret_new(json.bytes, json.len);
	jenc_clear(&json);
	return (text);
}

void
jkeep_set(struct jkeep *keep, json_t *value)
{
	struct leased_secret *text = value != NULL ? text_of(value) : NULL;

	leased_secret_free(keep->text);
	json_decref(keep->plain);
	keep->text = text;
	keep->plain = text == NULL ? value : NULL;
	if (text != NULL)
		json_decref(value);
}

bool
jkeep_is_set(const struct jkeep *keep)
{
	return (keep->text != NULL || keep->plain != NULL);
}

json_t *
jkeep_get(const struct jkeep *keep)
{
	static const struct jdec_limits own = {
	    .depth = 64, .tokens = UINT_MAX, .string_len = SIZE_MAX};
	json_t *value = NULL;

	if (keep->text == NULL)
		return (json_incref(keep->plain));
	if (jdec_parse(leased_secret_reveal(keep->text), leased_secret_len(keep->text), &own,
		&value, NULL) != 0)
		return (NULL);
	return (value);
}
