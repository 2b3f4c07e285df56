/*
 * Who asked for an issue, a preflight or a renewal; answered once, never before the start returns.
 */
#ifndef LEASE_REQUEST_H
#define LEASE_REQUEST_H

#include "lease/object.h"

struct lease_request {
	struct leases *leases;
	lease_issue_done on_issued;
	lease_done on_probed;
	lease_renew_done on_renewed;
	void *arg;
	int code; /* a refusal that waits for the next tick */
	struct leased_err err;
	struct lease_ttl_input ttl;
	int64_t ttl_s, expires_ms;
	int64_t start_us, call_us; /* boot time: asked; the mint was sent */
	char warning[256];
	char what[LEASE_CAPS_MAX][128];
	int64_t limit[LEASE_CAPS_MAX];
	char *template;
	bool template_noted; /* the store knows that there are names by templates */
	unsigned name_max;
	char name_random[65], display[129];
	const char *tag; /* the store's, fixed for its life */
	int64_t unix_s;
	struct leased_secret *password;
	json_t *values; /* what the mint has for the client besides: secrets; or NULL */
	bool remake;    /* of a renewal: the account is made anew, the lease stays as it is */
	TAILQ_ENTRY(lease_request) entry;
};
TAILQ_HEAD(lease_request_list, lease_request);
void lease_request_free(struct lease_request *request);
/* What a client is told of a call that failed: what the backend refused is never the client's own
 * mistake, nor a right that the client lacks. */
int lease_request_code(int code);
/* Answers with a failure at the next tick, and frees. */
void lease_request_refuse(struct lease_request *request, int code, const struct leased_err *err);
/* tell: without freeing, for a transaction may still read it. */
void lease_request_tell(
    struct lease_request *request, int code, const struct leased_err *err, struct lease *lease);
void lease_request_answer(
    struct lease_request *request, int code, const struct leased_err *err, struct lease *lease);
/* Memory is out and there is no request: done is called at the next tick all the same. */
struct lease_dones {
	lease_issue_done on_issued;
	lease_done on_probed;
	lease_renew_done on_renewed;
	lease_revoke_done on_revoked;
	lease_job_done on_job;
};
void lease_nomem_add(struct leases *leases, struct lease_dones dones, void *arg);
void lease_refusals_run(struct leases *leases);

/* The account of a lease that lives is not on its backend: it is renewed with the end that it has,
 * which makes it anew (renew.c). done as of a renewal, never before this returns. */
void lease_remake_start(struct leases *leases, int64_t row, lease_renew_done done, void *arg);

#endif
