/*
 * What a store is called: its tag, which stands in the name of every account, and its cluster id.
 * They stand plainly in the row of the store's birth, and once more in a value with a checksum:
 * where the two differ that copy wins, so that no flipped bit makes it another store, whose
 * accounts nobody would know again. store_schema_open(), fsck and restore call it.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/value.h"
#include "store/offline_private.h"

#define BIRTH_KEY "birth"

int
store_birth_decode(const char *text, struct store_birth *ret_birth, struct leased_err *err)
{
	struct store_birth birth = {0};
	size_t len = strlen(text), tag_len = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz");
	const char *id = text + STORE_TAG_LEN + 1;

	if (len != STORE_TAG_LEN + 1 + ID_UUID_SIZE - 1 || tag_len != STORE_TAG_LEN ||
	    text[STORE_TAG_LEN] != ' ' ||
	    strspn(id, "0123456789abcdef-") != (size_t)ID_UUID_SIZE - 1)
		return (leased_err_set(
		    err, LEASED_ECORRUPT, "the copy of the store's tag and id is malformed"));
	memcpy(birth.tag, text, STORE_TAG_LEN);
	memcpy(birth.cluster_id, id, ID_UUID_SIZE - 1);
	*ret_birth = birth;
	return (0);
}

int
store_birth_copy_put(struct store_db *db, const char *tag, const char *id, struct leased_err *err)
{
	char text[STORE_TAG_LEN + 1 + ID_UUID_SIZE];

	(void)snprintf(text, sizeof(text), "%s %s", tag, id);
	return (store_meta_write(db, BIRTH_KEY, text, err));
}

int
store_birth_compare(
    struct store *store, struct store_birth *ret_birth, bool *ret_same, struct leased_err *err)
{
	struct store_birth birth = {0};
	char *text = NULL;
	int r;

	r = store_meta_get(store->writer_db, BIRTH_KEY, &text, err);
	if (r == 0)
		r = store_birth_decode(text, &birth, err);
	free(text);
	if (r != 0)
		return (r);
	*ret_same =
	    strcmp(birth.tag, store->tag) == 0 && strcmp(birth.cluster_id, store->cluster_id) == 0;
	*ret_birth = birth;
	return (0);
}

int
store_birth_restore(struct store *store, const struct store_birth *birth, struct leased_err *err)
{
	int r;

	r = store_sql_run(store->writer_db,
	    "UPDATE birth SET tag = ?1, cluster_id = ?2 WHERE id = 1",
	    SQL_ARGS(store_sql_text(birth->tag), store_sql_text(birth->cluster_id)), NULL, err);
	memcpy(store->tag, birth->tag, sizeof(store->tag));
	memcpy(store->cluster_id, birth->cluster_id, sizeof(store->cluster_id));
	return (r);
}

int
store_birth_settle(struct store *store, struct leased_err *err)
{
	struct store_birth birth = {0};
	bool same = false;
	int r;

	r = store_birth_compare(store, &birth, &same, err);
	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT) {
		if (r == LEASED_ECORRUPT)
			log_error("the copy of the store's tag is damaged: it is made anew",
			    LOG_ERR(err));
		r = store_birth_copy_put(store->writer_db, store->tag, store->cluster_id, err);
	} else if (r == 0 && !same) {
		log_error("the store's tag or id was damaged: it is taken from its copy",
		    LOG_S("was", store->tag), LOG_S("is", birth.tag));
		r = store_birth_restore(store, &birth, err);
	}
	/* The next start with room for it makes it. */
	return (r == LEASED_ENOSPC ? 0 : r);
}
