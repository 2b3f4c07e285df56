/*
 * The records of requests, in the shape that readers of Vault's audit know. Every member is put in
 * here by name; tokens, accessors and data pass mask.c. Called by audit.c, on the loop.
 */
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "audit/audit_private.h"
#include "base/jenc.h"
#include "base/jws.h"
#include "base/opaque.h"

#define DATA_BYTES_MAX (24u * 1024)
#define TEXT_MAX 1024 /* of a path or an error: what is longer is cut, and says so */

static int
set_hash(struct seal *seal, json_t *object, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return (0);
	return (audit_set(object, key, audit_hash_json(seal, text)));
}

static int
set_cut(json_t *object, const char *key, const char *text)
{
	char cut[TEXT_MAX + 32];

	if (text == NULL || strlen(text) <= TEXT_MAX)
		return (audit_set_text(object, key, text));
	memcpy(cut, text, TEXT_MAX);
	/* Never within a character. */
	for (size_t at = TEXT_MAX; at > TEXT_MAX - 4; at--) {
		if (((unsigned char)cut[at - 1] & 0xc0) == 0x80)
			continue;
		memcpy(cut + at - 1, " (cut)", sizeof(" (cut)"));
		break;
	}
	return (audit_set_text(object, key, cut));
}

static json_t *
auth_of_caller(struct seal *seal, const struct audit_event *event)
{
	json_t *auth = json_object();
	int r = auth != NULL ? 0 : -1;

	if (r == 0)
		r = set_hash(seal, auth, "client_token", event->token);
	if (r == 0)
		r = set_hash(seal, auth, "accessor", event->accessor);
	if (r == 0)
		r = audit_set_text(auth, "display_name", event->display_name);
	if (r == 0 && event->policies != NULL)
		r = json_object_set(auth, "policies", (json_t *)(uintptr_t)event->policies);
	if (r == 0)
		r = audit_set_text(auth, "entity_id", event->entity);
	if (r == 0)
		r = audit_set_text(auth, "token_type", event->token_type);
	if (r == 0)
		return (auth);
	json_decref(auth);
	return (NULL);
}

/* A path may repeat a token that belongs into a header. */
static int
set_path(struct seal *seal, json_t *object, const struct audit_event *event)
{
	const char *path = event->path != NULL ? event->path : "";

	if (strstr(path, "hvs.") != NULL || opaque_is_in(path) || jws_is_in(path) ||
	    (event->token != NULL && strlen(event->token) >= 8 &&
		strstr(path, event->token) != NULL))
		return (set_hash(seal, object, "path", path));
	return (set_cut(object, "path", path));
}

/* What is too long for a line is left out, and that is said. */
static int
set_data(struct seal *seal, json_t *object, const json_t *data)
{
	json_t *masked;
	size_t size;

	if (data == NULL)
		return (0);
	if ((masked = audit_mask(seal, data)) == NULL)
		return (-1);
	size = json_dumpb(masked, NULL, 0, JSON_COMPACT);
	if (size > DATA_BYTES_MAX || size == 0) {
		json_decref(masked);
		masked = json_pack("{s:b}", "too_long", 1);
	}
	return (audit_set(object, "data", masked));
}

static json_t *
request_part(struct seal *seal, const struct audit_event *event)
{
	json_t *request = json_object();
	int r = request != NULL ? 0 : -1;

	if (r == 0)
		r = audit_set_text(request, "id", event->id);
	if (r == 0)
		r = audit_set_text(request, "operation", event->operation);
	if (r == 0)
		r = audit_set_text(request, "mount_point", event->mount_point);
	if (r == 0)
		r = audit_set_text(request, "mount_type", event->mount_type);
	if (r == 0)
		r = set_hash(seal, request, "client_token", event->token);
	if (r == 0)
		r = set_hash(seal, request, "client_token_accessor", event->accessor);
	if (r == 0)
		r = set_path(seal, request, event);
	if (r == 0)
		r = set_data(seal, request, event->body);
	if (r == 0 && event->remote_address != NULL)
		r = audit_set_text(request, "remote_address", event->remote_address) |
		    audit_set(request, "remote_port", json_integer(event->remote_port));
	else if (r == 0)
		r = audit_set(request, "peer_uid", json_integer((json_int_t)event->uid)) |
		    audit_set(request, "peer_pid", json_integer((json_int_t)event->pid));
	if (r == 0)
		return (request);
	json_decref(request);
	return (NULL);
}

