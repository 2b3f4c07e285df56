/*
 * identity/oidc/config: what the issuer calls itself, and how long relying parties may keep its
 * list of keys. A new pair may sign only when every list without it has been thrown away, so a
 * shorter time holds for new pairs only after the longer one is over.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/jwt.h"
#include "engine/jwt_paths.h"

#define ISSUER_PATH "/v1/identity/oidc"
#define ISSUER_MAX 255
#define MAX_AGE_MOST_S 86400
#define SLACK_MS 2000 /* a list is on its way, and clocks are read in seconds */

struct config_body {
	char *issuer;
	int64_t keys_max_age;
	bool has_issuer, has_max_age;
};
static const struct jdec_field config_fields[] = {
    JDEC_FIELD_SEEN(struct config_body, issuer, has_issuer, JDEC_STRING),
    JDEC_FIELD_SEEN(struct config_body, keys_max_age, has_max_age, JDEC_DURATION_S),
    JDEC_END,
};
static const char *const config_names[] = {"issuer", "keys_max_age", NULL};

struct config_write {
	struct engine_change change; /* first */
	struct engine_request_copy *request;
	struct store_doc *doc;
};

/* What is configured, borrowed until it is written: read once, since whoever has no token can ask
 * for what needs it. */
static int
settings_get(struct engines *engines, const json_t **ret_settings, struct leased_err *err)
{
	struct engine_jwt *jwt = engines->jwt;
	struct store_doc *doc = NULL;
	int r = 0;

	if (jwt->settings == NULL) {
		r = engine_jwt_doc(engines, "oidc-config", "config", &doc, err);
		if (r == 0)
			jwt->settings = json_incref(doc->data);
		else if (r == LEASED_ENOENT && engine_jwt_mount(engines) != NULL &&
			 (jwt->settings = json_object()) != NULL)
			r = 0;
		store_doc_free(doc);
	}
	if (r == 0)
		*ret_settings = jwt->settings;
	return (r);
}

/* 0 where nothing is configured. */
static int64_t
config_number(struct engines *engines, const char *field)
{
	const json_t *settings = NULL;

	if (settings_get(engines, &settings, NULL) != 0)
		return (0);
	return (json_integer_value(json_object_get(settings, field)));
}

int64_t
engine_jwt_max_age_s(struct engines *engines)
{
	int64_t age_s = config_number(engines, "keys_max_age");

	return (age_s > 0 ? age_s : JWT_MAX_AGE_S);
}

int64_t
engine_jwt_known_ms(struct engines *engines, int64_t now_ms)
{
	int64_t until_ms = now_ms + engine_jwt_max_age_s(engines) * 1000;
	int64_t longer_ms = config_number(engines, "kept_until_ms");

	if (engines->jwt->kept_ms > longer_ms)
		longer_ms = engines->jwt->kept_ms;
	return ((until_ms > longer_ms ? until_ms : longer_ms) + SLACK_MS);
}

int
engine_jwt_issuer(struct engines *engines, char **ret_issuer, struct leased_err *err)
{
	const json_t *settings = NULL;
	const char *base = NULL;
	char *issuer = NULL;
	int r;

	r = settings_get(engines, &settings, err);
	if (r == 0)
		base = json_string_value(json_object_get(settings, "issuer"));
	if (r == LEASED_ENOENT || (r == 0 && (base == NULL || base[0] == '\0')))
		r = leased_err_set(err, LEASED_EINVAL,
		    "no issuer is configured: write the address that relying parties reach leased "
		    "by, as issuer=https://HOST:PORT, to identity/oidc/config");
	if (r == 0 && asprintf(&issuer, "%s" ISSUER_PATH, base) < 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		*ret_issuer = issuer;
	return (r);
}

/* ---- read ---- */

void
engine_jwt_config_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	const char *issuer = NULL;
	int r;

	r = engine_jwt_doc(request->engines, "oidc-config", "config", &doc, &err);
	if (r == 0)
		issuer = json_string_value(json_object_get(doc->data, "issuer"));
	if (r == 0 || r == LEASED_ENOENT) {
		request->reply.data = json_pack("{s:s,s:I}", "issuer", issuer != NULL ? issuer : "",
		    "keys_max_age", (json_int_t)engine_jwt_max_age_s(request->engines));
		engine_finish(request);
	} else
		engine_fail_err(request, &err);
	store_doc_free(doc);
}

/* ---- write ---- */

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT". */
static bool
is_authority(const char *text)
{
	static const char host[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	size_t len = text[0] == '[' ? strcspn(text, "]") : strspn(text, host);
	char address[64], *end = NULL;
	struct in6_addr parsed;

	if (text[0] == '[') {
		if (text[len] != ']' || len > sizeof(address))
			return (false);
		(void)snprintf(address, sizeof(address), "%.*s", (int)len - 1, text + 1);
		if (inet_pton(AF_INET6, address, &parsed) != 1)
			return (false);
		len++;
	}
	if (len == 0 || text[0] == '.' || text[0] == '-')
		return (false);
	if (text[len] == '\0')
		return (true);
	return (text[len] == ':' && text[len + 1] >= '1' && text[len + 1] <= '9' &&
		strtoul(text + len + 1, &end, 10) <= UINT16_MAX && *end == '\0');
}

static bool
is_loopback(const char *authority)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t len = strlen(hosts[i]);

		if (strncmp(authority, hosts[i], len) == 0 &&
		    (authority[len] == '\0' || authority[len] == ':'))
			return (true);
	}
	return (false);
}

