/*
 * Makes the list that hosts fetch: read from the store by its reader (krl_read.c), written and
 * signed by a worker, kept until its version is an older one. What a version says follows from the
 * store alone: its date is that of its writing, and what had expired by then is left out; so two
 * daemons, or one before and behind a restart, make the same of it.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/ssh/krl.h"
#include "engine/ssh/krl_build.h"

#define COMMENT "revoked by leased"
#define COMMENT_KEYS 24 /* of the CA's that it names, by as many characters of their ids: */
#define COMMENT_KEY 8

/* ---- telling ---- */

static void
tell(struct engine_request_copy *request, const struct ssh_list *list, bool signature)
{
	struct engine_page page = {.cache = "no-cache",
	    .type = signature ? "text/plain; charset=utf-8" : "application/octet-stream",
	    .bytes = signature ? list->signature : list->krl,
	    .len = signature ? list->signature_len : list->krl_len};
	char etag[SSH_ETAG_SIZE];

	engine_ssh_krl_etag(list->version, etag);
	page.etag = etag;
	request->reply.page = &page;
	engine_finish(request);
}

static void
build_free(struct krl_build *build)
{
	for (size_t i = 0; i < build->ca_count; i++) {
		if (build->cas[i].out != NULL)
			(void)fclose(build->cas[i].out);
		free(build->cas[i].serials);
		free(build->cas[i].line);
	}
	json_decref(build->key_ids);
	json_decref(build->keys);
	free(build->known.entries);
	free(build->next.entries);
	free(build);
}

static void
build_end(struct krl_build *build, int code, const struct leased_err *err)
{
	struct ssh_mount *mount = build->mount;
	struct ssh_waiter *list = mount->builders, *waiter;
	struct engines *engines = build->engines;
	struct leased_err own = *err;

	if (code == 0)
		engine_ssh_krl_made(mount);
	else
		engine_ssh_krl_failed(mount, &own);
	mount->builders = NULL;
	mount->building = false;
	build_free(build);
	while ((waiter = list) != NULL) {
		list = waiter->next;
		if (code == 0 && waiter->version > mount->list.version)
			engine_ssh_krl_tell(mount, waiter->request, waiter->signature);
		else if (code == 0)
			tell(waiter->request, &mount->list, waiter->signature);
		else
			engine_fail(waiter->request, LEASED_EUNAVAIL, "%s",
			    mount->failure.count > 0 ? mount->failure.err.text : own.text);
		free(waiter);
	}
	engines_release(engines);
}

/* ---- what is over ---- */

static void
on_purged(void *arg, int code, const struct leased_err *err)
{
	if (code != 0 && code != LEASED_ENOENT && code != LEASED_ECONFLICT)
		log_warn("an entry of a list of revoked certificates that is over could not be "
			 "deleted",
		    LOG_ERR(err));
	free(arg);
}

static void
purge(const struct krl_build *build)
{
	struct engine_change *gone;

	for (size_t i = 0; i < build->over_count; i++) {
		if ((gone = calloc(1, sizeof(*gone))) == NULL)
			return; /* the next list finds it again */
		gone->deletes[0].id = build->over[i].id;
		gone->deletes[0].version = build->over[i].version;
		gone->done = on_purged;
		gone->arg = gone;
		engine_change_submit(build->engines, gone);
	}
}

/* ---- by a worker ---- */

static int
keep(struct krl_build *build, const json_t *result)
{
	struct ssh_list *list = &build->mount->list;
	const char *base64 = json_string_value(json_object_get(result, "krl"));
	size_t len = strlen(base64);
	char *krl = malloc(len / 4 * 3 + 1);
	char *signature = strdup(json_string_value(json_object_get(result, "signature")));
	int got = krl != NULL ? EVP_DecodeBlock(
				    (unsigned char *)krl, (const unsigned char *)base64, (int)len)
			      : -1;

	if (krl == NULL || signature == NULL || got < 3) {
		free(krl);
		free(signature);
		return (LEASED_EPROTO);
	}
	free(list->krl);
	free(list->signature);
	list->krl = krl;
	list->krl_len = (size_t)got - (base64[len - 1] == '=') - (base64[len - 2] == '=');
	list->signature = signature;
	list->signature_len = strlen(signature);
	list->version = build->version;
	return (0);
}

static void
on_signed(void *arg, const struct plugin_outcome *outcome)
{
	struct krl_build *build = arg;
	struct leased_err err = outcome->err;
	int r = outcome->code;

	FAILPOINT(engine_ssh_after_krl);
	if (r == 0 && keep(build, outcome->result) != 0)
		r = leased_err_set(&err, LEASED_EPROTO, "a worker made no list of it");
	if (r == 0 && !build->engines->stopping)
		purge(build);
	build_end(build, r, &err);
}

