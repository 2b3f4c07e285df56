/*
 * What stands in a list of revoked certificates, read by the store's reader. A document of one
 * never changes, so that what was read for the list before is remembered: of a hundred thousand
 * that were known only the names are read again, and the next revocation need not wait until all of
 * them are opened. krl_build.c calls.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/ssh/ban.h"
#include "engine/ssh/krl_build.h"

#define PAGE 256

/* ---- what is remembered ---- */

void
engine_ssh_krl_known_take(struct ssh_known *known, struct krl_build *build)
{
	build->known = *known;
	*known = (struct ssh_known){0};
	memcpy(build->next.kids, build->known.kids, sizeof(build->next.kids));
	build->next.kid_count = build->known.kid_count;
}

void
engine_ssh_krl_known_give(struct krl_build *build, bool good, struct ssh_known *ret_known)
{
	struct ssh_known *from = good ? &build->next : &build->known;

	*ret_known = *from;
	from->entries = NULL;
	if (!ret_known->partial)
		return;
	free(ret_known->entries);
	*ret_known = (struct ssh_known){0};
}

static const struct ssh_entry *
known_find(const struct ssh_known *known, int64_t serial, size_t *at)
{
	while (*at < known->count && known->entries[*at].serial < serial)
		(*at)++;
	return (*at < known->count && known->entries[*at].serial == serial ? &known->entries[*at]
									   : NULL);
}

/* What there is no room for is read again for the next list. */
static void
known_add(struct ssh_known *known, const char *kid, struct ssh_entry entry)
{
	size_t size = known->size != 0 ? known->size * 2 : 64, i;
	struct ssh_entry *grown;

	for (i = 0; i < known->kid_count && strcmp(known->kids[i], kid) != 0; i++)
		;
	if (i == known->kid_count && i < SSH_KIDS_KNOWN) {
		(void)strlcpy(known->kids[i], kid, sizeof(known->kids[i]));
		known->kid_count++;
	}
	known->partial |= i == SSH_KIDS_KNOWN;
	if (!known->partial && known->count == known->size) {
		grown = reallocarray(known->entries, size, sizeof(*grown));
		known->partial = grown == NULL;
		if (grown != NULL) {
			known->entries = grown;
			known->size = size;
		}
	}
	if (known->partial)
		return;
	entry.kid = (unsigned)i;
	known->entries[known->count++] = entry;
}

/* ---- certificates ---- */

static void
serial_put(struct krl_ca *ca, int64_t serial)
{
	if (serial <= ca->last)
		return;
	(void)fprintf(ca->out, "%s%lld", ca->last != 0 ? "," : "", (long long)(serial - ca->last));
	ca->last = serial;
}

static int64_t
serial_of(const struct store_doc *doc)
{
	const char *slash = strchr(doc->name, '/');

	return (slash != NULL ? strtonum(slash + 1, 1, INT64_MAX, NULL) : 0);
}

static void
revoked_put(struct krl_build *build, const struct store_doc *doc, const char *kid, int64_t exp_s)
{
	int64_t serial = serial_of(doc);

	known_add(&build->next, kid, (struct ssh_entry){.serial = serial, .exp_s = exp_s});
	if (exp_s <= build->date_s) {
		if (build->over_count < PURGE_MAX)
			build->over[build->over_count++] = (struct over){doc->id, doc->version};
		return;
	}
	/* Of a key that was retired long ago nothing is trusted any more. */
	for (size_t i = 0; i < build->ca_count; i++)
		if (strcmp(build->cas[i].kid, kid) == 0)
			serial_put(&build->cas[i], serial);
}

/* What does not open is revoked all the same, and for good: no two of a mount have one serial. */
static void
damaged_put(struct krl_build *build, const struct store_doc *doc)
{
	for (size_t i = 0; i < build->ca_count; i++)
		serial_put(&build->cas[i], serial_of(doc));
}

static int
revoked_take(struct krl_build *build, const struct store_doc *doc, struct leased_err *err)
{
	const char *kid = json_string_value(json_object_get(doc->data, "ca"));

	(void)err;
	if (doc->data == NULL)
		damaged_put(build, doc);
	else
		revoked_put(build, doc, kid != NULL ? kid : "",
		    json_integer_value(json_object_get(doc->data, "exp")));
	return (0);
}

/* doc: by its columns. */
static int
name_take(struct krl_build *build, struct store_db *db, const struct store_doc *doc, size_t *at,
    struct leased_err *err)
{
	const struct ssh_entry *entry = known_find(&build->known, serial_of(doc), at);
	struct store_doc *whole = NULL;
	int r;

