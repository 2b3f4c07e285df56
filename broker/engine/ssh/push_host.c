/*
 * hosts/:name of an SSH mount: where the list of revoked keys is brought to, and how that goes. The
 * document is what was configured; what is told of it besides is in memory (push.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "engine/database.h"
#include "engine/document.h"
#include "engine/ssh/krl.h"
#include "engine/ssh/push.h"
#include "engine/ssh/words.h"

#define KIND "ssh-host"

struct host_body {
	char *address, *user, *path;
	struct jdec_list host_key;
	int64_t port;
};
static const struct jdec_field host_fields[] = {
    JDEC_FIELD(struct host_body, address, JDEC_STRING),
    JDEC_FIELD(struct host_body, port, JDEC_INT),
    JDEC_FIELD(struct host_body, user, JDEC_STRING),
    JDEC_FIELD(struct host_body, path, JDEC_STRING),
    JDEC_FIELD(struct host_body, host_key, JDEC_STRING_LIST),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const host_names[] = {"address", "port", "user", "path", "host_key", NULL};

struct host_change {
	struct engine_change change; /* first */
	struct store_doc *doc;
};

static void
change_free(void *state)
{
	struct host_change *change = state;

	store_doc_free(change->doc);
	free(change);
}

/* ---- in memory ---- */

void
engine_ssh_host_free(struct ssh_host *host)
{
	LIST_REMOVE(host, link);
	host->push->host_count--;
	json_decref(host->data);
	free(host->name);
	free(host);
}

static struct ssh_host *
host_find(const struct ssh_push *push, const char *name)
{
	struct ssh_host *host;

	if (push == NULL)
		return (NULL);
	LIST_FOREACH (host, &push->hosts, link)
		if (strcmp(host->name, name) == 0)
			return (host);
	return (NULL);
}

static struct ssh_host *
host_add(struct ssh_push *push, const struct store_doc *doc)
{
	const char *slash = strchr(doc->name, '/');
	struct ssh_host *host = calloc(1, sizeof(*host));

	if (host == NULL)
		return (NULL);
	if ((host->name = strdup(slash != NULL ? slash + 1 : doc->name)) == NULL) {
		free(host);
		return (NULL);
	}
	host->push = push;
	host->id = doc->id;
	host->data = json_incref(doc->data);
	LIST_INSERT_HEAD(&push->hosts, host, link);
	push->host_count++;
	return (host);
}

