/*
 * What a worker says, read strictly (PROTOCOL.md, "Frames"): a worker is not trusted to keep the
 * protocol, and what breaks it must hurt nobody but that worker.
 */
#ifndef PLUGIN_REPLY_H
#define PLUGIN_REPLY_H

#include "plugin/port.h"

#define REPLY_SERVER_MAX 127
#define REPLY_HANDLE_MAX 64
#define REPLY_SESSION_MAX 128
#define REPLY_WARNINGS_MAX 8
#define REPLY_WARNING_MAX 511
#define REPLY_VALUES_MAX 16
#define REPLY_VALUE_NAME_MAX 64
#define REPLY_VALUES_LEN_MAX 16384
#define REPLY_PRIVATE_MAX 8192
#define REPLY_TOKEN_MAX 65536
#define REPLY_LINE_MAX 32768             /* of a public key or a certificate */
#define REPLY_KRL_MAX (16 * 1024 * 1024) /* base64 */

enum reply_kind { REPLY_OUTCOME, REPLY_SESSION, REPLY_SESSION_END };

struct reply {
	enum reply_kind kind;
	int code;             /* of an outcome: 0 or what the worker said */
	bool not_sent;        /* of a failed one */
	const json_t *result; /* of a good one, borrowed */
	const char *session;  /* of the others, borrowed */
	struct leased_err err;
};

/* The request that waits for its reply; id 0: none does. */
struct reply_expected {
	json_int_t id;
	enum plugin_op op;
	unsigned count; /* results that a batch must hold */
};

/* LEASED_EPROTO: the message breaks the protocol; err says how, without repeating its content. */
int plugin_reply_read(const json_t *message, const struct reply_expected *expected,
    struct reply *ret_reply, struct leased_err *err) LEASED_MUST_CHECK;

#endif
