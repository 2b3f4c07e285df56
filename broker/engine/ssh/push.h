/*
 * Hosts that the list of revoked keys is brought to: as they are configured (push_host.c), by which
 * key and certificate they let a worker in (push_identity.c), when and to whom it goes (push.c).
 * Workers that do it are none of those that sign, and have no key of the CA.
 */
#ifndef ENGINE_SSH_PUSH_H
#define ENGINE_SSH_PUSH_H

#include "engine/ssh/ssh.h"

#define SSH_PUSH_TAG 0x70757368u /* "push" */
#define SSH_HOSTS_MAX 1000
#define SSH_HOST_PORTS_MAX 32 /* different ones, of a mount */
#define SSH_HOST_KEYS_MAX 8
#define SSH_PUSH_PARALLEL 8
#define SSH_PUSH_DOUBTFUL (SSH_PUSH_PARALLEL / 2) /* to hosts that may not answer */
#define SSH_PUSH_PRINCIPAL "leased-krl"
#define SSH_PUSH_PATH "/var/lib/leased-krl/revoked.krl"

struct ssh_host {
	LIST_ENTRY(ssh_host) link;
	struct ssh_push *push;
	int64_t id; /* of its document */
	char *name;
	json_t *data;             /* the document's */
	struct plugin_call *call; /* NULL: none is under way */
	int64_t sending;          /* what version that one brings */
	bool doubtful;            /* .. to one that has not shown that it answers */
	int64_t version;          /* that it has, as we last saw; 0: not known */
	int64_t try_wall_s, good_wall_s;
	unsigned failures;
	int64_t next_ms; /* not before */
	char error[512]; /* of the last try; "" */
};

struct ssh_push {
	unsigned tag;
	struct ssh_mount *mount;
	struct event *timer;
	struct plugin_port *port; /* NULL: not needed yet */
	json_t *ports;            /* that its workers may connect to */
	LIST_HEAD(, ssh_host) hosts;
	unsigned host_count, running, doubtful; /* doubtful: of those that run */
	bool loaded, stopped, making;           /* making: an identity is on its way */
	json_t *private, *certificate;          /* texts; NULL: none */
	int64_t good_until_ms, pause_ms;        /* pause: no identity is made before */
	unsigned identity_failures;
	json_t *list; /* the mount's, in base64, of list_version */
	int64_t list_version;
};

/* ---- push.c ---- */
/* With the mount's own making, stopping and freeing. */
void engine_ssh_push_start(struct ssh_mount *mount);
void engine_ssh_push_stop(struct ssh_mount *mount);
void engine_ssh_push_free(struct ssh_mount *mount);
/* What is due; milliseconds until it wants to be called again, -1: no host. */
int64_t engine_ssh_push_tick(struct ssh_mount *mount);
struct ssh_push *engine_ssh_push_from(void *arg);
/* There are hosts, or others than before. */
void engine_ssh_push_wake(struct ssh_push *push);
/* It is another one now, or gone: what is under way for it ends. */
void engine_ssh_push_forget(struct ssh_host *host);
/* Waits after so many failures in a row. */
int64_t engine_ssh_push_wait_ms(unsigned failures);
/* None goes to any host as things are; each is told why. */
void engine_ssh_push_held(struct ssh_push *push, const struct leased_err *why);

/* ---- push_identity.c ---- */
/* Is there a key and a certificate that hosts take for some time yet? */
bool engine_ssh_push_has_identity(const struct ssh_push *push);
void engine_ssh_push_identity_make(struct ssh_push *push);
/* A call's parameters, NULL: out of memory. */
json_t *engine_ssh_push_params(struct ssh_push *push, const struct ssh_host *host);

/* ---- push_host.c ---- */
int engine_ssh_hosts_load(struct ssh_push *push, struct leased_err *err) LEASED_MUST_CHECK;
void engine_ssh_host_free(struct ssh_host *host);
void engine_ssh_host_read(struct engine_request_copy *request);
void engine_ssh_host_write(struct engine_request_copy *request);
void engine_ssh_host_delete(struct engine_request_copy *request);

#endif
