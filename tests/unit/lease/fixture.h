/*
 * A lease/ under test: an inline store, a fake clock, seeded ids and one fake port. Nothing happens
 * by itself: settle() turns the wheels until they stand still, later() moves the clock in small
 * steps.
 */
#ifndef LEASE_FIXTURE_H
#define LEASE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "lease/plain.h"
#include "lease/private.h"
#include "support/failalloc.h"
#include "support/fake_port.h"

struct fix {
	struct wclock_fake clock;
	struct id_source_seeded ids;
	struct seal_root *root;
	struct store *store;
	struct fake_port *fake;
	struct leases *leases;
	int64_t connection, mount, role_version;
	bool no_port;
	bool by_itself;          /* the connection is reconciled by itself */
	struct event_base *loop; /* with threads: fix_new_loop() */
	struct leases_timer *timer;
};

/* What an issue, a renewal, a revocation or a job answered; zero-initialize. */
struct answer {
	unsigned count; /* must end up as 1 */
	int code;
	enum lease_revoke_state state;
	struct leased_err err;
	int64_t row, ttl_s;
	char lease_id[LEASE_ID_MAX], account[256], password[64], warning[256];
	struct lease_job_status status;
};

int fix_setup(void **state);
int fix_teardown(void **state);
struct fix *fix_new(uint64_t seed);
/* The same with the store's threads in dir, the loop's timer and the machine's clock. */
struct fix *fix_new_loop(struct event_base *loop, const char *dir);
void fix_free(struct fix *f);
/* Opens leases on the store that is there (a start of the daemon). */
void fix_open(struct fix *f);
/* kill -9: what is queued in the store is lost (or, with written, was just committed). */
void fix_crash(struct fix *f, bool written);
/* The first half of it: nobody is there until fix_open(). */
void fix_end(struct fix *f, bool written);

/* A role version with this content; its id. */
int64_t rolever_make(struct fix *f, const char *name, const char *json);

unsigned turn(struct fix *f); /* one tick, one pump of store and port; what was done */
void settle(struct fix *f);
void later(struct fix *f, int64_t ms); /* in steps of at most 500 ms, settling */

struct lease_issue issue_of(struct fix *f, int64_t ttl_s);
/* The same without a backend; its engine keeps {"type":"test","n":7}. Ends before their time are
 * counted in "ended-early", in the transaction of the end. */
struct lease_issue plain_issue_of(struct fix *f, int64_t ttl_s);
void on_issued(void *arg, const struct lease_issued *issued);
void on_probed(void *arg, int code, const struct leased_err *err);
void on_renewed(void *arg, const struct lease_renewed *renewed);
void on_revoked(void *arg, enum lease_revoke_state state, const struct leased_err *err);
void on_job(
    void *arg, int code, const struct lease_job_status *status, const struct leased_err *err);

/* Issues and settles; the mint must succeed. */
struct answer make(struct fix *f, int64_t ttl_s);
struct answer make_plain(struct fix *f, int64_t ttl_s);
/* Is a lease without a backend good now? */
bool plain_is_good(struct fix *f, int64_t row);
struct answer renew(struct fix *f, int64_t row, int64_t increment_s);
struct answer revoke_row(struct fix *f, int64_t row);
/* NULL when the row is gone; freed by the next call. */
const struct store_lease *row_of(struct fix *f, int64_t id);
struct lease_data data_of(struct fix *f, int64_t id);
bool row_is(struct fix *f, int64_t id, enum store_lease_state state);
struct fake_account *account_of(struct fix *f, const struct answer *answer);
int64_t counter(struct fix *f, const char *name);
unsigned row_count(struct fix *f);

/* A token of parent (0: none) that ends in ttl_s (0: never); its id, or a code. */
int64_t token_make(struct fix *f, int64_t parent, int64_t ttl_s);
bool token_is_there(struct fix *f, int64_t id);

/* The oracle of the crash matrix, at rest: accounts on the backend are LIVE leases, caps are exact.
 */
void check_at_rest(struct fix *f);
/* Nothing is on its way out, and nothing is counted as if it were. */
void check_counts(struct fix *f);

#endif
