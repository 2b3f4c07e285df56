/*
 * The CA of a mount as its document and memory have it: its keys, which of them signs, what is
 * published of them. Which one signs follows from the times that stand in the document, so that a
 * rotation that was announced needs neither a timer nor a write when its time comes. What changes
 * it is ca_change.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/etag.h"
#include "engine/document.h"
#include "engine/ssh/ssh.h"

#define DOC "ca"

static int64_t
from_ms(const json_t *key)
{
	const json_t *from = json_object_get(key, "from_ms");

	return (json_is_integer(from) ? json_integer_value(from) : SSH_NEVER);
}

const json_t *
engine_ssh_ca_active(const struct ssh_mount *mount)
{
	int64_t now_ms = leases_now_ms(mount->engines->leases);
	const json_t *key, *active = NULL;
	size_t i;

	json_array_foreach(json_object_get(mount->ca, "keys"), i, key)
	{
		if (from_ms(key) <= now_ms && (active == NULL || from_ms(key) >= from_ms(active)))
			active = key;
	}
	return (active);
}

int
engine_ssh_ca_missing(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL, "keys haven't been configured yet"));
}

static json_t *
without_private(const json_t *data)
{
	json_t *copy = json_deep_copy(data), *key;
	size_t i;

	json_array_foreach(json_object_get(copy, "keys"), i, key)(void)
	    json_object_del(key, "private");
	return (copy);
}

int
engine_ssh_ca_remember(struct ssh_mount *mount, const struct store_doc *doc, struct leased_err *err)
{
	json_t *copy = without_private(doc->data);

	if (copy == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	json_decref(mount->ca);
	mount->ca = copy;
	mount->ca_id = doc->id;
	mount->ca_version = doc->version;
	return (0);
}

int
engine_ssh_ca_load(struct ssh_mount *mount, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r = engine_doc_get(mount->engines, "ssh-ca", mount->id, DOC, &doc, err);

	if (r == 0)
		r = engine_ssh_ca_remember(mount, doc, err);
	store_doc_free(doc);
	return (r == LEASED_ENOENT ? 0 : r);
}

int
engine_ssh_ca_config(struct ssh_mount *mount, json_t **ret_config, struct leased_err *err)
{
	const json_t *active = engine_ssh_ca_active(mount), *key;
	json_t *keys = json_object(), *config = json_pack("{s:o}", "keys", keys);
	struct store_doc *doc = NULL;
	size_t i;
	int r = 0;

	if (config == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (active != NULL)
		r = engine_doc_get(mount->engines, "ssh-ca", mount->id, DOC, &doc, err);
	/* The one that signs now and no other, though one may have been announced. */
	json_array_foreach(doc != NULL ? json_object_get(doc->data, "keys") : NULL, i, key)
	{
		if (!json_equal(json_object_get(key, "kid"), json_object_get(active, "kid")))
			continue;
		if (json_object_set_new(keys, json_string_value(json_object_get(key, "kid")),
			json_pack("{s:O,s:O}", "algorithm", json_object_get(key, "algorithm"),
			    "private", json_object_get(key, "private"))) != 0)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	}
	store_doc_free(doc);
	if (r != 0) {
		json_decref(config);
		return (r);
	}
	*ret_config = config;
	return (0);
}

/* ---- what is told ---- */

static json_t *
key_shown(const struct ssh_mount *mount, const json_t *key)
{
	const json_t *active = engine_ssh_ca_active(mount);
	int64_t from = from_ms(key);
	const char *state = key == active ? "active" : "previous";
	char text[WCLOCK_RFC3339_SIZE];
	json_t *shown;

	if (from > leases_now_ms(mount->engines->leases))
		state = "next";
	shown = json_pack("{s:O,s:O,s:O,s:s}", "kid", json_object_get(key, "kid"), "algorithm",
	    json_object_get(key, "algorithm"), "public_key", json_object_get(key, "line"), "state",
	    state);
	if (from == SSH_NEVER || shown == NULL)
		return (shown);
	wclock_format_rfc3339(leases_wall_ms(mount->engines->leases, from) * 1000, text);
	(void)json_object_set_new(shown, "signs_from", json_string(text));
	return (shown);
}

