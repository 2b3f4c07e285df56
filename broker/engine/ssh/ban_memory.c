/*
 * The bans of an SSH mount as they hold: in memory, all of them or none. While they cannot be read
 * nothing is signed, since one of them could say no; whoever asks for a certificate then has it
 * tried again. ban.c writes them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/document.h"
#include "engine/ssh/ban.h"

#define RELOAD_MS 1000

static void
ban_free(struct ssh_ban *ban)
{
	LIST_REMOVE(ban, link);
	free(ban->name);
	free(ban->entity);
	free(ban->fingerprint);
	free(ban->key_id);
	free(ban);
}

static char *
copy_of(const json_t *data, const char *field, bool *failed)
{
	const char *text = json_string_value(json_object_get(data, field));
	char *copy = text != NULL ? strdup(text) : NULL;

	*failed |= text != NULL && copy == NULL;
	return (copy);
}

struct ssh_ban *
engine_ssh_ban_add(struct ssh_mount *mount, const struct store_doc *doc)
{
	struct ssh_ban *ban = calloc(1, sizeof(*ban));
	const char *slash = strchr(doc->name, '/');
	bool failed = false;

	if (ban == NULL)
		return (NULL);
	LIST_INSERT_HEAD(&mount->bans, ban, link);
	ban->id = doc->id;
	ban->version = doc->version;
	ban->name = strdup(slash != NULL ? slash + 1 : doc->name);
	ban->entity = copy_of(doc->data, "entity", &failed);
	ban->fingerprint = copy_of(doc->data, "fingerprint", &failed);
	ban->key_id = copy_of(doc->data, "key_id", &failed);
	ban->swept = json_is_true(json_object_get(doc->data, "swept"));
	if (failed || ban->name == NULL) {
		ban_free(ban);
		return (NULL);
	}
	mount->ban_count++;
	return (ban);
}

void
engine_ssh_ban_drop(struct ssh_mount *mount, struct ssh_ban *ban)
{
	mount->ban_count--;
	ban_free(ban);
}

struct ssh_ban *
engine_ssh_ban_find(const struct ssh_mount *mount, int64_t id)
{
	struct ssh_ban *ban;

	LIST_FOREACH (ban, &mount->bans, link)
		if (ban->id == id)
			return (ban);
	return (NULL);
}

bool
engine_ssh_ban_hits(
    const struct ssh_ban *ban, const char *entity, const char *fingerprint, const char *key_id)
{
	return ((ban->entity != NULL && entity != NULL && strcmp(ban->entity, entity) == 0) ||
		(ban->fingerprint != NULL && fingerprint != NULL &&
		    strcmp(ban->fingerprint, fingerprint) == 0) ||
		(ban->key_id != NULL && key_id != NULL && strcmp(ban->key_id, key_id) == 0));
}

int
engine_ssh_ban_damaged(const struct store_doc *doc, struct leased_err *err)
{
	const char *slash = strchr(doc->name, '/');

	return (leased_err_set(err, LEASED_ECORRUPT,
	    "the ban %.64s does not open: delete it (bans/%.64s), and write it anew",
	    slash != NULL ? slash + 1 : doc->name, slash != NULL ? slash + 1 : doc->name));
}

/* All of them, or none. */
static int
bans_load(struct ssh_mount *mount, struct leased_err *err)
{
	char prefix[ENGINE_DOC_NAME_SIZE];
	struct store_doc **docs = NULL;
	struct ssh_ban *ban;
	size_t count = 0;
	int r;

	engine_doc_name(mount->id, "", prefix);
	r = store_doc_list_all(store_db(mount->engines->config.store), "ssh-ban", prefix, NULL,
	    SSH_BANS_MAX, &docs, &count, err);
	for (size_t i = 0; i < count; i++) {
		if (r == 0 && docs[i]->data == NULL)
			r = engine_ssh_ban_damaged(docs[i], err);
		if (r == 0 && engine_ssh_ban_add(mount, docs[i]) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		store_doc_free(docs[i]);
	}
	free(docs);
	if (r != 0) {
		engine_ssh_bans_free(mount);
		return (r);
	}
	LIST_FOREACH (ban, &mount->bans, link)
		if (!ban->swept)
			engine_ssh_ban_sweep(mount, ban);
	return (0);
}

int
engine_ssh_bans_need(struct ssh_mount *mount, struct leased_err *err)
{
	int64_t now_ms = leases_now_ms(mount->engines->leases);
	struct leased_err *why = &mount->bans_why;

	if (mount->bans_known)
		return (0);
	if (now_ms >= mount->bans_until_ms) {
		mount->bans_until_ms = now_ms + RELOAD_MS;
		if (bans_load(mount, why) == 0) {
			mount->bans_known = true;
			return (0);
		}
		log_error("the bans of SSH could not be read: no certificate is signed until they "
			  "are",
		    LOG_I("mount", mount->id), LOG_ERR(why));
	}
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "the bans of this mount could not be read, and without them no certificate is signed "
	    "(it is tried again): %.240s",
	    why->text));
}

int
engine_ssh_ban_check(struct ssh_mount *mount, const char *entity, const char *fingerprint,
    const char *key_id, struct leased_err *err)
{
	const struct ssh_ban *ban;
	int r = engine_ssh_bans_need(mount, err);

	if (r != 0)
		return (r);
	LIST_FOREACH (ban, &mount->bans, link)
		if (engine_ssh_ban_hits(ban, entity, fingerprint, key_id))
			return (leased_err_set(err, LEASED_EDENIED,
			    "%s is banned here (bans/%s): no certificate is signed",
			    ban->entity != NULL        ? "your identity"
			    : ban->fingerprint != NULL ? "this key"
						       : "this key id",
			    ban->name));
	return (0);
}

void
engine_ssh_bans_free(struct ssh_mount *mount)
{
	while (!LIST_EMPTY(&mount->bans))
		engine_ssh_ban_drop(mount, LIST_FIRST(&mount->bans));
}
