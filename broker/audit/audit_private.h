/*
 * What the files of audit/ share: the audit itself, and what is on its way to the device. Nobody
 * else includes it.
 */
#ifndef AUDIT_AUDIT_PRIVATE_H
#define AUDIT_AUDIT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "audit/audit.h"
#include "audit/entry.h"
#include "audit/file.h"

#define AUDIT_TAG 0x61756474u /* "audt" */
#define AUDIT_MOUNTS 16

/* Lines on their way to the device. */
struct audit_item {
	TAILQ_ENTRY(audit_item) queue;   /* the thread's; guarded by the mutex */
	TAILQ_ENTRY(audit_item) waiting; /* the loop's */
	bool is_waiting;                 /* somebody is to be told */
	bool sync;                       /* to disk, not only to the file */
	char *bodies;                    /* JSON objects, a newline between them; owned, wiped */
	size_t len;
	int64_t deadline_ms;
	int result;
	struct leased_err err;
	struct audit_chain chain; /* behind it */
	audit_written done;
	void *arg;
};
TAILQ_HEAD(audit_items, audit_item);

/* What moves the outbox to the device, one step at a time. */
struct audit_mover {
	enum { MOVER_IDLE, MOVER_CLEARING, MOVER_READING, MOVER_WRITING, MOVER_PAUSING } state;
	struct store_op op;
	struct store_read read;
	struct store_outbox_row *rows;
	size_t count;
	int64_t written;         /* what is on the device, and may leave the outbox */
	struct audit_chain last; /* of what was written .. */
	struct audit_chain head; /* .. and brought to disk */
	bool head_changed;       /* the store does not know it yet */
	bool keep_last;          /* at a stop: so that a file that is gone later is missed */
	int64_t rows_left;
	struct event *again;
};

struct audit {
	unsigned tag;
	struct store *store;
	struct seal *seal;
	struct wclock *clock;
	struct event_base *loop;
	unsigned wait_ms;
	char *path;
	struct audit_items waiting; /* the loop's: who has not been told yet, oldest first */
	bool stopping, stalled;     /* stalled: a record was not taken in time; the loop's */
	struct event *tick;
	struct audit_mover mover;
	_Atomic bool changed; /* something was put into the outbox */

	pthread_t thread;
	bool has_thread;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t work;
	struct audit_items queue, written;
	size_t queued_bytes, queued_count;
	bool ending, ended, reopen;
	_Atomic bool failing;    /* the last thing the device was given it did not take */
	struct event *completed; /* completed_fd is readable: somebody is to be told */
	int completed_fd;

	struct audit_file file; /* the thread's once that runs */
	int64_t followed_ms;

	struct audit_mount { /* the writer's: paths by the number of their document */
		int64_t id;
		char path[160];
	} mounts[AUDIT_MOUNTS];
	unsigned mount_next;
};
struct audit *audit_from(void *arg); /* checks the tag */

/* ---- audit.c ---- */
/* bodies is taken. done is called in any case. */
void audit_submit(
    struct audit *audit, char *bodies, size_t len, bool sync, audit_written done, void *arg);
void audit_wake(struct audit *audit); /* from any thread */

/* ---- thread.c ---- */
int audit_thread_start(struct audit *audit, struct leased_err *err) LEASED_MUST_CHECK;
/* False: it hangs in a write; what it holds must stay. */
bool audit_thread_end(struct audit *audit);
/* Writes them; fills in results. On the thread, or inline. */
void audit_thread_write(struct audit *audit, struct audit_items *items);
void audit_item_free(struct audit_item *item);
void audit_say_failing(struct audit *audit, const struct leased_err *err);

/* ---- outbox.c ---- */
int audit_outbox_open(
    struct audit *audit, struct audit_chain *ret_head, struct leased_err *err) LEASED_MUST_CHECK;
int audit_on_change(
    void *arg, struct store_txn *txn, const struct store_change *change, struct leased_err *err);
/* Moves what is there, unless it is being moved. */
void audit_mover_step(struct audit *audit);
bool audit_mover_idle(const struct audit *audit);
void audit_mover_close(struct audit *audit);

/* ---- change.c ---- */
/* The record of a change; NULL: it is none to be recorded (0), or out of memory. */
int audit_change_text(struct audit *audit, struct store_txn *txn, const struct store_change *change,
    char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;
int audit_configuration_text(struct audit *audit, const struct audit_configuration *configuration,
    char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;

#endif
