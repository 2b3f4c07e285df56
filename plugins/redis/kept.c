/*
 * What is kept of an account, sealed with its lease: what makes it anew (its hash; the rules are
 * the role's, which comes along), in which lives of which servers it was made, so that a user that
 * is missing in one of those was removed by somebody, and where, so that a node which is taken out
 * of the configuration is missed. Called by mint.c and end.c.
 */
#include "account.h"

#include <string.h>

#define KEPT_MAX 4096 /* PROTOCOL.md */

const char *
redis_kept_hash(const json_t *kept)
{
	const json_t *hash = json_object_get(kept, "hash");

	return (json_string_length(hash) == REDIS_HASH_SIZE - 1 ? json_string_value(hash) : NULL);
}

static bool
has_text(const json_t *list, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (json_is_string(one) && strcmp(json_string_value(one), text) == 0)
			return (true);
	}
	return (false);
}

bool
redis_kept_made_in(const json_t *kept, const char *run_id)
{
	return (has_text(json_object_get(kept, "runs"), run_id));
}

bool
redis_kept_has_all(const struct redis *plugin, const json_t *kept)
{
	for (unsigned i = 0; i < plugin->node_count; i++)
		if (!has_text(json_object_get(kept, "nodes"), plugin->nodes[i].address->text))
			return (false);
	return (true);
}

/* Is the node of that place and life one of now, or said to be gone for good? */
static bool
is_known(const struct redis *plugin, const char *place, const char *run_id)
{
	const struct redis_addresses *gone = &plugin->config->gone;

	for (unsigned i = 0; i < plugin->node_count; i++)
		if (strcmp(plugin->nodes[i].address->text, place) == 0 ||
		    (run_id != NULL && run_id[0] != '\0' &&
			strcmp(plugin->nodes[i].run_id, run_id) == 0))
			return (true);
	for (unsigned i = 0; i < gone->count; i++)
		if (strcmp(gone->items[i].text, place) == 0)
			return (true);
	return (false);
}

/* The next one from *at on that was left out; NULL: there is none. */
static const char *
next_left_out(const struct redis *plugin, const json_t *kept, size_t *at, const char **ret_run_id)
{
	const json_t *nodes = json_object_get(kept, "nodes"), *runs = json_object_get(kept, "runs");

	for (; *at < json_array_size(nodes); (*at)++) {
		const char *place = json_string_value(json_array_get(nodes, *at));

		*ret_run_id = json_string_value(json_array_get(runs, *at));
		if (place != NULL && !is_known(plugin, place, *ret_run_id)) {
			(*at)++;
			return (place);
		}
	}
	return (NULL);
}

const char *
redis_kept_left_out(const struct redis *plugin, const json_t *kept)
{
	const char *run_id;
	size_t at = 0;

	return (next_left_out(plugin, kept, &at, &run_id));
}

int
redis_kept_put(const struct redis *plugin, const char *hash, const json_t *before, json_t *result,
    struct leased_err *err)
{
	json_t *runs = json_array(), *nodes = json_array(), *kept;
	const char *place, *run_id;
	char text[KEPT_MAX + 1];
	int bad = runs == NULL || nodes == NULL, r = 0;
	size_t len = 0, at = 0;

	for (unsigned i = 0; i < plugin->node_count; i++)
		bad |= json_array_append_new(runs, json_string(plugin->nodes[i].run_id)) |
		       json_array_append_new(nodes, json_string(plugin->nodes[i].address->text));
	while ((place = next_left_out(plugin, before, &at, &run_id)) != NULL)
		bad |= json_array_append_new(runs, json_string(run_id != NULL ? run_id : "")) |
		       json_array_append_new(nodes, json_string(place));
	kept = json_pack("{s:s, s:o?, s:o?}", "hash", hash, "runs", runs, "nodes", nodes);
	if (kept != NULL && bad == 0)
		len = json_dumpb(kept, text, sizeof(text), JSON_COMPACT);
	if (len > KEPT_MAX)
		r = leased_err_set(err, LEASED_ELIMIT,
		    "the names of all nodes together are too long: use shorter ones");
	else if (len == 0 || bad != 0 ||
		 json_object_set_new(result, "kept", json_stringn(text, len)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(kept);
	leased_wipe(text, sizeof(text));
	return (r);
}
