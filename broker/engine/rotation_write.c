/*
 * What a rotation writes, inside the store's transaction, on a document that is read afresh there:
 * settings that changed meanwhile stay. The index of what is due is written with it. Called by
 * rotation.c; the reading functions by whoever shows a document.
 */
#include <string.h>

#include "base/failpoint.h"
#include "engine/rotation.h"
#include "store/hold.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS 300000

static const json_t *
state_of(const struct store_doc *doc)
{
	return (json_object_get(doc->data, "rotation"));
}

const char *
engine_rotation_text(const struct store_doc *doc, const char *field)
{
	return (json_string_value(json_object_get(state_of(doc), field)));
}

int64_t
engine_rotation_number(const struct store_doc *doc, const char *field)
{
	return (json_integer_value(json_object_get(state_of(doc), field)));
}

bool
engine_rotation_is_unproven(struct engines *engines, const struct store_doc *doc)
{
	int64_t rotated_us = engine_rotation_number(doc, "last_rotation_us");
	int64_t proved_us = engine_rotation_number(doc, "proved_us");
	struct store_hold hold;

	store_hold_get(engines->config.store, &hold);
	return (hold.held ||
		(rotated_us > proved_us ? rotated_us : proved_us) / 1000 < hold.restored_wall_ms);
}

json_t *
engine_rotation_details(const struct store_doc *doc)
{
	json_t *details = json_deep_copy(json_object_get(doc->data, "details"));
	json_t *candidate = json_object_get(state_of(doc), "candidate");

	if (details == NULL || candidate == NULL)
		return (details);
	if (json_object_set(details, "password_candidate", candidate) == 0)
		return (details);
	json_decref(details);
	return (NULL);
}

static json_t *
time_text(int64_t wall_us)
{
	char text[WCLOCK_RFC3339_SIZE];

	wclock_format_rfc3339(wall_us, text);
	return (json_string(text));
}

int
engine_rotation_show(const struct store_doc *doc, json_t *to)
{
	int64_t last_us = engine_rotation_number(doc, "last_rotation_us");
	const char *error = engine_rotation_text(doc, "last_error");
	int r = 0;

	if (last_us != 0)
		r |= json_object_set_new(to, "last_vault_rotation", time_text(last_us));
	if (engine_rotation_text(doc, "candidate") != NULL)
		r |= json_object_set_new(to, "rotation_pending", json_true());
	if (error != NULL) {
		r |= json_object_set_new(to, "last_error", json_string(error));
		r |= json_object_set_new(
		    to, "last_error_time", time_text(engine_rotation_number(doc, "last_error_us")));
		r |= json_object_set_new(
		    to, "rotation_failures", json_integer(engine_rotation_number(doc, "failures")));
	}
	return (r);
}

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* Is the document's candidate still the one that this rotation knows of (NULL: none)? */
static int
candidate_check(
    const struct store_doc *doc, const struct leased_secret *expected, struct leased_err *err)
{
	const char *text = engine_rotation_text(doc, "candidate");
	struct leased_secret *found = NULL;
	bool same;

	if (text != NULL && (found = leased_secret_new(text, strlen(text))) == NULL)
		return (no_memory(err));
	same = expected == NULL || found == NULL ? (expected == NULL && found == NULL)
						 : leased_secret_equal(expected, found);
	leased_secret_free(found);
	return (same ? 0
		     : leased_err_set(err, LEASED_ECONFLICT,
			   "it was written by somebody else while its password was rotated"));
}

static int
set_secret(json_t *object, const char *field, const struct leased_secret *secret)
{
	return (json_object_set_new(
	    object, field, json_stringn(leased_secret_reveal(secret), leased_secret_len(secret))));
}

/* 1, 2, 4 s .. 5 minutes, and up to a quarter more, so that many do not come back at once. */
static int64_t
back_off_ms(int64_t failures, uint32_t jitter)
{
	int64_t ms = BACKOFF_LAST_MS;

	if (failures < 10 && BACKOFF_FIRST_MS << (failures > 0 ? failures - 1 : 0) < ms)
		ms = BACKOFF_FIRST_MS << (failures > 0 ? failures - 1 : 0);
	return (ms + ms / 4 * (int64_t)(jitter % 1024) / 1024);
}

static int
write_candidate(struct engine_rotation *rotation, struct store_doc *doc, json_t *state,
    int64_t *ret_next_ms, struct leased_err *err)
{
	int r;

	if ((r = candidate_check(doc, rotation->replaced, err)) != 0)
		return (r);
	/* Due at once: should we die, the next start settles it. */
	*ret_next_ms = rotation->now_ms;
	if (set_secret(state, "candidate", rotation->candidate) != 0)
		return (no_memory(err));
	return (FAILPOINT_ERROR(engine_rotate_candidate, err));
}

