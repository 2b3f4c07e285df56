/*
 * Leases whose records are damaged, for who may name every lease: by id, for lists, and forgetting
 * them by a person's word. Their accounts are disarmed by look.c; what is known of them is columns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "lease/ended.h"
#include "lease/private.h"

#define UNKNOWN_RANDOM "0000000000000000" /* it was in the record */
#define UNKNOWN_PATH "damaged"

struct forget_task {
	struct lease_task task; /* first */
	int64_t id, now_ms;
	char by[129], account[256];
	enum lease_revoke_state state;
	lease_revoke_done done;
	void *arg;
};

/* ---- names ---- */

/* Mount and place as the columns say, or UNKNOWN_PATH, where they say nothing. */
static void
path_below(const char *mount, const struct store_damaged *damaged, char *ret_path, size_t size)
{
	int len = -1;

	if (mount != NULL && mount[0] != '\0' && damaged->place[0] != '\0' &&
	    utf8_is_valid(damaged->place, strlen(damaged->place)))
		len = snprintf(ret_path, size, "%s%s", mount, damaged->place);
	if (len < 0 || (size_t)len >= size)
		(void)snprintf(ret_path, size, "%s", UNKNOWN_PATH);
}

static void
path_of(struct leases *leases, const struct store_damaged *damaged, char *ret_path, size_t size)
{
	path_below(
	    leases->config.mount_path(leases->config.arg, damaged->mount), damaged, ret_path, size);
}

int
lease_damaged_find(struct leases *leases, const char *lease_id, struct store_damaged *ret_damaged,
    struct leased_err *err)
{
	struct store_damaged damaged = {0};
	struct lease_id_parts parts;
	char path[LEASE_ID_MAX];
	int r;

	if (!lease_id_split(lease_id, &parts))
		return (leased_err_set(err, LEASED_ENOENT, "invalid lease"));
	r = store_damaged_get(store_db(leases->config.store), parts.row, &damaged, err);
	if (r != 0)
		return (r);
	path_of(leases, &damaged, path, sizeof(path));
	if (damaged.kind == STORE_LEASE_TOKEN || strlen(path) != parts.path_len ||
	    memcmp(path, parts.path, parts.path_len) != 0) {
		store_damaged_clear(&damaged);
		return (leased_err_set(err, LEASED_ENOENT, "invalid lease"));
	}
	*ret_damaged = damaged;
	return (0);
}

/* A damaged column may hold anything. */
static const char *
text_or_none(const char *text)
{
	return (utf8_is_valid(text, strlen(text)) ? text : "");
}

json_t *
lease_damaged_describe(struct leases *leases, const struct store_damaged *damaged)
{
	const char *mount = leases->config.mount_path(leases->config.arg, damaged->mount);
	char path[LEASE_ID_MAX - 8 - sizeof(UNKNOWN_RANDOM)], number[9], id[LEASE_ID_MAX];

	path_of(leases, damaged, path, sizeof(path));
	if (id_number_encode(damaged->id, number) != 0)
		return (NULL);
	(void)snprintf(id, sizeof(id), "%s/%s%s", path, number, UNKNOWN_RANDOM);
	return (json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:b,s:i,s:b,s:b,s:s,s:s,s:s,s:n,s:n,s:n}",
	    "id", id, "state", damaged->disarmed ? "disarmed" : "disarming", "path", path, "mount",
	    mount != NULL ? mount : "", "account", text_or_none(damaged->account), "owner",
	    text_or_none(damaged->owner), "connection", (json_int_t)damaged->connection,
	    "renewable", 0, "ttl", 0, "needs_a_person", 1, "damaged", 1, "revoke_error_code",
	    leased_code_name(LEASED_ECORRUPT), "revoke_error",
	    damaged->connection == 0
		? "the record is damaged, so that it is taken for nothing any more: let the lease "
		  "be forgotten by sys/leases/revoke-force and its id"
	    : damaged->disarmed
		? "the record is damaged; access has ended, and the account stays: drop it, then "
		  "let the lease be forgotten by sys/leases/revoke-force and its id"
		: "the record is damaged; access ends when the lease was to end, or when it is "
		  "revoked",
	    "delivery", "unknown", "issue_time", "expire_time", "last_renewal"));
}

