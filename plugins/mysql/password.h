/*
 * What set_password and check share of accounts whose passwords are rotated.
 */
#ifndef MYSQL_PASSWORD_H
#define MYSQL_PASSWORD_H

#include "account.h"

/* params.account, which need not be one of ours. LEASED_ENOENT: not there. */
int maria_password_account(struct maria *plugin, struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_EREFUSED for one whose password could not be set here. */
int maria_password_check(const struct maria *plugin, const struct maria_account *account,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