void
engine_ssh_ca_read(struct engine_request_copy *request)
{
	const struct ssh_mount *mount = engine_ssh_mount(request);
	const json_t *active = mount != NULL ? engine_ssh_ca_active(mount) : NULL, *key;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *keys = json_array();
	size_t i;
	int r = 0;

	if (mount == NULL || keys == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	else if (active == NULL)
		r = engine_ssh_ca_missing(&err);
	json_array_foreach(r == 0 ? json_object_get(mount->ca, "keys") : NULL, i, key)
	{
		if (json_array_append_new(keys, key_shown(mount, key)) != 0)
			r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	}
	if (r == 0)
		request->reply.data = json_pack(
		    "{s:O,s:O}", "public_key", json_object_get(active, "line"), "keys", keys);
	json_decref(keys);
	if (r != 0)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

/* The one that signs stands first: who takes one line takes that. */
static void
lines_write(const struct ssh_mount *mount, FILE *out)
{
	const json_t *active = engine_ssh_ca_active(mount), *key;
	size_t i;

	(void)fprintf(out, "%s\n", json_string_value(json_object_get(active, "line")));
	json_array_foreach(json_object_get(mount->ca, "keys"), i, key)
	{
		if (key != active)
			(void)fprintf(out, "%s\n", json_string_value(json_object_get(key, "line")));
	}
}

void
engine_ssh_public_key(struct engine_request_copy *request)
{
	const struct ssh_mount *mount = engine_ssh_mount(request);
	struct engine_page page = {.type = "text/plain; charset=utf-8", .cache = "no-cache"};
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL, etag[ETAG_SIZE];
	size_t size = 0;
	FILE *out;

	if (mount == NULL || engine_ssh_ca_active(mount) == NULL) {
		(void)engine_ssh_ca_missing(&err);
		engine_fail_err(request, &err);
		return;
	}
	if ((out = open_memstream(&text, &size)) != NULL) {
		lines_write(mount, out);
		if (fclose(out) == 0 && etag_of(text, size, etag) == 0) {
			page.bytes = text;
			page.len = size;
			page.etag = etag;
		}
	}
	request->reply.page = &page;
	if (page.bytes != NULL)
		engine_finish(request);
	else
		engine_fail(request, LEASED_ENOMEM, "out of memory");
	free(text);
}

/* ---- words for kinds of keys ---- */

int
engine_ssh_algorithm(
    const char *type, int64_t bits, const char **ret_algorithm, struct leased_err *err)
{
	static const struct {
		const char *type;
		int64_t bits; /* -1: whatever was said */
		const char *algorithm;
	} rows[] = {
	    {"", -1, "ed25519"},
	    {"ed25519", -1, "ed25519"},
	    {"ssh-ed25519", -1, "ed25519"},
	    {"ec", 0, "ecdsa-p256"},
	    {"ec", 256, "ecdsa-p256"},
	    {"ec", 384, "ecdsa-p384"},
	    {"ec", 521, "ecdsa-p521"},
	    {"ecdsa-sha2-nistp256", -1, "ecdsa-p256"},
	    {"ecdsa-sha2-nistp384", -1, "ecdsa-p384"},
	    {"ecdsa-sha2-nistp521", -1, "ecdsa-p521"},
	    {"rsa", 0, "rsa-3072"},
	    {"rsa", 2048, "rsa-2048"},
	    {"rsa", 3072, "rsa-3072"},
	    {"rsa", 4096, "rsa-4096"},
	};

	if (type == NULL)
		type = "";
	if (strcmp(type, "ssh-rsa") == 0)
		type = "rsa";
	if (strcmp(type, "ecdsa") == 0)
		type = "ec";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].type, type) == 0 &&
		    (rows[i].bits == bits || rows[i].bits == -1)) {
			*ret_algorithm = rows[i].algorithm;
			return (0);
		}
	return (leased_err_set(err, LEASED_EINVAL,
	    "key_type and key_bits: there are ed25519, ec of 256, 384 or 521 bits, and rsa of "
	    "2048, 3072 or 4096"));
}