int
engine_ssh_hosts_load(struct ssh_push *push, struct leased_err *err)
{
	struct ssh_mount *mount = push->mount;
	char prefix[ENGINE_DOC_NAME_SIZE];
	struct store_doc **docs = NULL;
	size_t count = 0;
	int r;

	engine_doc_name(mount->id, "", prefix);
	r = store_doc_list_all(store_db(mount->engines->config.store), KIND, prefix, NULL,
	    SSH_HOSTS_MAX, &docs, &count, err);
	for (size_t i = 0; i < count; i++) {
		if (r == 0 && docs[i]->data == NULL)
			log_error("a host's document does not open: it gets no list of revoked "
				  "keys; write it anew",
			    LOG_S("name", docs[i]->name));
		else if (r == 0 && host_add(push, docs[i]) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		store_doc_free(docs[i]);
	}
	free(docs);
	while (r != 0 && !LIST_EMPTY(&push->hosts))
		engine_ssh_host_free(LIST_FIRST(&push->hosts));
	push->loaded = r == 0;
	return (r);
}

/* Before anything is written: what is in memory and on disk is the same then. */
static int
push_need(struct engine_request_copy *request, struct ssh_push **ret_push, struct leased_err *err)
{
	struct ssh_mount *mount = engine_ssh_mount(request);
	int r;

	if (mount != NULL && mount->push == NULL && !mount->closed)
		engine_ssh_push_start(mount);
	if (mount == NULL || mount->push == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (!mount->push->loaded && (r = engine_ssh_hosts_load(mount->push, err)) != 0)
		return (r);
	*ret_push = mount->push;
	return (0);
}

/* ---- what may be written ---- */

static bool
is_plain(const char *text, size_t max)
{
	size_t len = text != NULL ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return (false);
	return (len > 0 && len <= max);
}

/* A name or a number: nothing that a resolver could take for more. */
static bool
is_address(const char *text)
{
	return (
	    is_plain(text, 255) && text[0] != '-' &&
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%") ==
		strlen(text));
}

static bool
is_path(const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	return (is_plain(text, 512) && text[0] == '/' && text[len - 1] != '/' &&
		strstr(text, "//") == NULL && strstr(text, "/../") == NULL);
}

/* What is kept of each is its type and its base64. */
static int
keys_check(struct jdec_list *keys, struct leased_err *err)
{
	struct ssh_key key = {.line = NULL};
	int r = 0;

	if (keys->count < 1 || keys->count > SSH_HOST_KEYS_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "host_key: the host's own, of /etc/ssh/ssh_host_ed25519_key.pub there, or a "
		    "list of up to %d: it is never learned from the host itself",
		    SSH_HOST_KEYS_MAX));
	for (size_t i = 0; r == 0 && i < keys->count; i++) {
		if ((r = engine_ssh_key_read(keys->items[i], &key, err)) != 0)
			break;
		free(keys->items[i]);
		keys->items[i] = key.line;
		key.line = NULL;
	}
	return (r == 0 ? 0 : leased_err_prefix(err, "host_key"));
}

static int
body_check(struct host_body *body, struct leased_err *err)
{
	if (!is_address(body->address))
		return (leased_err_set(
		    err, LEASED_EINVAL, "address: the host's name, or its IP address"));
	if (body->port < 1 || body->port > 65535)
		return (leased_err_set(err, LEASED_EINVAL, "port: 1 to 65535"));
	if (!is_plain(body->user, 32) || strpbrk(body->user, "/:@") != NULL)
		return (leased_err_set(err, LEASED_EINVAL, "user: who logs in there"));
	if (!is_path(body->path))
		return (leased_err_set(err, LEASED_EINVAL,
		    "path: of the file that RevokedKeys names there, from / on and without .."));
	return (keys_check(&body->host_key, err));
}

/* Their workers are confined to the ports of all hosts together. */
static int
room_check(const struct ssh_push *push, const char *name, int64_t port, struct leased_err *err)
{
	int64_t ports[SSH_HOST_PORTS_MAX];
	const struct ssh_host *host;
	size_t count = 0, i;

	if (push->host_count >= SSH_HOSTS_MAX && host_find(push, name) == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "there are %d hosts: let further ones fetch the list (lease ssh sync-host)",
		    SSH_HOSTS_MAX));
	LIST_FOREACH (host, &push->hosts, link) {
		int64_t own = json_integer_value(json_object_get(host->data, "port"));

		for (i = 0; i < count && ports[i] != own; i++)
			;
		if (i == count && count < SSH_HOST_PORTS_MAX)
			ports[count++] = own;
	}
	for (i = 0; i < count && ports[i] != port; i++)
		;
	if (i == SSH_HOST_PORTS_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "port: hosts of one mount have at most %d different ones", SSH_HOST_PORTS_MAX));
	return (0);
}

/* ---- write ---- */

static json_t *
body_merge(const struct engine_request_copy *request, const struct store_doc *current)
{
	json_t *merged = current != NULL && current->data != NULL
			     ? json_copy(current->data)
			     : json_pack("{s:i,s:s,s:s}", "port", 22, "user", SSH_PUSH_PRINCIPAL,
				   "path", SSH_PUSH_PATH);
	json_t *value;
	const char *key;

	json_object_foreach(request->body, key, value) if (merged != NULL && !json_is_null(value) &&
							   json_object_set(merged, key, value) != 0)
	{
		json_decref(merged);
		merged = NULL;
		break;
	}
	return (merged);
}

static int
host_build(struct engine_request_copy *request, const struct ssh_push *push,
    struct host_change *change, const struct store_doc *current, struct leased_err *err)
{
	struct host_body body = {0};
	json_t *unknown = NULL, *merged = body_merge(request, current);
	int r = merged != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory");