/* By the id that lists show for it, so that it can be looked up afterwards. */
void
lease_damaged_ended(const struct store_damaged *damaged, const char *mount, int64_t wall_ms,
    struct lease_ended *ret_ended)
{
	struct lease_ended ended = {.format = LEASE_ENDED_FORMAT,
	    .kind = STORE_LEASE_CREDENTIAL,
	    .mount = damaged->mount,
	    .gone_wall_ms = wall_ms};
	char path[LEASE_ID_MAX];
	size_t mount_len;

	path_below(mount, damaged, path, sizeof(path));
	mount_len = strcmp(path, UNKNOWN_PATH) == 0 ? strlen(path) : strlen(mount);
	memcpy(ended.mount_path, path, mount_len);
	lease_text_copy(ended.place, sizeof(ended.place), path + mount_len);
	lease_text_copy(ended.random, sizeof(ended.random), UNKNOWN_RANDOM);
	lease_text_copy(ended.owner, sizeof(ended.owner), text_or_none(damaged->owner));
	*ret_ended = ended;
}

/* ---- forgetting ---- */

static int
on_forget_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct forget_task *forget = (struct forget_task *)task;
	struct store_damaged damaged = {0};
	int r;

	r = store_damaged_get(store_txn_db(txn), forget->id, &damaged, err);
	if (r == LEASED_ENOENT) {
		forget->state = LEASE_REVOKE_GONE;
		return (0);
	}
	if (r != 0)
		return (r);
	lease_text_copy(forget->account, sizeof(forget->account), damaged.account);
	if (damaged.disarmed || damaged.connection == 0) {
		forget->state = LEASE_REVOKE_DISARMED;
		r = store_quarantine_delete(txn, forget->id, err);
	} else {
		forget->state = LEASE_REVOKE_RECORDED;
		r = store_quarantine_update(txn, forget->id, false, forget->now_ms, err);
	}
	store_damaged_clear(&damaged);
	return (r);
}

static void
on_forget_drop(struct lease_task *task)
{
	free(task);
}

static void
on_forget_cancel(struct lease_task *task)
{
	struct forget_task *forget = (struct forget_task *)task;
	struct leased_err err = LEASED_ERR_INIT;
	lease_revoke_done done = forget->done;

	forget->done = NULL;
	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping; ask again");
	if (done != NULL)
		done(forget->arg, LEASE_REVOKE_FAILED, &err);
}

static void
on_forget_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct forget_task *forget = (struct forget_task *)task;
	struct leases *leases = task->leases;
	struct leased_err why = LEASED_ERR_INIT;
	enum lease_revoke_state state = result == 0 ? forget->state : LEASE_REVOKE_FAILED;

	switch (state) {
	case LEASE_REVOKE_GONE:
		break;
	case LEASE_REVOKE_DISARMED:
		log_warn("a lease whose record was damaged is forgotten, as a person asked; its "
			 "account stays in the backend, without access",
		    LOG_I("row", forget->id), LOG_S("account", forget->account),
		    LOG_S("by", forget->by));
		(void)leased_err_set(&why, LEASED_ECORRUPT,
		    forget->account[0] != '\0'
			? "its record was damaged and is forgotten: drop account %s in the "
			  "backend, if it is still there"
			: "its record was damaged and is forgotten%s",
		    forget->account);
		break;
	case LEASE_REVOKE_RECORDED:
		leases->quarantine_ms = 0;
		lease_wake(leases);
		(void)leased_err_set(&why, LEASED_EUNAVAIL,
		    "its record is damaged, and account %s still has access, which is ended first: "
		    "ask again when it is disarmed",
		    forget->account);
		break;
	case LEASE_REVOKE_FAILED:
		why = *err;
		why.code = result;
		break;
	}
	if (forget->done != NULL)
		forget->done(forget->arg, state, &why);
	free(forget);
}

void
lease_damaged_forget(struct leases *leases, int64_t row, const struct lease_actor *actor,
    lease_revoke_done done, void *arg)
{
	struct forget_task *forget = calloc(1, sizeof(*forget));

	if (forget == NULL) {
		lease_nomem_add(leases, (struct lease_dones){.on_revoked = done}, arg);
		return;
	}
	forget->task.run = on_forget_run;
	forget->task.done = on_forget_done;
	forget->task.drop = on_forget_drop;
	forget->task.cancel = on_forget_cancel;
	forget->id = row;
	forget->now_ms = leases_now_ms(leases);
	lease_text_copy(forget->by, sizeof(forget->by), actor->name);
	forget->done = done;
	forget->arg = arg;
	lease_task_submit(leases, &forget->task);
}