/* Scheme, host and port: relying parties look below it, and compare it letter by letter. */
static int
check_issuer(const char *issuer, struct leased_err *err)
{
	const char *authority = NULL;
	bool plain = strncmp(issuer, "http://", 7) == 0;

	if (strncmp(issuer, "https://", 8) == 0)
		authority = issuer + 8;
	else if (plain)
		authority = issuer + 7;
	if (strlen(issuer) > ISSUER_MAX || authority == NULL || !is_authority(authority))
		return (leased_err_set(err, LEASED_EINVAL,
		    "invalid issuer, which must include only a scheme, host, and optional port "
		    "(e.g. "
		    "https://example.com:8200): %s",
		    UTF8_SHORT(issuer, 100)));
	if (plain && !is_loopback(authority))
		return (leased_err_set(err, LEASED_EINVAL,
		    "issuer: relying parties fetch keys from there, and anybody on the way could "
		    "exchange them: it must be https (http is taken for this machine alone)"));
	return (0);
}

static void
config_write_free(void *state)
{
	struct config_write *write = state;

	store_doc_free(write->doc);
	free(write);
}

static void
on_written(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;
	struct engines *engines = request->engines;
	int64_t until_ms = leases_now_ms(engines->leases) + engine_jwt_max_age_s(engines) * 1000;

	/* Until now lists were handed out that may be kept as long as it was before. */
	if (code == 0 && until_ms > engines->jwt->kept_ms && !LIST_EMPTY(&engines->jwt->keys))
		engines->jwt->kept_ms = until_ms;
	json_decref(engines->jwt->settings);
	engines->jwt->settings = NULL;
	if (code != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

static int
config_build(struct config_write *write, const struct config_body *body, struct leased_err *err)
{
	struct engines *engines = write->request->engines;
	int64_t age_s = engine_jwt_max_age_s(engines), now_ms = leases_now_ms(engines->leases);
	json_t *data = write->doc->data;
	int r = 0;

	if (body->has_max_age && (body->keys_max_age < 1 || body->keys_max_age > MAX_AGE_MOST_S))
		return (leased_err_set(
		    err, LEASED_EINVAL, "keys_max_age must be from 1s to %ds", MAX_AGE_MOST_S));
	if (body->has_issuer && body->issuer[0] != '\0' &&
	    (r = check_issuer(body->issuer, err)) != 0)
		return (r);
	if (body->has_issuer)
		r |= json_object_set_new(data, "issuer", json_string(body->issuer));
	if (body->has_max_age) {
		r |= json_object_set_new(data, "keys_max_age", json_integer(body->keys_max_age));
		/* Lists of before stay as long as they were told; without a key there is none. */
		if (body->keys_max_age < age_s && !LIST_EMPTY(&engines->jwt->keys) &&
		    now_ms + age_s * 1000 >
			json_integer_value(json_object_get(data, "kept_until_ms")))
			r |= json_object_set_new(
			    data, "kept_until_ms", json_integer(now_ms + age_s * 1000));
	}
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
config_prepare(struct config_write *write, struct leased_err *err)
{
	struct engine_request_copy *request = write->request;
	struct config_body body = {0};
	json_t *unknown = NULL;
	int r;

	if ((r = jdec_decode(request->body, config_fields, &body, &unknown, err)) != 0)
		goto out;
	engine_warn_unknown(request, unknown, config_names);
	r = engine_jwt_doc(request->engines, "oidc-config", "config", &write->doc, err);
	if (r == LEASED_ENOENT) {
		write->doc =
		    engine_doc_new("oidc-config", request->mount_id, "config", json_object());
		r = write->doc != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory");
	}
	if (r == 0 && (r = config_build(write, &body, err)) == 0 && body.has_issuer &&
	    body.issuer[0] != '\0')
		engine_warn(request,
		    "tokens name %s" ISSUER_PATH " as their issuer from now on; those that are out "
		    "keep the one that they were made with",
		    body.issuer);
out:
	json_decref(unknown);
	jdec_clear(config_fields, &body);
	return (r);
}

void
engine_jwt_config_write(struct engine_request_copy *request)
{
	struct config_write *write = calloc(1, sizeof(*write));
	struct leased_err err = LEASED_ERR_INIT;

	if (write == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	write->request = request;
	request->state = write;
	request->free_state = config_write_free;
	if (config_prepare(write, &err) != 0) {
		engine_fail_err(request, &err);
		return;
	}
	write->change.puts[0] = write->doc;
	write->change.mount = request->mount_id;
	write->change.done = on_written;
	write->change.arg = request;
	engine_change_submit(request->engines, &write->change);
}
