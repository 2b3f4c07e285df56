/*
 * Accounts of one call, as disarm and remove work on them together: what the daemon said of each,
 * what the server says, and each one's own outcome.
 */
#ifndef POSTGRESQL_ACCOUNT_H
#define POSTGRESQL_ACCOUNT_H

#include "postgresql.h"

#define POSTGRESQL_NAME_MAX 63
#define POSTGRESQL_ACCOUNTS_MAX 64

struct postgresql_account {
	const char *name;
	const json_t *role; /* its settings, never NULL */
	const char *server; /* where it was made, or NULL: unknown */
	uint32_t handle;    /* the OID that it was made with, 0: unknown */
	bool is_failed_mint;
	bool has_failed; /* err says why; nothing more is done for it */
	struct leased_err err;
	/* what the server says; postgresql_accounts_find() */
	uint32_t oid; /* 0: no role of that name */
	bool can_login, is_superuser;
	char renamed[64]; /* "", or what the role with the handle's OID is called now .. */
	bool renamed_can_login;
	char stranger[64]; /* .. or the same, where it may be somebody else's role */
};

struct postgresql_accounts {
	struct postgresql_account items[POSTGRESQL_ACCOUNTS_MAX];
	size_t count;
};

/* Reads one account object. LEASED_EINVAL for a name that PostgreSQL would cut or cannot hold. */
int postgresql_account_read(const json_t *object, struct postgresql_account *ret_account,
    struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_EMOVED when the account was made on another server than the one that is there. */
int postgresql_account_on_server(const struct postgresql *plugin,
    const struct postgresql_account *account, struct leased_err *err) LEASED_MUST_CHECK;
/* params.accounts; what is wrong with one account is that account's own failure. */
int postgresql_accounts_read(const struct postgresql *plugin, const struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;
/* Asks the server for the roles of all accounts that have not failed. */
int postgresql_accounts_find(struct postgresql *plugin, const struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;
/* A role that lives on under another name is not gone: its account fails with what to do. */
void postgresql_accounts_fail_renamed(struct postgresql_accounts *accounts);
/* Is there a role of that name? 1 yes, 0 no, or a leased_code. */
int postgresql_role_exists(struct postgresql *plugin, struct leased_call *call, const char *name,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Marks one as failed with what is in account->err. */
void postgresql_account_fail(struct postgresql_account *account);

/* A role's list of statements, or NULL where it is absent or empty. */
const json_t *postgresql_account_statements(
    const struct postgresql_account *account, const char *field);

/*
 * Ends access of every account that has not failed: no login, no session. Accounts that resist get
 * their failure. Nonzero: nothing can be said of any of them.
 */
int postgresql_disarm_all(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * hidden.c: of the processes pids, ends those that belong to an account of the call, leaves all
 * others alone, and keeps in pids those that were told to end. Nonzero: the server did not let us
 * find out (a role that is gone, a superuser, no right to be a member of the account); pids is as
 * it was.
 */
int postgresql_hidden_end(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_accounts *accounts, int *pids, size_t *count,
    struct leased_err *err) LEASED_MUST_CHECK;

/* password.c: sets it, or finds out whether we may and changes nothing (of rotation_statements
 * nobody can tell). A missing grant is named. */
enum postgresql_alter { POSTGRESQL_ALTER_SET, POSTGRESQL_ALTER_TRY };
int postgresql_password_alter(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, const char *password, enum postgresql_alter how,
    struct leased_err *err) LEASED_MUST_CHECK;
/* check_static.c: `check` of scope "login" and "static" (PROTOCOL.md). */
int postgresql_check_login(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err) LEASED_MUST_CHECK;
int postgresql_check_static(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err) LEASED_MUST_CHECK;

/* owned.c: frees a role from what depends on it, without touching anybody's data, so that it can be
 * dropped. */
int postgresql_owned_release(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err) LEASED_MUST_CHECK;
/* Names what still depends on the role: always fails, with that text. */
int postgresql_owned_explain(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err) LEASED_MUST_CHECK;

/* mint.c: an RFC 3339 time as VALID UNTIL has it, by the server's clock. */
#define POSTGRESQL_EXPIRATION_SIZE 32
int postgresql_expiration(const struct postgresql *plugin, const char *rfc3339,
    char ret_text[POSTGRESQL_EXPIRATION_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

#endif