/* Whose list it is, for a host that keeps one in a file: the CA's newest keys and those before. */
static void
comment_write(const struct krl_build *build, char *comment, size_t size)
{
	int used = snprintf(comment, size, "%s", COMMENT);

	for (size_t i = 0; i < build->ca_count && i < COMMENT_KEYS; i++)
		used += snprintf(comment + used, size - (size_t)used, "%s%.*s", i == 0 ? ": " : " ",
		    COMMENT_KEY, build->cas[i].kid);
}

static json_t *
params_of(const struct krl_build *build)
{
	bool by_id = json_array_size(build->key_ids) > 0;
	json_t *cas = json_array(), *one;
	char version[24], comment[sizeof(COMMENT) + 2 + COMMENT_KEYS * (COMMENT_KEY + 1)];

	comment_write(build, comment, sizeof(comment));
	for (size_t i = 0; i < build->ca_count; i++) {
		const struct krl_ca *ca = &build->cas[i];

		if (ca->last == 0 && !by_id)
			continue;
		one = json_pack("{s:s,s:s,s:O}", "line", ca->line, "serials", ca->serials,
		    "key_ids", build->key_ids);
		(void)json_array_append_new(cas, one);
	}
	(void)snprintf(version, sizeof(version), "%lld", (long long)build->version);
	return (json_pack("{s:s,s:{s:s,s:I,s:s,s:o,s:O}}", "key", build->kid, "krl", "version",
	    version, "date", (json_int_t)build->date_s, "comment", comment, "cas", cas, "keys",
	    build->keys));
}

static void
build_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct krl_build *build = (struct krl_build *)read;
	struct ssh_mount *mount = build->mount;
	struct leased_err own = *err;
	json_t *params;

	engine_ssh_krl_known_give(build, result == 0, &mount->known);
	if (result == 0)
		result = engine_ssh_open(mount, false, &own);
	if (result == 0 &&
	    ((params = params_of(build)) == NULL ||
		plugin_call_start(mount->port, PLUGIN_OP_KRL, params, 0, on_signed, build) == NULL))
		result = leased_err_set(&own, LEASED_ENOMEM, "out of memory");
	if (result != 0)
		build_end(build, result, &own);
}

static int
cas_fill(struct krl_build *build)
{
	static const char *const lists[] = {"keys", "retired"};
	const json_t *key;
	struct krl_ca *ca;
	size_t i;

	for (size_t k = 0; k < 2; k++)
		json_array_foreach(json_object_get(build->mount->ca, lists[k]), i, key)
		{
			ca = &build->cas[build->ca_count];
			(void)strlcpy(ca->kid, json_string_value(json_object_get(key, "kid")),
			    sizeof(ca->kid));
			ca->line = strdup(json_string_value(json_object_get(key, "line")));
			ca->out = open_memstream(&ca->serials, &ca->size);
			build->ca_count++;
			if (ca->line == NULL || ca->out == NULL)
				return (LEASED_ENOMEM);
		}
	return (0);
}

static int
build_start(struct ssh_mount *mount, struct leased_err *err)
{
	struct krl_build *build = calloc(1, sizeof(*build));
	const json_t *active = engine_ssh_ca_active(mount);

	if (build == NULL || active == NULL) {
		free(build);
		return (build == NULL ? leased_err_set(err, LEASED_ENOMEM, "out of memory")
				      : engine_ssh_ca_missing(err));
	}
	build->mount = mount;
	build->engines = mount->engines;
	build->mount_id = mount->id;
	(void)strlcpy(
	    build->kid, json_string_value(json_object_get(active, "kid")), sizeof(build->kid));
	build->key_ids = json_array();
	build->keys = json_array();
	if (cas_fill(build) != 0 || build->key_ids == NULL || build->keys == NULL) {
		build_free(build);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	engine_ssh_krl_known_take(&mount->known, build);
	build->read.run = engine_ssh_krl_read_run;
	build->read.done = build_done;
	mount->building = true;
	engines_hold(mount->engines);
	store_submit_read(mount->engines->config.store, &build->read);
	return (0);
}

int
engine_ssh_krl_make(struct ssh_mount *mount, struct leased_err *err)
{
	int r = mount->building ? 0 : engine_ssh_krl_may_try(mount, err);

	return (r == 0 && !mount->building ? build_start(mount, err) : r);
}

void
engine_ssh_krl_tell(struct ssh_mount *mount, struct engine_request_copy *request, bool signature)
{
	struct ssh_waiter *waiter = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int64_t version = 0;
	int r = engine_ssh_krl_version(mount, &version, &err);

	if (r == 0 && mount->list.krl != NULL && mount->list.version == version) {
		tell(request, &mount->list, signature);
		return;
	}
	if (r == 0 && (waiter = calloc(1, sizeof(*waiter))) == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		r = engine_ssh_krl_make(mount, &err);
	if (r != 0) {
		free(waiter);
		engine_fail_err(request, &err);
		return;
	}
	waiter->request = request;
	waiter->signature = signature;
	waiter->version = version;
	waiter->next = mount->builders;
	mount->builders = waiter;
}
