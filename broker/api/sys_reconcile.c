/*
 * sys/leases/reconcile: compares the accounts of backends with the store, on command, and tells
 * what was found last. What is compared and done is lease/'s.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "base/utf8.h"
#include "engine/name.h"
#include "lease/reconcile.h"

struct reconcile_body {
	char *connection;
	bool fix, sync;
};

static const struct jdec_field reconcile_fields[] = {
    JDEC_FIELD(struct reconcile_body, connection, JDEC_STRING),
    JDEC_FIELD(struct reconcile_body, fix, JDEC_BOOL),
    JDEC_FIELD(struct reconcile_body, sync, JDEC_BOOL), JDEC_END};

/* lease/ knows connections by number. False: out of memory. */
static bool
names_put(struct api_request *request, json_t *answer)
{
	struct engines *engines = request->api->config.engines;
	char name[ENGINE_CONNECTION_NAME_SIZE];
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(answer, "connections"), i, one)
	{
		engines_connection_name(
		    engines, json_integer_value(json_object_get(one, "connection")), name);
		if (json_object_set_new(one, "name", json_string(name)) != 0)
			return (false);
	}
	return (true);
}

/* status 0: 200. */
static void
answer_job(struct api_request *request, int64_t job, int status)
{
	struct api_answer answer = {.status = status};
	struct leased_err err = LEASED_ERR_INIT;
	int r = lease_reconcile_describe(request->api->config.leases, job, &answer.data, &err);

	if (r == LEASED_ENOENT) {
		api_reply_error(request, 404, &err);
	} else if (r != 0) {
		api_reply_error(request, 0, &err);
	} else if (!names_put(request, answer.data)) {
		json_decref(answer.data);
		api_reply_data(request, NULL);
	} else {
		api_reply(request, &answer);
	}
}

static void
on_reconciled(
    void *arg, int code, const struct lease_reconcile_status *status, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code == LEASED_ENOENT || code == LEASED_ECONFLICT) {
		api_reply_error(request, code == LEASED_ENOENT ? 400 : 409, err);
	} else if (code != 0) {
		api_reply_error(request, 0, err);
	} else {
		if (!status->finished)
			api_request_warn(request,
			    "the comparison goes on, whatever happens to this connection: "
			    "sys/leases/reconcile/%lld tells how far it is",
			    (long long)status->job);
		answer_job(request, status->job, status->finished ? 0 : 202);
	}
}

static void
reconcile_start(struct api_request *request)
{
	const struct api_config *config = &request->api->config;
	struct reconcile_body body = {.sync = true};
	struct lease_reconcile reconcile = {
	    .cause = request->id, .actor = api_request_actor(request)};

	if (!api_request_decode(request, reconcile_fields, &body))
		return;
	reconcile.fix = body.fix;
	if (body.connection != NULL && body.connection[0] != '\0' &&
	    (reconcile.connection = engines_connection_named(config->engines, body.connection)) ==
		0)
		api_reply_refuse(request, LEASED_EINVAL,
		    "there is no connection \"%s\": it is named as in database/main, the mount and "
		    "its name",
		    UTF8_SHORT(body.connection, 200));
	else
		lease_reconcile_start(config->leases, &reconcile,
		    body.sync ? config->bulk_wait_ms : 0, on_reconciled, request);
	jdec_clear(reconcile_fields, &body);
}

void
api_sys_reconcile(struct api_request *request)
{
	if (request->operation == API_WRITE)
		reconcile_start(request);
	else
		answer_job(request, 0, 0);
}

void
api_sys_reconcile_job(struct api_request *request)
{
	char *end;
	int64_t job = strtoll(request->captures[0], &end, 10);

	if (*end != '\0' || job <= 0)
		api_reply_empty_errors(request, 404);
	else
		answer_job(request, job, 0);
}
