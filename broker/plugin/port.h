/*
 * What every kind of port shares, for those who make one: the heads of a call and of a session's
 * ack, which plugin.h keeps opaque to those who use ports.
 */
#ifndef PLUGIN_PORT_H
#define PLUGIN_PORT_H

#include "plugin/plugin.h"

#define PLUGIN_CALL_TAG 0x9c0a11edu
#define PLUGIN_SESSION_ACK_TAG 0x9c5e5510u

/* First member of a port's own call. */
struct plugin_call {
	unsigned tag;
	struct plugin_port *port;
};

/* First member of a port's own ack. answer comes at most once; the ack is the port's again after
 * it. */
struct plugin_session_ack {
	unsigned tag;
	void (*answer)(struct plugin_session_ack *ack, int result);
};

/* The deadline of op where the caller names none (DESIGN.md). */
unsigned plugin_op_timeout_ms(enum plugin_op op);

#endif
