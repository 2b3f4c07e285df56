/*
 * The fixture of plugin/'s unit tests: one spawner, one host, one port, and what they told. No test
 * waits by sleeping: the loop runs until what is waited for has come.
 */
#include "fixture.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leased/secret.h>

static const struct plugin_catalog_row evil = {.program = "evil", .api_names = {"evil"}, .pool = 2};

static void
on_session(void *arg, struct plugin_port *port, const char *worker, const char *session,
    struct plugin_session_ack *ack)
{
	struct fix *fix = arg;

	assert_int_equal(port->connection, 7);
	assert_non_null(strchr(session, ':'));
	snprintf(fix->last_worker, sizeof(fix->last_worker), "%s", worker);
	fix->sessions++;
	if (fix->hold_sessions)
		fix->held = ack;
	else
		plugin_session_ack(ack, fix->refuse_sessions ? LEASED_ENOSPC : 0);
}

static void
on_gone(void *arg, struct plugin_port *port, const char *worker)
{
	struct fix *fix = arg;

	assert_int_equal(port->connection, 7);
	assert_true(strlen(worker) > 2);
	fix->gone++;
}

static void
on_recovered(void *arg, struct plugin_port *port)
{
	(void)port;
	((struct fix *)arg)->recovered++;
}

static int64_t
boot_us(struct wclock *clock)
{
	struct fix *fix = (struct fix *)((char *)clock - offsetof(struct fix, clock));

	return (wclock_system()->boot_us(wclock_system()) - fix->lag_us);
}

int
fix_setup(void **state)
{
	static bool once;
	struct leased_err err = LEASED_ERR_INIT;
	struct fix *fix = calloc(1, sizeof(*fix));
	int fd = -1;

	assert_non_null(fix);
	if (!once)
		assert_int_equal(leased_secret_setup(&err), 0);
	once = true;
	snprintf(fix->dir, sizeof(fix->dir), "/tmp/leased-plugin-XXXXXX");
	assert_non_null(mkdtemp(fix->dir));
	snprintf(fix->gate, sizeof(fix->gate), "%s/gate", fix->dir);
	if (plugin_spawner_start(EVIL_PLUGIN_DIR, &fd, &fix->spawner, &err) != 0)
		fail_msg("%s", err.text);
	fix->loop = event_base_new();
	fix->clock = *wclock_system();
	fix->clock.boot_us = boot_us;
	fix->host = plugin_host_new(fix->loop, fd, &fix->clock, id_source_system());
	assert_non_null(fix->host);
	plugin_host_set_tag(fix->host, "abcdef");
	*state = fix;
	return (0);
}

int
fix_teardown(void **state)
{
	struct fix *fix = *state;

	plugin_port_close(fix->port);
	plugin_host_free(fix->host);
	event_base_loop(fix->loop, EVLOOP_NONBLOCK);
	for (unsigned i = 0; /* deferred frees, of which one may defer another */
	     i < 400 && event_base_get_num_events(fix->loop, EVENT_BASE_COUNT_ADDED) > 0; i++)
		fix_run_ms(fix, 5);
	event_base_free(fix->loop);
	assert_int_equal(kill(fix->spawner, 0), -1); /* ended and reaped */
	(void)unlink(fix->gate);
	assert_int_equal(rmdir(fix->dir), 0);
	json_decref(fix->out.result);
	json_decref(fix->other.result);
	free(fix);
	return (0);
}

static bool
open_port(struct fix *fix, const struct plugin_catalog_row *row, json_t *config, unsigned size)
{
	if ((fix->port = plugin_port_open(fix->host, row, config, size, 7)) == NULL)
		return (false);
	fix->port->events = (struct plugin_port_events){.on_session = on_session,
	    .on_worker_gone = on_gone,
	    .on_recovered = on_recovered,
	    .arg = fix};
	return (true);
}

void
fix_open_program(struct fix *fix, const char *program, const char *mode, const char *gate)
{
	static struct plugin_catalog_row row;

	row = (struct plugin_catalog_row){.program = program,
	    .pool = 1,
	    .ahead = fix->ahead,
	    .starts_programs = fix->starts_programs};
	assert_true(open_port(fix, &row, json_pack("{s:s,s:s}", "mode", mode, "gate", gate), 1));
}

bool
fix_try_open(struct fix *fix, const char *mode, unsigned size)
{
	/* It refuses an open with "unlisted" in it, which it does not list. */
	json_t *config =
	    json_pack("{s:s,s:s,s:s}", "mode", mode, "gate", fix->gate, "unlisted", "x");

	return (config != NULL && open_port(fix, &evil, config, size));
}

void
fix_open(struct fix *fix, const char *mode, unsigned size)
{
	assert_true(fix_try_open(fix, mode, size));
}

struct pair {
	struct fix *fix;
	struct outcomes *out;
};

static void
on_done(void *arg, const struct plugin_outcome *outcome)
{
	struct pair *pair = arg;
	struct outcomes *out = pair->out;

	out->count++;
	out->order = ++pair->fix->orders;
	out->code = outcome->code;
	out->not_sent = outcome->not_sent;
	out->answered = outcome->answered;
	out->gone_before = pair->fix->gone > 0;
	snprintf(
	    out->worker, sizeof(out->worker), "%s", outcome->worker != NULL ? outcome->worker : "");
	snprintf(out->text, sizeof(out->text), "%s", outcome->err.text);
	json_decref(out->result);
	out->result = outcome->result != NULL ? json_deep_copy(outcome->result) : NULL;
}

struct plugin_call *
fix_call(struct fix *fix, enum plugin_op op, const char *params, struct outcomes *out)
{
	static struct pair pairs[256]; /* they outlive every call of a test */
	static unsigned next;
	struct pair *pair = &pairs[next++ % 256];

	*pair = (struct pair){fix, out};
	return (plugin_call_start(fix->port, op, json_loads(params, 0, NULL),
	    op == PLUGIN_OP_MINT ? 5000 : 0, on_done, pair));
}

struct plugin_call *
fix_mint(struct fix *fix, unsigned timeout_ms, struct outcomes *out)
{
	static struct pair pairs[256];
	static unsigned next;
	struct pair *pair = &pairs[next++ % 256];
	json_t *params;

	*pair = (struct pair){fix, out};
	params = json_pack("{s:{s:s,s:{}},s:s,s:s}", "account", "name", "l-abcdef-x", "role",
	    "password", "canary-password", "expires", "2026-11-23T03:43:50Z");
	if (params == NULL)
		return (NULL);
	return (plugin_call_start(fix->port, PLUGIN_OP_MINT, params, timeout_ms, on_done, pair));
}

static int64_t
now_ms(void)
{
	return (wclock_boot_ms(wclock_system()));
}

/* Without a timer of its own: nothing here may fail when a test makes memory run out. */
void
fix_run_ms(struct fix *fix, unsigned ms)
{
	int64_t end = now_ms() + ms;

	do {
		event_base_loop(fix->loop, EVLOOP_NONBLOCK);
		usleep(500);
	} while (now_ms() < end);
}

unsigned
fix_until(struct fix *fix, const unsigned *what, unsigned wanted)
{
	int64_t start = now_ms();

	while (*what < wanted) {
		fix_run_ms(fix, 5);
		if (now_ms() - start > 10000)
			fail_msg("not within 10 s");
	}
	return ((unsigned)(now_ms() - start));
}

void
fix_touch_gate(struct fix *fix)
{
	FILE *file = fopen(fix->gate, "w");

	assert_non_null(file);
	fclose(file);
}
