/*
 * The end of an account without us: an event of the server, where the configuration wants one.
 */
#ifndef MYSQL_EXPIRY_H
#define MYSQL_EXPIRY_H

#include "account.h"

/* Makes or moves the account's event; when is a DATETIME of the server, UTC. */
int maria_expiry_set(struct maria *plugin, const struct leased_call *call,
    const struct maria_account *account, const char *when,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Moves it, and lets the account log in again if it was the event that locked it. */
int maria_expiry_renew(struct maria *plugin, const struct leased_call *call,
    const struct maria_account *account, const char *when,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Drops it; one that is not there is success. */
int maria_expiry_drop(struct maria *plugin, const struct leased_call *call, const char *name,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
