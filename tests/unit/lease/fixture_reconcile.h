/*
 * What the tests of reconcile share: a run by hand, its report, and accounts that no mint made.
 */
#ifndef LEASE_FIXTURE_RECONCILE_H
#define LEASE_FIXTURE_RECONCILE_H

#include "lease/reconcile_private.h"
#include "unit/lease/fixture.h"

struct told {
	unsigned count;
	int code;
	struct lease_reconcile_status status;
	char text[512];
};
void on_reconciled(
    void *arg, int code, const struct lease_reconcile_status *status, const struct leased_err *err);
/* Asks for a run of the fixture's connection. */
void start(struct fix *f, bool fix, struct told *told);
/* The same, and its report; valid until the next one. */
const struct reconcile_report *reconcile(struct fix *f, bool fix);
void assert_found(const struct reconcile_report *report, const char *what, const char *account);
/* A name of the default form. */
const char *name_of_number(struct fix *f, int64_t number, char ret_name[64]);
/* On the backend, with a session of its user. */
struct fake_account *add(struct fix *f, const char *name);
bool is_armed(struct fix *f, const char *name);
/* Ticks until the backend is asked for its accounts, which is not answered yet. */
void until_asked(struct fix *f);

#endif