static int
write_published(struct engine_rotation *rotation, struct store_doc *doc, json_t *state,
    int64_t *ret_next_ms, struct leased_err *err)
{
	json_int_t period_s = json_integer_value(json_object_get(doc->data, "rotation_period"));
	json_t *holder = rotation->is_root ? json_object_get(doc->data, "details") : state;
	int r;

	if ((r = candidate_check(doc, rotation->candidate, err)) != 0)
		return (r);
	(void)json_object_del(state, "candidate");
	(void)json_object_del(state, "failures");
	(void)json_object_del(state, "last_error");
	(void)json_object_del(state, "last_error_us");
	*ret_next_ms = rotation->is_root ? 0 : rotation->now_ms + period_s * 1000;
	if (set_secret(holder, "password", rotation->candidate) != 0 ||
	    json_object_set_new(state, "rotated_at_ms", json_integer(rotation->now_ms)) != 0 ||
	    json_object_set_new(state, "last_rotation_us", json_integer(rotation->wall_us)) != 0)
		return (no_memory(err));
	return (FAILPOINT_ERROR(engine_rotate_publish, err));
}

static int
write_kept(struct engine_rotation *rotation, struct store_doc *doc, json_t *state,
    int64_t *ret_next_ms, struct leased_err *err)
{
	int64_t failures = engine_rotation_number(doc, "failures") + 1;
	int r;

	if ((r = candidate_check(doc, rotation->candidate, err)) != 0)
		return (r);
	if (rotation->drop)
		(void)json_object_del(state, "candidate");
	*ret_next_ms = rotation->now_ms;
	if (rotation->why.code != 0) {
		*ret_next_ms += back_off_ms(failures, rotation->jitter);
		if (json_object_set_new(state, "failures", json_integer(failures)) != 0 ||
		    json_object_set_new(state, "last_error", json_string(rotation->why.text)) !=
			0 ||
		    json_object_set_new(state, "last_error_us", json_integer(rotation->wall_us)) !=
			0)
			return (no_memory(err));
	}
	if (rotation->proved) {
		*ret_next_ms = engine_rotation_number(doc, "next_at_ms");
		if (json_object_set_new(state, "proved_us", json_integer(rotation->wall_us)) != 0)
			return (no_memory(err));
	}
	if (rotation->is_root && rotation->drop)
		*ret_next_ms = 0; /* the operator who asked for it was told */
	return (FAILPOINT_ERROR(engine_rotate_keep, err));
}

static int
write_state(struct engine_rotation *rotation, struct store_doc *doc, json_t *state,
    int64_t *ret_next_ms, struct leased_err *err)
{
	switch (rotation->state) {
	case ROTATION_CANDIDATE:
		return (write_candidate(rotation, doc, state, ret_next_ms, err));
	case ROTATION_PUBLISH:
		return (write_published(rotation, doc, state, ret_next_ms, err));
	case ROTATION_KEEP:
		return (write_kept(rotation, doc, state, ret_next_ms, err));
	case ROTATION_BEGUN:
	case ROTATION_PROVE:
	case ROTATION_SET:
	case ROTATION_LOGIN:
	case ROTATION_FENCE:
	case ROTATION_TRY_CANDIDATE:
	case ROTATION_TRY_CURRENT:
	case ROTATION_ENDED:
		break;
	}
	return (leased_err_set(err, LEASED_EBUG, "a rotation that writes nothing was written"));
}

int
engine_rotation_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct engine_rotation *rotation = engine_rotation_from(op);
	struct store_rotation row = {.doc = rotation->doc,
	    .connection = rotation->connection,
	    .account = rotation->is_root ? "" : rotation->account};
	struct store_doc *doc = NULL;
	json_t *state;
	int r;

	if ((r = store_doc_get_id(store_txn_db(txn), rotation->doc, &doc, err)) != 0)
		return (r);
	if ((state = json_object_get(doc->data, "rotation")) == NULL &&
	    ((state = json_object()) == NULL ||
		json_object_set_new(doc->data, "rotation", state) != 0)) {
		r = no_memory(err);
		goto out;
	}
	if ((r = write_state(rotation, doc, state, &row.next_at_ms, err)) != 0)
		goto out;
	if (json_object_set_new(state, "next_at_ms", json_integer(row.next_at_ms)) != 0) {
		r = no_memory(err);
		goto out;
	}
	if ((r = store_doc_put(txn, doc, err)) != 0)
		goto out;
	r = row.next_at_ms == 0 ? store_rotation_delete(txn, row.doc, err)
				: store_rotation_put(txn, &row, err);
out:
	store_doc_free(doc);
	return (r);
}
