/*
 * Account names (name.c): made in the transaction of INTENT, and read back from a backend's list.
 */
#ifndef LEASE_NAME_H
#define LEASE_NAME_H

#include "lease/lease.h"

#define LEASE_ACCOUNT_SIZE 256
struct lease_name {
	const char *template; /* NULL: the default form */
	const char *tag, *role, *display, *random;
	int64_t sequence, unix_s;
	unsigned name_max;
};
int lease_name_format(
    const struct lease_name *name, char ret_account[LEASE_ACCOUNT_SIZE], struct leased_err *err);
/* The row number in a name of the default form. False: it has another form, or is not of this tag.
 * A name that a template made can look like one. */
bool lease_name_sequence(const char *account, const char *tag, int64_t *ret_sequence);

/* Stands in the store once an account was named by a template: from then on the number in a name
 * proves nothing (reconcile_compare.c). */
#define LEASE_META_TEMPLATES "account-templates"

#endif