/* {client_token, accessor, ..} of a token that the answer hands out. */
static int
set_new_auth(struct seal *seal, json_t *response, const json_t *auth)
{
	json_t *part;
	int r;

	if (!json_is_object(auth))
		return (0);
	if ((part = json_object()) == NULL)
		return (-1);
	r = set_hash(seal, part, "client_token",
		json_string_value(json_object_get(auth, "client_token"))) |
	    set_hash(seal, part, "accessor", json_string_value(json_object_get(auth, "accessor")));
	for (size_t i = 0; i < 7 && r == 0; i++) {
		static const char *const clear[] = {"display_name", "policies", "token_policies",
		    "lease_duration", "renewable", "entity_id", "token_type"};
		json_t *value = json_object_get(auth, clear[i]);

		if (value != NULL)
			r = json_object_set(part, clear[i], value);
	}
	return (r == 0 ? audit_set(response, "auth", part) : (json_decref(part), -1));
}

static json_t *
response_part(struct seal *seal, const struct audit_event *event)
{
	json_t *response = json_object();
	int r = response != NULL ? 0 : -1;

	if (r == 0)
		r = audit_set(response, "status", json_integer(event->status));
	if (r == 0)
		r = audit_set_text(response, "mount_type", event->mount_type);
	if (r == 0 && event->lease_id != NULL && event->lease_id[0] != '\0')
		r = audit_set(response, "secret", json_pack("{s:s}", "lease_id", event->lease_id));
	if (r == 0)
		r = set_data(seal, response, json_is_object(event->data) ? event->data : NULL);
	if (r == 0)
		r = set_new_auth(seal, response, event->auth);
	if (r == 0)
		return (response);
	json_decref(response);
	return (NULL);
}

/* A text that repeats a value of the request would tell what its hash hides. */
static const char *
error_of(const struct audit_event *event)
{
	if (event->error == NULL || event->error[0] == '\0')
		return (NULL);
	if (audit_text_holds(event->error, event->body) || strstr(event->error, "hvs.") != NULL ||
	    (event->token != NULL && strlen(event->token) >= 8 &&
		strstr(event->error, event->token) != NULL))
		return ("(withheld: it repeats a value of the request)");
	return (event->error);
}

static json_t *
entry_new(struct audit *audit, const struct audit_event *event, bool response)
{
	char time[WCLOCK_RFC3339_SIZE];
	json_t *entry = json_object();
	int r = entry != NULL ? 0 : -1;

	wclock_format_rfc3339(audit->clock->wall_us(audit->clock), time);
	if (r == 0)
		r = audit_set_text(entry, "time", time);
	if (r == 0)
		r = audit_set_text(entry, "type", response ? "response" : "request");
	if (r == 0)
		r = audit_set(entry, "auth", auth_of_caller(audit->seal, event));
	if (r == 0)
		r = audit_set(entry, "request", request_part(audit->seal, event));
	if (r == 0 && response)
		r = audit_set(entry, "response", response_part(audit->seal, event));
	if (r == 0 && event->error != NULL)
		r = set_cut(entry, "error", error_of(event));
	if (r == 0)
		return (entry);
	json_decref(entry);
	return (NULL);
}

int
audit_entry_text(json_t *object, char **ret_text, struct leased_err *err)
{
	struct jenc json = {0};
	int r;

	if (object == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to record it"));
	jenc_json(&json, object);
	jenc_bytes(&json, "", 1);
	json_decref(object);
	if ((r = jenc_check(&json, err)) != 0) {
		jenc_clear(&json);
		return (r);
	}
	*ret_text = (char *)json.bytes;
	return (0);
}

int
audit_entry_make(struct audit *audit, const struct audit_event *event, char **ret_bodies,
    size_t *ret_len, struct leased_err *err)
{
	char *request = NULL, *response = NULL;
	struct jenc both = {0};
	int r = 0;

	if ((event->what & AUDIT_REQUEST) != 0)
		r = audit_entry_text(entry_new(audit, event, false), &request, err);
	if (r == 0 && (event->what & AUDIT_RESPONSE) != 0)
		r = audit_entry_text(entry_new(audit, event, true), &response, err);
	if (r != 0)
		goto out;
	if (request != NULL)
		jenc_bytes(&both, request, strlen(request));
	if (request != NULL && response != NULL)
		jenc_bytes(&both, "\n", 1);
	if (response != NULL)
		jenc_bytes(&both, response, strlen(response));
	if ((r = jenc_check(&both, err)) == 0) {
		*ret_bodies = (char *)both.bytes;
		*ret_len = both.len;
		both = (struct jenc){0};
	}
out:
	jenc_clear(&both);
	free(request);
	free(response);
	return (r);
}