	if (r == 0 && (r = jdec_decode(merged, host_fields, &body, &unknown, err)) == 0)
		engine_warn_unknown(request, unknown, host_names);
	json_decref(unknown);
	json_decref(merged);
	if (r == 0 && (r = body_check(&body, err)) == 0 &&
	    (r = room_check(push, request->name, body.port, err)) == 0) {
		change->doc = engine_doc_new(KIND, request->mount_id, request->name,
		    json_pack("{s:s,s:I,s:s,s:s,s:o}", "address", body.address, "port",
			(json_int_t)body.port, "user", body.user, "path", body.path, "host_key",
			engine_list_json(&body.host_key)));
		if (change->doc == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	}
	jdec_clear(host_fields, &body);
	if (r == 0 && current != NULL) {
		change->doc->id = current->id;
		change->doc->version = current->version;
	}
	return (r);
}

static void
on_changed(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;
	struct host_change *change = request->state;
	struct ssh_mount *mount = engine_ssh_mount_find(request->engines, request->mount_id);
	struct ssh_push *push = mount != NULL ? mount->push : NULL;
	struct ssh_host *host = host_find(push, request->name);

	if (code == 0 && push != NULL && !push->stopped) {
		if (host != NULL) {
			engine_ssh_push_forget(host);
			engine_ssh_host_free(host);
		}
		/* Without memory it is found at the next start. */
		if (change->doc != NULL && host_add(push, change->doc) == NULL)
			engine_warn(
			    request, "out of memory: the host gets no list before a restart");
		engine_ssh_push_wake(push);
	}
	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "host %s was changed by somebody else meanwhile; look again", request->name);
	} else if (code != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

static struct host_change *
change_new(struct engine_request_copy *request)
{
	struct host_change *change = calloc(1, sizeof(*change));

	if (change == NULL)
		return (NULL);
	request->state = change;
	request->free_state = change_free;
	change->change.done = on_changed;
	change->change.arg = request;
	return (change);
}

void
engine_ssh_host_write(struct engine_request_copy *request)
{
	struct host_change *change = change_new(request);
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *current = NULL;
	struct ssh_push *push = NULL;
	bool damaged = false;
	int r = change != NULL ? push_need(request, &push, &err)
			       : leased_err_set(&err, LEASED_ENOMEM, "out of memory");

	if (r == 0 && (r = engine_doc_get_any(request->engines, KIND, request->mount_id,
			   request->name, &current, &damaged, &err)) == 0)
		r = host_build(request, push, change, current, &err);
	store_doc_free(current);
	if (damaged)
		engine_doc_tell_replaced(request, r, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	change->change.puts[0] = change->doc;
	change->change.mount = request->mount_id;
	engine_change_submit(request->engines, &change->change);
}

void
engine_ssh_host_delete(struct engine_request_copy *request)
{
	struct host_change *change = change_new(request);
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *current = NULL;
	struct ssh_push *push = NULL;
	bool damaged = false;
	int r = change != NULL ? push_need(request, &push, &err)
			       : leased_err_set(&err, LEASED_ENOMEM, "out of memory");

	if (r == 0)
		r = engine_doc_get_any(request->engines, KIND, request->mount_id, request->name,
		    &current, &damaged, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
	} else if (current == NULL) {
		engine_finish(request);
	} else {
		change->change.deletes[0].id = current->id;
		change->change.deletes[0].version = current->version;
		engine_change_submit(request->engines, &change->change);
	}
	store_doc_free(current);
}

/* ---- read ---- */

static json_t *
moment(int64_t wall_s)
{
	char text[WCLOCK_RFC3339_SIZE];

	if (wall_s == 0)
		return (json_null());
	wclock_format_rfc3339(wall_s * 1000000, text);
	return (json_string(text));
}

static int
state_put(const struct ssh_mount *mount, const struct ssh_host *host, json_t *data)
{
	int64_t version = 0, left_ms;
	bool known =
	    engine_ssh_krl_version((struct ssh_mount *)(uintptr_t)mount, &version, NULL) == 0;
	const char *state = "waiting";
	json_t *more;

	if (host->call != NULL)
		state = "sending";
	else if (host->error[0] != '\0')
		state = "failing";
	else if (known && version > 0 && host->version == version)
		state = "current";
	left_ms = host->next_ms - leases_now_ms(mount->engines->leases);
	more = json_pack("{s:s,s:I,s:I,s:o,s:o,s:s,s:i,s:I}", "state", state, "version",
	    (json_int_t)host->version, "list_version", (json_int_t)version, "last_success",
	    moment(host->good_wall_s), "last_attempt", moment(host->try_wall_s), "last_error",
	    UTF8_SHORT(host->error, 480), "failures", (int)host->failures, "next_attempt_s",
	    (json_int_t)(left_ms > 0 ? (left_ms + 999) / 1000 : 0));
	if (more == NULL || json_object_update(data, more) != 0) {
		json_decref(more);
		return (LEASED_ENOMEM);
	}
	json_decref(more);
	return (0);
}

void
engine_ssh_host_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	const struct ssh_host *host;
	struct ssh_push *push = NULL;
	struct store_doc *doc = NULL;
	int r = push_need(request, &push, &err);

	if (r == 0)
		r = engine_doc_get(
		    request->engines, KIND, request->mount_id, request->name, &doc, &err);
	if (r == 0) {
		request->reply.data = json_copy(doc->data);
		host = host_find(push, request->name);
		if (request->reply.data == NULL ||
		    (host != NULL && state_put(push->mount, host, request->reply.data) != 0))
			r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	}
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}
