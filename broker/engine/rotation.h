/*
 * Rotating the password of an account that stays: a static role's, or a connection's own login
 * (root rotation). A new password is durable as the document's candidate before the backend hears
 * of it, and becomes the password only after a login with it has succeeded; until then both are
 * kept, and nobody is told either. What a crash or a lost answer leaves is settled by trying which
 * of the two logs in. rotation_begin.c begins and ends one, rotation.c is its way, rotation_write.c
 * what it writes, rotation_timer.c begins those that are due.
 */
#ifndef ENGINE_ROTATION_H
#define ENGINE_ROTATION_H

#include "engine/private.h"

/*
 * In a document of kind "static" or "connection", the object "rotation": password (of static roles;
 * a connection's is in its details), candidate, next_at_ms and rotated_at_ms (lease time),
 * last_rotation_us, proved_us (wall time), failures, last_error, last_error_us.
 */
const char *engine_rotation_text(const struct store_doc *doc, const char *field); /* NULL: none */
int64_t engine_rotation_number(const struct store_doc *doc, const char *field);   /* 0: none */
/* A restored static role's that has not logged in since: the original may have changed it. */
bool engine_rotation_is_unproven(struct engines *engines, const struct store_doc *doc);
/* details of a connection's document as its workers get them: a new object, NULL: no memory. */
json_t *engine_rotation_details(const struct store_doc *doc);

/* What a read tells: last_vault_rotation, and, where there is something to tell, rotation_pending,
 * last_error, last_error_time, rotation_failures. */
int engine_rotation_show(const struct store_doc *doc, json_t *to) LEASED_MUST_CHECK;

enum engine_rotation_aim {
	ENGINE_ROTATE, /* a new password, begun after this call */
	ENGINE_SETTLE, /* no candidate left behind: find out which password is good */
	ENGINE_DUE     /* as ROTATE; in a restored store only once what is kept does not log in */
};
/*
 * done comes exactly once, perhaps before this returns; NULL: nobody waits. One rotation of a
 * document at a time: SETTLE waits for the one that is under way, ROTATE for it and then begins.
 * code 0: the document has no candidate, and for ROTATE a new password. Else the document says what
 * is left.
 */
void engine_rotate(struct engines *engines, int64_t doc, enum engine_rotation_aim aim,
    engine_changed done, void *arg);
/* Calls done when the rotation of doc that is under way ends. False: there is none. */
bool engine_rotation_wait(struct engines *engines, int64_t doc, engine_changed done, void *arg);

/* Parses texts (an array of strings, or NULL) into role.rotation_statements; none: nothing. */
int engine_rotation_statements(const char *field, const json_t *texts, const json_t *description,
    json_t *role, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- rotation_timer.c ---- */
void engine_rotations_start(struct engines *engines);
void engine_rotations_stop(struct engines *engines); /* those that wait end; the timer goes */
/* Begins what is due; milliseconds until it wants to be called again. */
int64_t engine_rotations_tick(struct engines *engines);
void engine_rotations_wake(struct engines *engines); /* something may be due sooner than that */

/* ---- inside ---- */
enum rotation_state {
	ROTATION_BEGUN,
	ROTATION_PROVE,         /* does the present password log in by itself? */
	ROTATION_CANDIDATE,     /* being written */
	ROTATION_SET,           /* at the backend */
	ROTATION_LOGIN,         /* with the candidate that was set */
	ROTATION_FENCE,         /* what dead workers sent may still happen */
	ROTATION_TRY_CANDIDATE, /* nobody knows which of the two is good */
	ROTATION_TRY_CURRENT,
	ROTATION_PUBLISH, /* being written */
	ROTATION_KEEP,    /* being written: it failed, or the candidate was found to be none */
	ROTATION_ENDED,
};
struct rotation_waiter {
	TAILQ_ENTRY(rotation_waiter) entry;
	engine_changed done;
	void *arg;
	bool again; /* wants one that begins after this one */
};
TAILQ_HEAD(rotation_waiters, rotation_waiter);

#define ROTATION_TAG 0x656e726fu
struct engine_rotation {
	struct store_op op; /* first */
	unsigned tag;
	LIST_ENTRY(engine_rotation) link;
	struct engines *engines;
	struct rotation_waiters waiters;
	enum rotation_state state;
	enum engine_rotation_aim aim;
	int64_t doc, connection;
	bool is_root;
	char *account;
	json_t *role; /* what travels as account.role */
	char server[128];
	struct leased_secret *current;   /* NULL: none is known */
	struct leased_secret *candidate; /* NULL: none */
	struct leased_secret *replaced;  /* the candidate that stands in the document while another
					    one is written; NULL: none */
	bool drop;                       /* KEEP: the candidate is known not to be the password */
	bool unproven;                   /* a static role's, and it is due for that alone */
	bool proved;                     /* KEEP: due when it was before the restore */
	struct leased_err why;           /* what failed, code 0: nothing */
	char worker[64];                 /* that had the call of unknown outcome, "" none */
	/* for the transaction */
	int64_t now_ms, wall_us, fence_until_ms;
	uint32_t jitter;
};
struct engine_rotation *engine_rotation_from(void *arg);
struct engine_rotation *engine_rotation_find(struct engines *engines, int64_t doc);
void engine_rotation_enter(struct engine_rotation *rotation, enum rotation_state next);
void engine_rotation_go(struct engine_rotation *rotation); /* from BEGUN */
void engine_rotation_end(struct engine_rotation *rotation, int code, const struct leased_err *err);
void engine_rotation_cut(struct engine_rotation *rotation); /* leased is stopping */
/* A FENCE that may have opened, or has waited too long. */
void engine_rotation_look(struct engine_rotation *rotation);
/* Ends one that waits for nothing but time. */
void engine_rotation_cancel(struct engine_rotation *rotation);

/* rotation_write.c: the transaction of CANDIDATE, PUBLISH and KEEP. */
int engine_rotation_run(struct store_op *op, struct store_txn *txn, struct leased_err *err);

#endif
