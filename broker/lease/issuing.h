/*
 * What every issue does, with a backend (issue.c) or without (plain.c).
 */
#ifndef LEASE_ISSUING_H
#define LEASE_ISSUING_H

#include "lease/object.h"

/* Can what is made now be written down, and found and ended again? */
int lease_issue_store_ready(struct leases *leases, struct leased_err *err) LEASED_MUST_CHECK;
/* Fills data and request by issue: times, who and what for, and the caps that it is to hold. */
int lease_issue_terms(
    struct lease *lease, const struct lease_issue *issue, struct leased_err *err) LEASED_MUST_CHECK;
/* Its row, without data: INTENT, or LIVE for PLAIN. */
int lease_issue_row(struct lease *lease, const struct lease_issue *issue,
    enum store_lease_kind kind, struct leased_err *err) LEASED_MUST_CHECK;
/* In the transaction that makes the row. */
int lease_issue_caps_take(
    struct lease *lease, struct store_txn *txn, struct leased_err *err) LEASED_MUST_CHECK;

#endif
