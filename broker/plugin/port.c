/*
 * The doors of plugin.h that lead through a port's table of functions, and what is said of
 * operations in general. Owns nothing; pool.c and the tests' fake port stand behind it.
 */
#include <stdlib.h>

#include "plugin/port.h"

static const struct {
	const char *name;
	unsigned timeout_ms;
} ops[PLUGIN_OP_COUNT] = {
    [PLUGIN_OP_DESCRIBE] = {"describe", 5000},
    [PLUGIN_OP_OPEN] = {"open", 10000},
    [PLUGIN_OP_CHECK] = {"check", 15000},
    [PLUGIN_OP_MINT] = {"mint", 10000},
    [PLUGIN_OP_RENEW] = {"renew", 10000},
    [PLUGIN_OP_DISARM] = {"disarm", 5000},
    [PLUGIN_OP_REMOVE] = {"remove", 30000},
    [PLUGIN_OP_SET_PASSWORD] = {"set_password", 10000},
    [PLUGIN_OP_INVENTORY] = {"inventory", 30000},
    [PLUGIN_OP_PING] = {"ping", 5000},
    [PLUGIN_OP_REAP] = {"reap", 10000},
    [PLUGIN_OP_GENERATE] = {"generate", 30000},
    [PLUGIN_OP_SIGN] = {"sign", 5000},
    [PLUGIN_OP_IMPORT] = {"import", 10000},
    [PLUGIN_OP_INSPECT] = {"inspect", 5000},
    [PLUGIN_OP_CERTIFY] = {"certify", 5000},
    [PLUGIN_OP_KRL] = {"krl", 30000},
    [PLUGIN_OP_PUSH] = {"push", 30000},
};

const char *
plugin_op_name(enum plugin_op op)
{
	return (op < PLUGIN_OP_COUNT ? ops[op].name : "unknown");
}

unsigned
plugin_op_timeout_ms(enum plugin_op op)
{
	return (op < PLUGIN_OP_COUNT ? ops[op].timeout_ms : 5000);
}

struct plugin_call *
plugin_call_start(struct plugin_port *port, enum plugin_op op, json_t *params, unsigned timeout_ms,
    plugin_done done, void *arg)
{
	if (timeout_ms == 0)
		timeout_ms = plugin_op_timeout_ms(op);
	return (port->ops->call(port, op, params, timeout_ms, done, arg));
}

void
plugin_call_cancel(struct plugin_call *call)
{
	if (call == NULL)
		return;
	if (call->tag != PLUGIN_CALL_TAG)
		abort(); /* memory is not what we think: nothing safe can follow */
	call->port->ops->cancel(call);
}

int
plugin_port_ready(struct plugin_port *port, struct leased_err *err)
{
	return (port->ops->ready(port, err));
}

void
plugin_port_stats(const struct plugin_port *port, struct plugin_port_stats *ret_stats)
{
	*ret_stats = (struct plugin_port_stats){0};
	if (port->ops->stats != NULL)
		port->ops->stats(port, ret_stats);
}

void
plugin_port_close(struct plugin_port *port)
{
	if (port != NULL)
		port->ops->close(port);
}

const json_t *
plugin_port_description(struct plugin_port *port)
{
	return (port->description);
}

void
plugin_session_ack(struct plugin_session_ack *ack, int result)
{
	if (ack == NULL || ack->tag != PLUGIN_SESSION_ACK_TAG)
		abort();
	ack->answer(ack, result);
}

void
plugin_port_name_files(struct plugin_port *port, const json_t *config)
{
	if (port->ops->name_files != NULL)
		port->ops->name_files(port, config);
}

void
plugin_port_configure(struct plugin_port *port, json_t *config, bool restart)
{
	if (port->ops->configure != NULL)
		port->ops->configure(port, config, restart);
	else
		json_decref(config);
}
