/*
 * fsck, the small values: each one's checksum, and the store's tag against its copy. It calls no
 * value's owner: what leased makes anew by itself is removed, the rest only a person can mend.
 */
#include <stdlib.h>
#include <string.h>

#include "store/value.h"
#include "store/offline_private.h"

/* What leased cannot make anew: who is who, and what another leased may be in charge of. */
static bool
is_kept(const char *key)
{
	return (strncmp(key, "auth_", 5) == 0 || strcmp(key, "restore_hold") == 0);
}

struct bad_values {
	char keys[8][64];
	unsigned count;
};

static void
on_bad(void *arg, const char *key, const char *why)
{
	struct bad_values *bad = arg;

	(void)why;
	if (bad->count < sizeof(bad->keys) / sizeof(bad->keys[0]))
		(void)strlcpy(bad->keys[bad->count++], key, sizeof(bad->keys[0]));
}

static int
work_remove(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)check;
	return (store_sql_run(
	    txn->db, "DELETE FROM meta WHERE name = ?1", SQL_ARGS(store_sql_text(arg)), NULL, err));
}

static void
bad_value(struct store_check *check, char *key)
{
	struct leased_err why = LEASED_ERR_INIT;

	if (is_kept(key))
		store_check_say(check, STORE_FOUND_LEFT,
		    "the value %s: its checksum does not match: leased cannot make it anew, "
		    "restore "
		    "the store from a backup",
		    key);
	else if (check->repair && store_check_write(check, work_remove, key, &why) == 0)
		store_check_say(check, STORE_FOUND_REPAIRED,
		    "the value %s: its checksum does not match: removed, leased makes it anew",
		    key);
	else
		store_check_say(check, STORE_FOUND_LEFT,
		    "the value %s: its checksum does not match%s%s", key,
		    why.text[0] != '\0' ? ": " : "", why.text);
}

static int
work_birth(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)txn;
	return (store_birth_restore(check->store, arg, err));
}

static int
birth_check(struct store_check *check, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	struct store_birth birth;
	bool same = false;
	char was[STORE_TAG_LEN + 1];
	int r;

	r = store_birth_compare(check->store, &birth, &same, &why);
	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT || (r == 0 && same))
		return (
		    0); /* the next start makes the copy; a damaged one is told by its checksum */
	if (r != 0)
		return (leased_err_set(err, r, "%s", why.text));
	memcpy(was, check->store->tag, sizeof(was));
	if (check->repair && store_check_write(check, work_birth, &birth, &why) == 0)
		store_check_say(check, STORE_FOUND_REPAIRED,
		    "the store's tag or id (%s) differed from its copy (%s): taken from there", was,
		    birth.tag);
	else
		store_check_say(check, STORE_FOUND_LEFT,
		    "the store's tag or id (%s) differs from its copy (%s): the next start takes "
		    "it from there",
		    was, birth.tag);
	return (0);
}

int
store_check_values(struct store_check *check, struct leased_err *err)
{
	struct bad_values bad = {.count = 0};
	int r;

	r = store_meta_check(check->store->writer_db, on_bad, &bad, err);
	for (unsigned i = 0; i < bad.count; i++)
		bad_value(check, bad.keys[i]);
	if (r == 0)
		r = birth_check(check, err);
	if (r != LEASED_ECORRUPT)
		return (r);
	store_check_say(check, STORE_FOUND_LEFT, "the small values: %s", err->text);
	return (0);
}
