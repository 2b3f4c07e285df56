/*
 * A plugin port without processes, for unit tests of lease/ and engine/. Nothing happens by itself:
 * calls wait until the test answers them (scripted), or until it says fake_port_pump() (automatic:
 * an in-memory backend that does what PROTOCOL.md says). Link leased_test_support (in the module's
 * setup.cmake).
 */
#ifndef SUPPORT_FAKE_PORT_H
#define SUPPORT_FAKE_PORT_H

#include <stdbool.h>

#include "plugin/plugin.h"

struct fake_port;

struct fake_account {
	char name[128];
	char handle[32];
	char password[128];
	char expires[64];
	char server[128];  /* where it is: another server does not know it */
	char blocked[128]; /* not "": remove is refused with this text */
	bool armed;
	bool stubborn;     /* disarm is refused: sessions do not end */
	unsigned sessions; /* of its user; disarm ends them */
	unsigned renewals;
	bool partial; /* not everywhere; a renewal mends that, and wants FAKE_KEPT_WHOLE kept */
};
#define FAKE_KEPT_WHOLE "kept-whole"

struct fake_port *fake_port_new(int64_t connection);
/* Frees what is left, closed or not. Calls under way get no callback. */
void fake_port_free(struct fake_port *fake);
struct plugin_port *fake_port_port(struct fake_port *fake);

/* ---- scripted ---- */

/* Calls under way of op (-1: of any). */
unsigned fake_port_pending(const struct fake_port *fake, int op);
/* params of the oldest call of op, borrowed; NULL: there is none. */
const json_t *fake_port_params(const struct fake_port *fake, enum plugin_op op);
/*
 * Ends the oldest call of op (false: there is none). code 0: result is JSON text (NULL: "{}").
 * ETIMEDOUT and ECRASHED end the worker: on_worker_gone comes first. not_sent is true for EUNAVAIL,
 * EINVAL and ECANCELED only.
 */
bool fake_port_answer(struct fake_port *fake, enum plugin_op op, int code, const char *result);

/* ---- automatic ---- */

/*
 * Answers every call that was waiting when it was called, in order, from the in-memory backend; the
 * number answered. A worker's first call raises on_session first and waits, over several pumps, for
 * the ack.
 */
unsigned fake_port_pump(struct fake_port *fake);

enum fake_fault {
	FAKE_FAULT_BEFORE, /* fails, nothing was sent */
	FAKE_FAULT_AFTER,  /* the backend did it, then the call fails */
	FAKE_FAULT_LATE,   /* the call fails; the backend does it at fake_port_land(), unless its
			      session was reaped (a zombie): ETIMEDOUT or ECRASHED */
	FAKE_FAULT_HANG,   /* is never answered by a pump */
};
/* The next call of op that a pump comes to ends with code. Faults of one op queue up. With
 * ETIMEDOUT and ECRASHED the worker ends. */
void fake_port_fault(
    struct fake_port *fake, enum plugin_op op, enum fake_fault fault, int code, const char *text);
unsigned fake_port_faults(const struct fake_port *fake); /* that have not struck yet */
/* Applies what FAKE_FAULT_LATE held back; the number of effects. */
unsigned fake_port_land(struct fake_port *fake);
/* Down: ready() and calls say EUNAVAIL. Up again: on_recovered. */
void fake_port_set_down(struct fake_port *fake, bool down);
/* The worker dies: on_worker_gone, then its calls (all that are under way) end with ECRASHED. */
void fake_port_crash(struct fake_port *fake);

/* Borrowed until the next pump; NULL: no such account. */
struct fake_account *fake_port_account(struct fake_port *fake, const char *name);
unsigned fake_port_account_count(const struct fake_port *fake);
/* An account that no mint made; for reconcile. */
struct fake_account *fake_port_add_account(struct fake_port *fake, const char *name);
/* As if a worker were opened and met this server. Accounts stay where they were made. While the
 * port's `moved` is set, mints are refused, as a pool does. */
void fake_port_set_server(struct fake_port *fake, const char *server);
/* What a ping says from now on: another life of the backend. Workers are not told. */
void fake_port_set_incarnation(struct fake_port *fake, const char *incarnation);
/* Members (JSON texts) over those that describe says, over those that an open said, and of every
 * mint's result from now on. */
void fake_port_describes(struct fake_port *fake, const char *members);
void fake_port_opens(struct fake_port *fake, const char *members);
void fake_port_mints(struct fake_port *fake, const char *members);
/* Its plugin makes what is missing anew when it is renewed: `kept` becomes its password. */
void fake_port_set_remakes(struct fake_port *fake, bool remakes);
/* As if the backend had forgotten it. */
void fake_port_drop_account(struct fake_port *fake, const char *name);
/* What a last open at boot_us would have said: where the backend is, and its clock. */
void fake_port_set_opened(
    struct fake_port *fake, const char *host, int64_t server_wall_us, int64_t boot_us);

struct fake_port_counts {
	unsigned calls[PLUGIN_OP_COUNT];
	unsigned canceled;
	unsigned overlaps; /* calls started for an account that another call under way had: must
			      stay 0 */
	unsigned sessions; /* worker sessions that are neither reaped nor closed */
	unsigned workers;  /* started so far */
};
struct fake_port_counts fake_port_counts(const struct fake_port *fake);

#endif
