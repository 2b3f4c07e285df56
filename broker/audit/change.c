/*
 * The record of a change in the store, made on the writer thread inside the transaction of the
 * change. Which changes are worth one is decided here: states of leases, marks, renewals, tokens,
 * documents, jobs, leased.hcl; not a back-off or a note of delivery. It reads what lease/ keeps in
 * its records by name, and only the names below.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_private.h"
#include "base/id.h"

/* ---- what it is called ---- */

static const char *
name_of_new(const struct store_lease *lease)
{
	switch (lease->kind) {
	case STORE_LEASE_TOKEN:
		return ("token_made");
	case STORE_LEASE_CANARY:
	case STORE_LEASE_CREDENTIAL:
	case STORE_LEASE_PLAIN:
		return (lease->state == STORE_LEASE_LIVE ? "lease_live" : "lease_intent");
	}
	return (NULL);
}

static const char *
name_of_update(const struct store_change *change)
{
	const struct store_lease *lease = change->lease;
	bool token = lease->kind == STORE_LEASE_TOKEN;

	if (lease->state != change->before.state && lease->state == STORE_LEASE_LIVE)
		return ("lease_live");
	if (lease->state != change->before.state && lease->state == STORE_LEASE_DISARMED)
		return ("lease_disarmed");
	if (lease->revoke && !change->before.revoke)
		return (token ? "token_marked" : "lease_marked");
	/* A refusal moves the time as well, and leaves its error. */
	if (lease->state == STORE_LEASE_LIVE && !lease->revoke &&
	    lease->next_at_ms != change->before.next_at_ms &&
	    json_object_get(lease->data, "error_code") == NULL)
		return (token ? "token_renewed" : "lease_renewed");
	return (NULL);
}

static const char *
name_of(const struct store_change *change)
{
	switch (change->kind) {
	case STORE_CHANGE_LEASE_NEW:
		return (name_of_new(change->lease));
	case STORE_CHANGE_LEASE:
		return (name_of_update(change));
	case STORE_CHANGE_LEASE_GONE:
		return (change->lease->kind == STORE_LEASE_TOKEN ? "token_ended" : "lease_gone");
	case STORE_CHANGE_DOC:
		return (change->doc->version == 1 ? "document_made" : "document_written");
	case STORE_CHANGE_DOC_GONE:
		return ("document_deleted");
	case STORE_CHANGE_JOB_NEW:
		return ("job_started");
	}
	return (NULL);
}

/* ---- what it says ---- */

/* Paths of mounts never change. "" where the mount is gone. */
static const char *
mount_path(struct audit *audit, struct store_txn *txn, int64_t id)
{
	struct audit_mount *mount = &audit->mounts[audit->mount_next % AUDIT_MOUNTS];
	struct store_doc *doc = NULL;

	for (unsigned i = 0; i < AUDIT_MOUNTS; i++)
		if (audit->mounts[i].id == id && id != 0)
			return (audit->mounts[i].path);
	if (id == 0 || store_doc_get_id(store_txn_db(txn), id, &doc, NULL) != 0)
		return ("");
	mount->id =
	    strlcpy(mount->path, doc->name, sizeof(mount->path)) < sizeof(mount->path) ? id : 0;
	audit->mount_next++;
	store_doc_free(doc);
	return (mount->path);
}

static int
set_lease_id(
    struct audit *audit, struct store_txn *txn, const struct store_lease *lease, json_t *object)
{
	char number[9], id[1024];
	int len;

	if (lease->kind == STORE_LEASE_TOKEN || id_number_encode(lease->id, number) != 0)
		return (0);
	len = snprintf(id, sizeof(id), "%s%s/%s%s", mount_path(audit, txn, lease->mount),
	    lease->place, number, lease->random);
	return (len > 0 && (size_t)len < sizeof(id) ? audit_set_text(object, "lease_id", id) : 0);
}

/* The members of lease/'s own data that say who, for whom and why. */
static int
set_data(struct seal *seal, json_t *object, const json_t *data)
{
	static const char *const clear[] = {"role", "display", "entity", "cause", "revoke_cause",
	    "end_by", "server", "ttl_s", "role_version", "owner_token", "failed_mint", "reason"};
	const char *accessor = json_string_value(json_object_get(data, "end_accessor"));
	json_t *value;
	int r = 0;

	for (size_t i = 0; i < sizeof(clear) / sizeof(clear[0]) && r == 0; i++)
		if ((value = json_object_get(data, clear[i])) != NULL)
			r = json_object_set(object, clear[i], value);
	if (r == 0 && accessor != NULL)
		r = audit_set(object, "end_accessor", audit_hash_json(seal, accessor));
	return (r);
}

