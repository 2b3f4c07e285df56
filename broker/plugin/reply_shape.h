/*
 * Inside the reading of replies: what reply.c and reply_keys.c share.
 */
#ifndef PLUGIN_REPLY_SHAPE_H
#define PLUGIN_REPLY_SHAPE_H

#include "plugin/reply.h"

static inline int
plugin_reply_broken(struct leased_err *err, const char *what)
{
	return (leased_err_set(err, LEASED_EPROTO, "the worker broke the protocol: %s", what));
}

/* Fields that this version does not know: a mistake to find while developing, a newer plugin else.
 */
static inline int
plugin_reply_only_known(const json_t *object, const char *const *known, struct leased_err *err)
{
#ifdef LEASED_DEBUG
	size_t found = 0;

	for (unsigned i = 0; known[i] != NULL; i++)
		found += json_object_get(object, known[i]) != NULL;
	if (found != json_object_size(object))
		return (plugin_reply_broken(err, "an unknown field in a reply"));
#else
	(void)object;
	(void)known;
	(void)err;
#endif
	return (0);
}

static inline bool
plugin_reply_is_text(const json_t *value, size_t max)
{
	return (json_is_string(value) && json_string_length(value) >= 1 &&
		json_string_length(value) <= max);
}

/* Of generate, import, inspect, certify, krl, push and sign. */
int plugin_reply_keys(
    enum plugin_op op, const json_t *result, struct leased_err *err) LEASED_MUST_CHECK;

#endif