	if (entry != NULL) {
		revoked_put(build, doc, build->known.kids[entry->kid], entry->exp_s);
		return (0);
	}
	r = store_doc_get(db, doc->kind, doc->name, &whole, err);
	if (r == 0 || r == LEASED_ECORRUPT)
		r = revoked_take(build, r == 0 ? whole : doc, err);
	store_doc_free(whole);
	return (r);
}

/* By their names, and opened where they are not known. */
static int
walk_names(struct krl_build *build, struct store_db *db, struct leased_err *err)
{
	char prefix[ENGINE_DOC_NAME_SIZE], after[ENGINE_DOC_NAME_SIZE];
	struct store_doc **docs;
	size_t count, at = 0;
	bool over = false;
	int r;

	engine_doc_name(build->mount_id, "", prefix);
	(void)strlcpy(after, prefix, sizeof(after));
	do {
		docs = NULL;
		count = 0;
		r = store_doc_columns_list(db, "ssh-revoked", after, PAGE, &docs, &count, err);
		for (size_t i = 0; i < count; i++) {
			(void)strlcpy(after, docs[i]->name, sizeof(after));
			over |= strncmp(after, prefix, strlen(prefix)) != 0;
			if (r == 0 && !over)
				r = name_take(build, db, docs[i], &at, err);
			store_doc_free(docs[i]);
		}
		free(docs);
	} while (r == 0 && !over && count == PAGE);
	return (r);
}

/* ---- bans ---- */

static int
ban_take(struct krl_build *build, const struct store_doc *doc, struct leased_err *err)
{
	json_t *key = json_object_get(doc->data, "fingerprint");
	json_t *key_id = json_object_get(doc->data, "key_id");
	int failed = 0;

	if (doc->data == NULL)
		return (engine_ssh_ban_damaged(doc, err));
	if (json_is_string(key))
		failed = json_array_append(build->keys, key);
	else if (json_is_string(key_id))
		failed = json_array_append(build->key_ids, key_id);
	return (failed == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* ---- all ---- */

static int
version_read(struct krl_build *build, struct store_db *db, struct leased_err *err)
{
	char name[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc = NULL;
	int r;

	engine_doc_name(build->mount_id, SSH_KRL_DOC, name);
	r = store_doc_get(db, "ssh-krl", name, &doc, err);
	if (r == 0) {
		build->version = json_integer_value(json_object_get(doc->data, "version"));
		build->date_s = json_integer_value(json_object_get(doc->data, "date"));
	}
	store_doc_free(doc);
	return (r == LEASED_ENOENT ? 0 : r);
}

static int
walk(struct krl_build *build, struct store_db *db, const char *kind,
    int (*take)(struct krl_build *, const struct store_doc *, struct leased_err *),
    struct leased_err *err)
{
	char prefix[ENGINE_DOC_NAME_SIZE], after[ENGINE_DOC_NAME_SIZE] = "";
	struct store_doc **docs;
	size_t count;
	int r;

	engine_doc_name(build->mount_id, "", prefix);
	do {
		docs = NULL;
		count = 0;
		r = store_doc_list_all(
		    db, kind, prefix, after[0] != '\0' ? after : NULL, PAGE, &docs, &count, err);
		for (size_t i = 0; i < count; i++) {
			(void)strlcpy(after, docs[i]->name, sizeof(after));
			if (r == 0)
				r = take(build, docs[i], err);
			store_doc_free(docs[i]);
		}
		free(docs);
	} while (r == 0 && count == PAGE);
	return (r);
}

/* One moment of the store: a version, and what it is the version of. */
int
engine_ssh_krl_read_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct krl_build *build = (struct krl_build *)read;
	int r;

	if ((r = store_snapshot_begin(db, err)) != 0)
		return (r);
	if ((r = version_read(build, db, err)) == 0)
		r = build->known.count > 0 ? walk_names(build, db, err)
					   : walk(build, db, "ssh-revoked", revoked_take, err);
	if (r == 0)
		r = walk(build, db, "ssh-ban", ban_take, err);
	store_snapshot_end(db);
	for (size_t i = 0; i < build->ca_count; i++) {
		bool failed = ferror(build->cas[i].out) != 0;

		if ((fclose(build->cas[i].out) != 0 || failed) && r == 0)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		build->cas[i].out = NULL;
	}
	return (r);
}