/* As lease/ numbers what ends a lease; a unit test holds the two together. */
static int
set_end(json_t *object, const json_t *data)
{
	static const char *const words[] = {NULL, "expired", "revoked", "revoked_in_bulk",
	    "token_ended", "undelivered", "failed_mint", "preflight", "mount_removed", "abandoned",
	    "orphan_removed"};
	json_int_t end = json_integer_value(json_object_get(data, "end"));

	if (end > 0 && end < (json_int_t)(sizeof(words) / sizeof(words[0])))
		return (audit_set_text(object, "end", words[end]));
	return (end != 0 ? audit_set(object, "end", json_integer(end)) : 0);
}

static json_t *
lease_part(struct audit *audit, struct store_txn *txn, const struct store_change *change)
{
	static const char *const kinds[] = {"", "credential", "canary", "token", "plain"};
	const struct store_lease *lease = change->lease;
	const json_t *data = change->tombstone != NULL ? change->tombstone : lease->data;
	json_t *object = json_pack("{s:I,s:s,s:I}", "row", (json_int_t)lease->id, "kind",
	    kinds[lease->kind], "connection", (json_int_t)lease->connection);
	int r = object != NULL ? 0 : -1;

	if (r == 0)
		r = set_lease_id(audit, txn, lease, object);
	if (r == 0)
		r = audit_set_text(object, "account", lease->account);
	if (r == 0)
		r = audit_set_text(object, "owner", lease->owner);
	if (r == 0 && lease->revoke)
		r = audit_set(object, "revoke", json_true());
	if (r == 0)
		r = set_data(audit->seal, object, data);
	if (r == 0)
		r = set_end(object, data);
	if (r == 0)
		return (object);
	json_decref(object);
	return (NULL);
}

static json_t *
doc_part(const struct store_doc *doc)
{
	return (json_pack("{s:s,s:s,s:I}", "kind", doc->kind, "name", doc->name, "version",
	    (json_int_t)doc->version));
}

static json_t *
job_part(struct seal *seal, const struct store_job *job)
{
	static const char *const clear[] = {
	    "kind", "mount", "token", "text", "cause", "by", "root"};
	const char *accessor = json_string_value(json_object_get(job->data, "accessor"));
	json_t *object =
	    json_pack("{s:I,s:I}", "id", (json_int_t)job->id, "up_to_row", (json_int_t)job->high);
	json_t *value;
	int r = object != NULL ? 0 : -1;

	for (size_t i = 0; i < sizeof(clear) / sizeof(clear[0]) && r == 0; i++)
		if ((value = json_object_get(job->data, clear[i])) != NULL)
			r = json_object_set(object, clear[i], value);
	if (r == 0)
		r = set_end(object, job->data);
	if (r == 0 && accessor != NULL && accessor[0] != '\0')
		r = audit_set(object, "accessor", audit_hash_json(seal, accessor));
	if (r == 0)
		return (object);
	json_decref(object);
	return (NULL);
}

int
audit_change_text(struct audit *audit, struct store_txn *txn, const struct store_change *change,
    char **ret_text, struct leased_err *err)
{
	const char *name = name_of(change);
	char time[WCLOCK_RFC3339_SIZE];
	json_t *object;
	int r;

	if (name == NULL)
		return (0);
	wclock_format_rfc3339(audit->clock->wall_us(audit->clock), time);
	object = json_pack("{s:s,s:s,s:s}", "time", time, "type", "change", "what", name);
	r = object != NULL ? 0 : -1;
	if (r == 0 && change->lease != NULL)
		r = audit_set(object, "lease", lease_part(audit, txn, change));
	else if (r == 0 && change->doc != NULL)
		r = audit_set(object, "document", doc_part(change->doc));
	else if (r == 0 && change->job != NULL)
		r = audit_set(object, "job", job_part(audit->seal, change->job));
	if (r != 0) {
		json_decref(object);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to record a change"));
	}
	return (audit_entry_text(object, ret_text, err));
}

int
audit_configuration_text(struct audit *audit, const struct audit_configuration *configuration,
    char **ret_text, struct leased_err *err)
{
	char time[WCLOCK_RFC3339_SIZE];
	json_t *object;
	int r;

	wclock_format_rfc3339(audit->clock->wall_us(audit->clock), time);
	object = json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:I,s:I,s:I,s:I}}", "time", time, "type",
	    "change", "what", "configuration", "configuration", "cause", configuration->cause,
	    "file", "", "sha256", configuration->sha256, "policies",
	    (json_int_t)configuration->policies, "roles", (json_int_t)configuration->roles,
	    "listeners", (json_int_t)configuration->listeners, "certificates",
	    (json_int_t)configuration->certificates);
	r = object != NULL ? audit_set_text(json_object_get(object, "configuration"), "file",
				 configuration->file)
			   : -1;
	if (r != 0) {
		json_decref(object);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to record the change"));
	}
	return (audit_entry_text(object, ret_text, err));
}
