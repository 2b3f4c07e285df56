/*
 * Accounts of one call, as disarm and remove work on them together: what the daemon said of each,
 * what the server says, and each one's own outcome.
 */
#ifndef MYSQL_ACCOUNT_H
#define MYSQL_ACCOUNT_H

#include "config.h"
#include "maria.h"

#define MARIA_NAME_MAX 32         /* bytes: what MySQL takes; accounts of ours have no more */
#define MARIA_STATIC_NAME_MAX 128 /* MariaDB takes 128; others' accounts may have them */
#define MARIA_ACCOUNTS_MAX 64
#define MARIA_HOSTS_MAX 8

struct maria_account {
	const char *name;
	const json_t *role; /* its settings, never NULL */
	const char *server; /* where it was made, or NULL: unknown */
	const char *handle; /* the host that it was made with, or NULL: unknown */
	bool is_ours;       /* the name carries the store's tag: nobody else has such a name */
	bool is_failed_mint;
	bool has_failed; /* err says why; nothing more is done for it */
	struct leased_err err;
	/* what the server says; maria_accounts_find() */
	struct {
		char name[MARIA_HOST_MAX + 1];
		bool is_locked;
		char plugin[32];    /* how it logs in; "" is mysql_native_password */
		bool has_more_ways; /* and others besides */
	} hosts[MARIA_HOSTS_MAX];
	size_t host_count; /* 0: there is no such account */
};

struct maria_accounts {
	struct maria_account items[MARIA_ACCOUNTS_MAX];
	size_t count;
};

/* Reads one account object. LEASED_EINVAL for a name that the server cannot hold, or of more than
 * name_max bytes. */
int maria_account_read(const struct maria *plugin, const json_t *object, size_t name_max,
    struct maria_account *ret_account, struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_EMOVED when the account was made on another server than the one that is there. */
int maria_account_on_server(const struct maria *plugin, const struct maria_account *account,
    struct leased_err *err) LEASED_MUST_CHECK;
/* params.accounts; what is wrong with one account is that account's own failure. */
int maria_accounts_read(const struct maria *plugin, const struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;
/* Asks the server for all accounts that have not failed. */
int maria_accounts_find(struct maria *plugin, const struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;
/* For an operation on one account: reads, checks the server, finds. LEASED_ENOENT: not there. */
int maria_account_get(struct maria *plugin, struct leased_call *call, size_t name_max,
    struct maria_accounts *ret_one, struct leased_err *err) LEASED_MUST_CHECK;
/* Is there an account of that name and host? 1 yes, 0 no, or a leased_code. */
int maria_account_exists(struct maria *plugin, struct leased_call *call, const char *name,
    const char *host, struct leased_err *err) LEASED_MUST_CHECK;

/* A role's list of statements, or NULL where it is absent or empty. */
const json_t *maria_account_statements(const struct maria_account *account, const char *field);
/* handle and server into a result. */
int maria_account_tell(const struct maria *plugin, const struct maria_account *account,
    json_t *result, struct leased_err *err) LEASED_MUST_CHECK;

struct maria_slots; /* sql.h */

/* statements.c: the elements of a role's field, then the session as it was before. */
int maria_run_statements(struct maria *plugin, const struct leased_call *call, const char *field,
    const json_t *elements, const struct maria_slots *slots,
    struct leased_err *err) LEASED_MUST_CHECK;

/*
 * disarm.c: ends access of every account that has not failed: no login, no session. Accounts that
 * resist get their failure. Nonzero: nothing can be said of any of them.
 */
int maria_disarm_all(struct maria *plugin, struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;
/* KILL, by the id of a connection. One that is gone is success. */
int maria_kill(struct maria *plugin, const struct leased_call *call, unsigned long long id,
    struct leased_err *err) LEASED_MUST_CHECK;

/* check.c: why a login of an account was refused, where that can be found out. Returns err->code.
 */
int maria_explain_login(
    struct maria *plugin, struct leased_call *call, const char *name, struct leased_err *err);

/* mint.c: the hash that the server would store, or nothing where passwords are sent. */
int maria_password_slots(const struct maria *plugin, const char *password, char *hash,
    struct maria_slots *slots, struct leased_err *err) LEASED_MUST_CHECK;

#endif
