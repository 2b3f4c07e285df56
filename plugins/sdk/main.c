/*
 * The life of a plugin process: hardens itself, reads a request, calls its handler, writes the
 * reply, until the stream ends. Owns the stream on fd 3 and nothing of a backend. A plugin's main()
 * calls it; PROTOCOL.md is the contract.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/harden.h"
#include "point.h"
#include "sdk.h"

#define OP_COUNT 18
#define WATCH_MS 5000

struct frame_reader sdk_reader;

static bool opened;

static const struct leased_plugin *the_plugin;
static struct sdk_op ops[OP_COUNT];

void
sdk_exit(int status, const struct leased_err *why)
{
	if (why != NULL)
		leased_plugin_log("%s", why->text);
	frame_reader_clear(&sdk_reader);
	_exit(status); /* no handler of a library may wait for a backend now */
}

void
leased_outcome_unknown(const char *fmt, ...)
{
	struct leased_err why = LEASED_ERR_INIT;
	va_list args;

	va_start(args, fmt);
	(void)leased_err_vset(&why, LEASED_ECRASHED, fmt, args);
	va_end(args);
	sdk_exit(75, &why);
}

/* ---- what the table may say in fewer words ---- */

static int
describe_by_text(void *ctx, struct leased_call *call, struct leased_err *err)
{
	unsigned long failures = leased_secret_alloc_failures();
	json_t *object = json_loads(the_plugin->description, JSON_REJECT_DUPLICATES, NULL);
	int r;

	(void)ctx;
	/* Without memory jansson reports bad syntax. */
	if (leased_secret_alloc_failures() != failures) {
		json_decref(object);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if (object == NULL)
		return (leased_err_set(err, LEASED_EBUG, "the plugin's description is no JSON"));
	r = json_object_update(call->result, object);
	json_decref(object);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
ping_by_itself(void *ctx, struct leased_call *call, struct leased_err *err)
{
	(void)ctx;
	(void)call;
	(void)err;
	return (0);
}

static int
disarm_each(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (leased_each_account(call, the_plugin->disarm_account, ctx, err));
}

static int
remove_each(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (leased_each_account(call, the_plugin->remove_account, ctx, err));
}

static leased_handler
either(leased_handler given, bool otherwise, leased_handler ours)
{
	return (given != NULL || !otherwise ? given : ours);
}

static void
ops_setup(const struct leased_plugin *p)
{
	const struct sdk_op table[OP_COUNT] = {
	    {"describe", either(p->describe, p->description != NULL, describe_by_text), true,
		{NULL}},
	    {"open", p->open, true, {"config", "tag", "instance"}},
	    {"check", p->check, false, {"account", "password"}},
	    {"mint", p->mint, false, {"account", "password", "expires"}},
	    {"renew", p->renew, false, {"account", "expires"}},
	    {"disarm", either(p->disarm, p->disarm_account != NULL, disarm_each), false,
		{"accounts"}},
	    {"remove", either(p->remove, p->remove_account != NULL, remove_each), false,
		{"accounts"}},
	    {"set_password", p->set_password, false, {"account", "password"}},
	    {"inventory", p->inventory, false, {"tag"}},
	    {"ping", either(p->ping, true, ping_by_itself), true, {NULL}},
	    {"reap", p->reap, false, {"sessions"}},
	    {"generate", p->generate, false, {"algorithm"}},
	    {"sign", p->sign, false, {"key", "claims"}},
	    {"import", p->import, false, {"private"}},
	    {"inspect", p->inspect, false, {"public_key"}},
	    {"certify", p->certify, false, {"key", "certificate"}},
	    {"krl", p->krl, false, {"key", "krl"}},
	    {"push", p->push, false, {"host", "identity", "list"}},
	};

	the_plugin = p;
	memcpy(ops, table, sizeof(ops));
}

static const struct sdk_op *
op_find(const char *name)
{
	for (unsigned i = 0; i < OP_COUNT; i++)
		if (strcmp(ops[i].name, name) == 0)
			return (&ops[i]);
	return (NULL);
}

/* What crash tests arm: a worker dies before or after the backend did its part. */
static void
pass_failpoint(const char *op, bool done)
{
#ifdef LEASED_FAILPOINTS
	static const struct {
		const char *op;
		enum failpoint_id begin, end;
	} points[] = {
	    {"open", FAILPOINT_worker_open_begin, FAILPOINT_worker_open_end},
	    {"check", FAILPOINT_worker_check_begin, FAILPOINT_worker_check_end},
	    {"mint", FAILPOINT_worker_mint_begin, FAILPOINT_worker_mint_end},
	    {"renew", FAILPOINT_worker_renew_begin, FAILPOINT_worker_renew_end},
	    {"disarm", FAILPOINT_worker_disarm_begin, FAILPOINT_worker_disarm_end},
	    {"remove", FAILPOINT_worker_remove_begin, FAILPOINT_worker_remove_end},
	    {"set_password", FAILPOINT_worker_set_password_begin,
		FAILPOINT_worker_set_password_end},
	    {"reap", FAILPOINT_worker_reap_begin, FAILPOINT_worker_reap_end},
	};

	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (strcmp(points[i].op, op) == 0)
			(void)failpoint_hit(done ? points[i].end : points[i].begin, NULL);
#else
	(void)op;
	(void)done;
#endif
}

void
sdk_point_pass(enum sdk_point point)
{
	switch (point) {
	case SDK_POINT_PUSH_UPLOADING:
		FAILPOINT(worker_push_uploading);
		break;
	case SDK_POINT_PUSH_RENAME:
		FAILPOINT(worker_push_rename);
		break;
	}
}

/* describe's result, completed by what the table of functions says by itself, and by what most
 * plugins would say. */
static int
add_description(json_t *result, struct leased_err *err)
{
	json_t *names = json_array();
	int bad = names == NULL;

	for (unsigned i = 0; i < OP_COUNT; i++)
		if (ops[i].handler != NULL)
			bad |= json_array_append_new(names, json_string(ops[i].name));
	if (json_object_get(result, "dialect") == NULL)
		bad |= json_object_set_new(result, "dialect", json_string("none")) |
		       json_object_set_new(result, "default_statements", json_true());
	if (json_object_get(result, "role_fields") == NULL)
		bad |= json_object_set_new(result, "role_fields", json_array());
	if (json_object_get(result, "native_expiry") == NULL)
		bad |= json_object_set_new(result, "native_expiry", json_false());
	bad |= json_object_set_new(result, "ops", names);
	bad |= json_object_set_new(result, "name", json_string(the_plugin->name));
	bad |= json_object_set_new(result, "protocol", json_integer(SDK_VERSION));
	if (bad != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/* Runs the handler. *ret_untouched: no handler was called, so that nothing can have been sent. */
static int
dispatch(struct leased_call *call, bool *ret_untouched, struct leased_err *err)
{
	const char *name = call->private_data->op;
	const struct sdk_op *op = op_find(name);
	bool is_open;
	int r;

	*ret_untouched = true;
	if (op == NULL || op->handler == NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s has no operation \"%.40s\"", the_plugin->name, name));
	is_open = strcmp(name, "open") == 0;
	if (!opened && !op->before_open)
		return (leased_err_set(err, LEASED_EINVAL, "%s before open", name));
	if (opened && is_open)
		return (leased_err_set(err, LEASED_EINVAL, "open was called before"));
	if ((r = sdk_check_params(call->params, op->fields, err)) != 0)
		return (r);
	*ret_untouched = false;
	if (is_open)
		sdk_watch_begin(json_object_get(call->params, "config"));
	pass_failpoint(name, false);
	if ((r = op->handler(the_plugin->ctx, call, err)) != 0)
		return (r < 0 ? r : leased_err_set(err, LEASED_EBUG, "%s returned %d", name, r));
	if (is_open) {
		if ((r = sdk_confine_after_open(err)) != 0)
			return (r);
		opened = true;
	}
	if (strcmp(name, "describe") == 0)
		r = add_description(call->result, err);
	pass_failpoint(name, true);
	return (r);
}

/* Lists of what is revoked are long: who makes them takes what they are made of. */
static size_t
frame_max(void)
{
	return (the_plugin->krl != NULL ? FRAME_LONG_MAX : FRAME_MAX);
}

static int
write_reply(const struct leased_call *call, int code, bool sent, struct leased_err *err)
{
	json_t *reply;
	int r;

	reply = json_pack("{s:i,s:I,s:s,s:b}", "v", SDK_VERSION, "id", call->private_data->id, "op",
	    call->private_data->op, "ok", code == 0);
	if (reply == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (code == 0)
		r = json_object_set(reply, "result", call->result);
	else
		r = json_object_set_new(reply, "error", sdk_error(err)) |
		    json_object_set_new(reply, "sent", json_boolean(sent));
	if (r != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else
		r = frame_write_up_to(SDK_FD, reply, frame_max(), err);
	json_decref(reply);
	return (r);
}

/* Only mint and set_password say by themselves whether they have sent something; for every other
 * handler that ran, assume so. */
static void
serve(const json_t *request, struct leased_call_private *own)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct leased_call call = {.private_data = own};
	bool untouched = true, sent;
	int code, r;

	call.params = json_object_get(request, "params");
	if ((call.result = json_object()) == NULL) {
		code = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		sdk_exit(1, &err);
	}
	code = dispatch(&call, &untouched, &err);
	if (code != 0 && err.code != code)
		(void)leased_err_set(&err, code, "%s failed without a reason", own->op);
	sent =
	    !untouched &&
	    (call.sent || (strcmp(own->op, "mint") != 0 && strcmp(own->op, "set_password") != 0));
	if ((r = write_reply(&call, code, sent, &err)) == LEASED_ETOOBIG)
		r = write_reply(&call, LEASED_ETOOBIG, sent, &err);
	json_decref(call.result);
	if (r != 0)
		sdk_exit(1, &err);
}

/* The envelope, strictly. 0: *ret_own is good. Else *ret_own holds id and op as far as they are
 * known (0, ""). */
static int
read_envelope(const json_t *request, struct leased_call_private *ret_own, struct leased_err *err)
{
	static const char *const known[] = {"v", "id", "op", "deadline_ms", "params"};
	const json_t *id = json_object_get(request, "id");
	const json_t *deadline = json_object_get(request, "deadline_ms");
	const char *op = json_string_value(json_object_get(request, "op"));
	unsigned found = 0;

	for (unsigned i = 0; i < 5; i++)
		found += json_object_get(request, known[i]) != NULL;
	if (json_integer_value(id) >= 1 && json_integer_value(id) < SDK_ID_MAX)
		ret_own->id = json_integer_value(id);
	ret_own->op = op != NULL ? op : "";
	if (json_integer_value(json_object_get(request, "v")) != SDK_VERSION)
		return (leased_err_set(err, LEASED_EPROTO,
		    "this plugin speaks version 1 of the protocol, the request another"));
	if (ret_own->id == 0 || op == NULL || !json_is_integer(deadline) ||
	    json_integer_value(deadline) < 0 || json_integer_value(deadline) > INT32_MAX ||
	    !json_is_object(json_object_get(request, "params")))
		return (leased_err_set(err, LEASED_EPROTO,
		    "a request needs v, id, op, deadline_ms and params, in their types"));
	if (found != json_object_size(request))
		return (leased_err_set(err, LEASED_EPROTO, "a request holds an unknown field"));
	ret_own->deadline_ms = sdk_boot_ms() + json_integer_value(deadline);
	return (0);
}

/*
 * A worker may read what was there when it started: a certificate or a resolver's configuration
 * that was replaced since is closed to it, and open to the next one. Workers of a pool look at
 * different times, so that not all go at once.
 */
static void
wait_for_request(void)
{
	struct pollfd stream = {.fd = SDK_FD, .events = POLLIN};
	struct leased_err why = LEASED_ERR_INIT;

	while (opened && sdk_reader.len == sdk_reader.start &&
	       poll(&stream, 1, WATCH_MS + getpid() % 4 * 1000) == 0)
		if (sdk_watch_changed()) {
			(void)leased_err_set(&why, LEASED_OK,
			    "a file that this worker reads was replaced: it ends, so that a new "
			    "one reads what is there now");
			sdk_exit(0, &why);
		}
}

static void
serve_next(void)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct leased_call_private own = {0};
	struct leased_call call = {.private_data = &own};
	json_t *request = NULL;
	int r;

	wait_for_request();
	sdk_reader.max = frame_max();
	if ((r = frame_read(SDK_FD, &sdk_reader, &request, &err)) == LEASED_ECANCELED)
		sdk_exit(0, NULL);
	if (r != 0)
		sdk_exit(1, &err);
	if (read_envelope(request, &own, &err) == 0)
		serve(request, &own);
	else if (own.id == 0 || write_reply(&call, LEASED_EPROTO, false, &err) != 0)
		sdk_exit(1, &err);
	json_decref(request); /* the allocator wipes */
}

int
leased_plugin_main(const struct leased_plugin *plugin, int argc, char **argv)
{
	struct leased_err err = LEASED_ERR_INIT;
	int type = 0;
	socklen_t len = sizeof(type);

	(void)argv;
	if (argc != 1 || getsockopt(SDK_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0) {
		fprintf(stderr,
		    "%s is a plugin of leased: the daemon starts it, without arguments.\n",
		    plugin->name);
		return (2);
	}
	failpoint_setup();
	if (harden_process(&err) != 0 || harden_die_with_parent(getppid(), &err) != 0 ||
	    leased_secret_setup(&err) != 0)
		sdk_exit(1, &err);
	ops_setup(plugin);
	if (plugin->starts_programs)
		sdk_confine_allow_programs();
	(void)prctl(PR_SET_NAME, plugin->name, 0, 0, 0); /* it was executed by descriptor */
	for (;;)
		serve_next();
}
