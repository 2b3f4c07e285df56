/*
 * The audit (DESIGN.md): what was asked, what was answered and what changed, as JSON lines in a
 * file, each chained to the one before by a keyed hash. Records of changes are left in the store's
 * outbox by the transaction that makes the change; records of requests are on the device before
 * the request acts, and before its reply leaves.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <leased/error.h>

#include "base/wclock.h"
#include "seal/seal.h"
#include "store/store.h"

struct audit;
struct event_base;

struct audit_config {
	const char *path;
	struct event_base *loop; /* NULL with an inline store: every call writes before it returns,
				    and audit_pump() does what a turn of the loop would */
	struct store *store;
	struct wclock *clock;
	unsigned wait_ms; /* how long a record may take; 0: 2000 */
};
/*
 * Opens the device (0600, ours, a regular file, no link: else LEASED_EINVAL), finds the end of the
 * chain, and watches the store from now on. Nothing may have been submitted to the store by others.
 * A device that cannot be used now is no error: it fails as one that fails later does, and is tried
 * again.
 */
int audit_new(const struct audit_config *config, struct audit **ret_audit,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Moves what is in the outbox as far as the device takes it in time; who waits is told. Before
 * store_stop(), with the loop still there. NULL is fine, here and below. */
void audit_stop(struct audit *audit);
void audit_free(struct audit *audit); /* after store_stop() */
void audit_pump(struct audit *audit);

/* The file was renamed: the next record goes to a new one. (Noticed within a second anyway.) */
void audit_reopen(struct audit *audit);
/* Does the device take records? */
bool audit_healthy(const struct audit *audit);
/* Does it take them into a file that its path does not lead to, since none opens there? */
bool audit_is_astray(const struct audit *audit);
/* Was its directory replaced, so that only another start opens a file there? */
bool audit_is_shut_out(const struct audit *audit);
/* For how long the oldest record has waited for it, 0: none waits. */
int64_t audit_lag_ms(const struct audit *audit);
const char *audit_path(const struct audit *audit);
/* What would keep this user from writing there, as far as it shows without trying. LEASED_EINVAL:
 * leased does not start with it. LEASED_EUNAVAIL: it starts, and refuses requests. */
int audit_check_path(const char *path, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- requests ---- */

enum audit_what {
	AUDIT_REQUEST = 1,  /* before it acts */
	AUDIT_RESPONSE = 2, /* before the reply leaves */
	AUDIT_BOTH = 3,     /* it was refused before it could act */
};
struct audit_event { /* all borrowed for the call; NULL: unknown */
	enum audit_what what;
	const char *id, *operation, *path, *mount_point, *mount_type;
	const char *remote_address; /* NULL: the Unix socket */
	unsigned remote_port;
	uid_t uid; /* of the Unix socket's peer */
	pid_t pid;
	const char *token; /* as presented; never leaves but as a hash */
	const char *accessor, *display_name, *entity, *token_type;
	const json_t *policies, *body;
	int status;
	const char *lease_id;
	const json_t *data, *auth; /* of the answer */
	const char *error;
};
/* code 0: the record is on the device. Else it is not, and the caller must not go on. */
typedef void (*audit_written)(void *arg, int code, const struct leased_err *err);
/* done comes once, at the latest after wait_ms; it may come before this returns. */
void audit_record(
    struct audit *audit, const struct audit_event *event, audit_written done, void *arg);

/* ---- the configuration ---- */

struct audit_configuration { /* what of leased.hcl is put in place */
	const char *cause;   /* "start", "reload" */
	const char *file, *sha256;
	int64_t policies, roles, listeners, certificates; /* certificates: that are shown now */
};
/* Puts a change "configuration" into txn: it is on record with that, or not at all. Writer thread.
 */
int audit_put_configuration(struct audit *audit, struct store_txn *txn,
    const struct audit_configuration *configuration, struct leased_err *err) LEASED_MUST_CHECK;

/* "hmac-sha256:<hex>", as values stand in records: to look for a value that one knows. */
#define AUDIT_HASH_SIZE 77
int audit_hash(struct seal *seal, const char *text, char ret_hash[AUDIT_HASH_SIZE],
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
