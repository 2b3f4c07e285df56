/*
 * The Redis plugin, inside: what its files call of each other. One worker has one configured
 * connection to one or several nodes, used by one call at a time, so that nothing here locks.
 * PROTOCOL.md says what each operation must do.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/plugin.h>

#include "config.h"
#include "resp.h"
#include "wire.h"

#define REDIS_RUN_ID_LEN 40
/* The user that names a server with an aclfile: beside its accounts, so that it is lost with them.
 */
#define REDIS_MARKER "leased-server-"

struct redis_node {
	const struct redis_address *address; /* of the configuration */
	struct redis_wire *wire;             /* NULL: not connected, and why says why */
	char *in;                            /* what came; wiped */
	size_t in_len, in_size, taken;       /* of in, by the last reply */
	struct redis_reply reply;            /* the last one; borrows in */
	char run_id[REDIS_RUN_ID_LEN + 1];   /* of this life of the server */
	char session[REDIS_RUN_ID_LEN + 24]; /* "run_id:client", as the daemon knows it */
	bool has_aclfile;                    /* ACL SAVE keeps what was changed */
	struct leased_err why;
};

#define REDIS_TAG 0x72656473u
struct redis {
	unsigned tag;
	struct redis_config *config; /* NULL before open */
	struct ssl_ctx_st *tls;
	struct redis_node nodes[REDIS_NODES_MAX];
	unsigned node_count;
	char *store_tag, *instance;
	char marker[64];  /* "" while unknown, and where the servers have no aclfile */
	char server[128]; /* the identity; "" before open */
	bool is_volatile; /* no aclfile: accounts are lost when a server is started anew */
};
/* Checks the tag of a handler's ctx. */
struct redis *redis_from(void *ctx);

/* ---- node.c: one node ---- */

enum redis_effect {
	REDIS_READS,  /* may still happen after we are told that it failed: that harms nobody */
	REDIS_CHANGES /* if its end stays unknown this worker exits, and the daemon ends the
			 session first */
};

/* Connects, logs in, learns who it is and registers the session. LEASED_EMOVED: it is not the
 * server that this worker was opened on. */
int redis_node_open(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    int timeout_ms, struct leased_err *err) LEASED_MUST_CHECK;
void redis_node_close(struct redis_node *node);
/* One command and its reply, which may be an error of the server; borrowed until the next one of
 * this node. Clears command. */
int redis_node_call(struct redis_node *node, const struct leased_call *call,
    enum redis_effect effect, struct redis_command *command, int timeout_ms,
    const struct redis_reply **ret_reply, struct leased_err *err) LEASED_MUST_CHECK;
/* Always fails: with what an error reply to the command named verb means. */
int redis_node_refused(const struct redis *plugin, const struct redis_node *node, const char *verb,
    const struct redis_reply *reply, struct leased_err *err) LEASED_MUST_CHECK;
/* AUTH on a connection of its own, outside of any registry; the caller's to close. LEASED_EDENIED:
 * a wrong name or password. */
int redis_node_login(struct redis *plugin, struct leased_call *call, const struct redis_node *node,
    const char *name, const char *password, struct redis_node *ret_login,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- nodes.c: all of them ---- */

/* Connects to those that are not, and asks the others whether they are there. Fails when none is,
 * with all also when one is not; *err says which, and why. */
int redis_nodes_ready(struct redis *plugin, struct leased_call *call, bool all,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The first that does not answer, NULL: all do. */
const struct redis_node *redis_nodes_down(const struct redis *plugin);
/* ACL SAVE on each that answers, where there is a file. */
int redis_nodes_save(
    struct redis *plugin, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;
/* identity.c: learns or gives the name of the servers that answer, and fills server. */
int redis_nodes_identify(
    struct redis *plugin, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- the handlers ---- */

int redis_describe(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_open(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_ping(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_check(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_mint(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_renew(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_disarm(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_remove(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_set_password(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_inventory(void *ctx, struct leased_call *call, struct leased_err *err);
int redis_reap(void *ctx, struct leased_call *call, struct leased_err *err);

#endif
