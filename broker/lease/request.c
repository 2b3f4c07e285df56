/*
 * Who asked for an issue, a preflight or a renewal, and the one place where they are answered:
 * exactly once, and never before the start function has returned.
 */
#include <stdlib.h>

#include "base/log.h"
#include "lease/private.h"

void
lease_request_free(struct lease_request *request)
{
	if (request == NULL)
		return;
	leased_secret_free(request->password);
	json_decref(request->values);
	free(request->template);
	free(request);
}

int
lease_request_code(int code)
{
	switch ((enum leased_code)code) {
	case LEASED_EINVAL:
	case LEASED_EDENIED:
	case LEASED_ENOENT:
	case LEASED_EEXIST:
	case LEASED_ELIMIT:
	case LEASED_ETOOBIG:
	case LEASED_EEXPIRED:
		return (LEASED_EREFUSED);
	case LEASED_OK:
	case LEASED_EUNAVAIL:
	case LEASED_ETIMEDOUT:
	case LEASED_EREFUSED:
	case LEASED_EMOVED:
	case LEASED_ECRASHED:
	case LEASED_EPROTO:
	case LEASED_ESEALED:
	case LEASED_ENOSPC:
	case LEASED_EIO:
	case LEASED_ECORRUPT:
	case LEASED_ECONFLICT:
	case LEASED_ECANCELED:
	case LEASED_ENOMEM:
	case LEASED_EBUG:
		break;
	}
	return (code);
}

static json_t *
warnings_of(const struct lease_request *request)
{
	json_t *warnings = json_array();

	if (warnings != NULL && request->warning[0] != '\0')
		(void)json_array_append_new(warnings, json_string(request->warning));
	return (warnings);
}

/* What is left now: the backend may have taken a part of it. A client renews by this. */
static int64_t
left_s(const struct lease_request *request, int64_t expires_ms)
{
	int64_t left_ms = expires_ms - leases_now_ms(request->leases);

	return (left_ms > 1000 ? (left_ms + 999) / 1000 : 1);
}

static void
answer_issue(struct lease_request *request, int code, const struct leased_err *err,
    const struct lease *lease, json_t *warnings)
{
	struct lease_issued issued = {.code = code, .warnings = warnings};
	char id[LEASE_ID_MAX];

	if (err != NULL)
		issued.err = *err;
	issued.err.code = code; /* err may keep the backend's own */
	if (code == 0 && lease_id_format(request->leases, lease->row, id, sizeof(id)) != 0) {
		/* Its mount is gone: the answer would be of no use. */
		code = issued.code =
		    leased_err_set(&issued.err, LEASED_EEXPIRED, "the mount was removed meanwhile");
		lease_mark(request->leases, lease->id, LEASE_END_MOUNT, "mount removed");
	}
	if (code == 0) {
		issued.row = lease->id;
		issued.lease_id = id;
		issued.account = lease->row->account;
		issued.password = request->password;
		issued.values = request->values;
		issued.ttl_s = left_s(request, lease->data.expires_ms);
	}
	lease_stats_issued(request, code);
	request->on_issued(request->arg, &issued);
}

static void
answer_renew(struct lease_request *request, int code, const struct leased_err *err,
    const struct lease *lease, json_t *warnings)
{
	struct lease_renewed renewed = {.code = code, .warnings = warnings};
	char id[LEASE_ID_MAX];

	if (err != NULL)
		renewed.err = *err;
	renewed.err.code = code;
	if (code == 0 && lease_id_format(request->leases, lease->row, id, sizeof(id)) == 0)
		renewed.lease_id = id;
	if (code == 0) {
		renewed.ttl_s = left_s(request, request->expires_ms);
		renewed.renewable = true;
	}
	request->on_renewed(request->arg, &renewed);
}

void
lease_request_tell(
    struct lease_request *request, int code, const struct leased_err *err, struct lease *lease)
{
	json_t *warnings = warnings_of(request);
	struct leased_err none = LEASED_ERR_INIT;

	if (request->on_issued != NULL)
		answer_issue(request, code, err, lease, warnings);
	else if (request->on_renewed != NULL)
		answer_renew(request, code, err, lease, warnings);
	else
		request->on_probed(request->arg, code, err != NULL ? err : &none);
	json_decref(warnings);
}

void
lease_request_answer(
    struct lease_request *request, int code, const struct leased_err *err, struct lease *lease)
{
	lease_request_tell(request, code, err, lease);
	lease_request_free(request);
}

void
lease_request_refuse(struct lease_request *request, int code, const struct leased_err *err)
{
	request->code = code;
	request->err = *err;
	TAILQ_INSERT_TAIL(&request->leases->refused, request, entry);
	lease_wake(request->leases);
}

void
lease_nomem_add(struct leases *leases, struct lease_dones dones, void *arg)
{
	unsigned at = leases->nomem_count;

	if (at == LEASE_NOMEM_MAX)
		log_fatal("out of memory: %u requests could not even be refused", at);
	leases->nomem[at].dones = dones;
	leases->nomem[at].arg = arg;
	leases->nomem_count++;
	lease_wake(leases);
}

static void
nomem_answer(const struct lease_dones *dones, void *arg)
{
	struct lease_issued issued = {.code = LEASED_ENOMEM};
	struct lease_renewed renewed = {.code = LEASED_ENOMEM};
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	issued.err = renewed.err = err;
	if (dones->on_issued != NULL)
		dones->on_issued(arg, &issued);
	else if (dones->on_renewed != NULL)
		dones->on_renewed(arg, &renewed);
	else if (dones->on_revoked != NULL)
		dones->on_revoked(arg, LEASE_REVOKE_FAILED, &err);
	else if (dones->on_job != NULL)
		dones->on_job(arg, LEASED_ENOMEM, NULL, &err);
	else
		dones->on_probed(arg, LEASED_ENOMEM, &err);
}

static void
nomem_run(struct leases *leases)
{
	while (leases->nomem_count > 0) {
		unsigned at = --leases->nomem_count;
		struct lease_dones dones = leases->nomem[at].dones;

		nomem_answer(&dones, leases->nomem[at].arg);
	}
}

void
lease_refusals_run(struct leases *leases)
{
	struct lease_request *request;

	nomem_run(leases);
	while ((request = TAILQ_FIRST(&leases->refused)) != NULL) {
		TAILQ_REMOVE(&leases->refused, request, entry);
		lease_request_answer(request, request->code, &request->err, NULL);
	}
}
