/*
 * A host with a real spawner and the evil plugin, for the unit tests of plugin/.
 */
#ifndef UNIT_PLUGIN_FIXTURE_H
#define UNIT_PLUGIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/plugin.h"

struct outcomes {
	unsigned count;
	int code;
	bool not_sent, answered, gone_before;
	char worker[64], text[512];
	json_t *result;
	unsigned order; /* of the last one, among all of the fixture's */
};

struct fix {
	struct event_base *loop;
	struct wclock clock; /* the machine's, and how far it stays behind */
	int64_t lag_us;
	struct plugin_host *host;
	struct plugin_port *port;
	pid_t spawner;
	char dir[64], gate[128];
	bool refuse_sessions, hold_sessions, starts_programs; /* the last: of the next row */
	unsigned ahead;                                       /* .. too */
	unsigned sessions, gone, recovered, orders;
	struct plugin_session_ack *held;
	char last_worker[64];
	struct outcomes out, other;
};

int fix_setup(void **state);
int fix_teardown(void **state);

/* Opens the evil plugin in a mode, with a pool of size workers. */
void fix_open(struct fix *fix, const char *mode, unsigned size);

/* Opens a plugin by its program with {"mode":..,"gate":..}. */
void fix_open_program(struct fix *fix, const char *program, const char *mode, const char *gate);

/* The same; false: out of memory. */
bool fix_try_open(struct fix *fix, const char *mode, unsigned size);

struct plugin_call *fix_mint(struct fix *fix, unsigned timeout_ms, struct outcomes *out);
struct plugin_call *fix_call(
    struct fix *fix, enum plugin_op op, const char *params, struct outcomes *out);

/* Runs the loop until *what is at least wanted. Fails after 10 s. Returns the milliseconds it took.
 */
unsigned fix_until(struct fix *fix, const unsigned *what, unsigned wanted);
void fix_run_ms(struct fix *fix, unsigned ms);
void fix_touch_gate(struct fix *fix);

#endif
