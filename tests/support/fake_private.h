/*
 * What the files of the fake port share: fake_port.c (calls, the port's table), fake_auto.c (the
 * pump, sessions, faults), fake_backend.c (accounts).
 */
#ifndef SUPPORT_FAKE_PRIVATE_H
#define SUPPORT_FAKE_PRIVATE_H

#include <sys/queue.h>

#include "plugin/port.h"
#include "support/fake_port.h"

#define FAKE_ACCOUNTS_MAX 4096

struct fake_backend {
	struct fake_account *accounts; /* FAKE_ACCOUNTS_MAX, sorted by name */
	unsigned count;
	unsigned next_handle;
	char server[128], incarnation[64];
	json_t *described, *minted; /* what the test has it say besides; NULL: nothing */
	bool remakes;               /* renew makes an account that is missing, with what was kept */
};

struct fake_call {
	struct plugin_call call; /* first */
	enum plugin_op op;
	json_t *params;
	plugin_done done;
	void *arg;
	uint64_t serial;
	bool taken; /* a worker has it */
	bool hung;
	TAILQ_ENTRY(fake_call) entry;
};
TAILQ_HEAD(fake_call_list, fake_call);

struct fake_fault_row {
	enum plugin_op op;
	enum fake_fault fault;
	int code;
	char text[128];
	TAILQ_ENTRY(fake_fault_row) entry;
};
TAILQ_HEAD(fake_fault_list, fake_fault_row);

struct fake_late {
	unsigned session;
	enum plugin_op op;
	json_t *params;
	TAILQ_ENTRY(fake_late) entry;
};
TAILQ_HEAD(fake_late_list, fake_late);

enum session_state { SESSION_NONE, SESSION_WAITING, SESSION_ACKED, SESSION_REFUSED };

struct fake_port {
	struct plugin_port port; /* first */
	struct plugin_session_ack ack;
	struct fake_call_list calls;
	struct fake_fault_list faults;
	struct fake_late_list late;
	struct fake_backend backend;
	uint64_t next_serial;
	unsigned worker; /* number of the present worker; 0: none runs */
	char worker_id[32];
	unsigned session; /* number of the present worker's session */
	enum session_state session_state;
	int session_result;
	unsigned stale_acks;     /* still to come for workers that died waiting */
	bool sessions_live[256]; /* by number modulo: neither reaped nor closed */
	unsigned gone[64];       /* workers whose end is still to be told */
	unsigned gone_count;
	bool pumped, down, closed;
	struct fake_port_counts counts;
};

/* fake_port.c */
void fake_worker_start(struct fake_port *fake);
void fake_worker_end(struct fake_port *fake); /* told by fake_tell_gone() */
unsigned fake_tell_gone(struct fake_port *fake);
void fake_call_finish(struct fake_port *fake, struct fake_call *call, int code,
    const json_t *result, bool not_sent, const char *text);
void fake_late_free(struct fake_port *fake, struct fake_late *late);

/* fake_auto.c */
void fake_on_ack(struct plugin_session_ack *ack, int result);

/* fake_backend.c */
struct fake_account *fake_backend_account(struct fake_backend *backend, const char *name);
void fake_backend_drop(struct fake_backend *backend, const char *name);
struct fake_account *fake_backend_add(struct fake_backend *backend, const char *name);
/* Any operation but reap. Fills result, an empty object. */
int fake_backend_run(struct fake_backend *backend, enum plugin_op op, const json_t *params,
    json_t *result, struct leased_err *err);

/* fake_ssh.c */
void fake_ssh_public(const char *id, json_t *result);
int fake_ssh_run(enum plugin_op op, const json_t *params, json_t *result, struct leased_err *err);

#endif
