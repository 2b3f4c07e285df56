/*
 * SSH certificates: what a mount of type ssh keeps in memory, and what its files share. Documents
 * below "<mount id>/": one "ssh-ca" with the keys of the CA (private parts sealed; they are used in
 * workers alone), "role", "ssh-ban", "ssh-revoked" for each certificate that ended early, and one
 * "ssh-krl" with the version that hosts compare. Everything runs on the loop but what says so.
 */
#ifndef ENGINE_SSH_SSH_H
#define ENGINE_SSH_SSH_H

#include "base/jdec.h"
#include "engine/ssh/kept.h"
#include "engine/type.h"

#define SSH_TAG 0x73736821u /* "ssh!" */
#define SSH_KEYS_MAX 8      /* of one CA at a time */
#define SSH_RETIRED_MAX 32
#define SSH_BANS_MAX 4096
#define SSH_PRINCIPALS_MAX 64
#define SSH_PRINCIPAL_MAX 128 /* bytes */
#define SSH_KEY_ID_MAX 256
#define SSH_FINGERPRINT_SIZE 52 /* "SHA256:" and 43 characters of base64 */
#define SSH_CEILING 1000000     /* certificates of one mount */
#define SSH_NEVER INT64_MAX

struct ssh_ban {
	LIST_ENTRY(ssh_ban) link;
	int64_t id, version; /* the document's; 0: it is on its way to disk, and holds already */
	char *name, *entity, *fingerprint, *key_id; /* NULL: not by that */
	bool swept;                                 /* what it ends has been marked to end */
};

struct ssh_mount {
	unsigned tag;
	LIST_ENTRY(ssh_mount) link;
	struct engines *engines;
	int64_t id;
	json_t *ca; /* its document without private parts; NULL: none */
	int64_t ca_id, ca_version;
	struct plugin_port *port; /* NULL: not needed yet */
	char given[SSH_KID_SIZE]; /* the key that its workers were given */
	LIST_HEAD(, ssh_ban) bans;
	unsigned ban_count;
	bool bans_known;       /* else nothing is signed, since a ban could say no */
	int64_t bans_until_ms; /* .. and they are not read again before */
	struct leased_err bans_why;
	struct ssh_list list;
	struct ssh_known known; /* of who makes the list, while it is made */
	struct ssh_failure failure;
	struct ssh_version version;
	struct ssh_waiter *builders, *waiters; /* who waits for a list; and for the next version */
	unsigned waiter_count;                 /* of the second */
	struct ssh_push *push;                 /* hosts that it is brought to (push.h) */
	bool building, closed; /* closed: it was removed, and starts no worker any more */
};

/* ---- mount.c ---- */
struct ssh_mount *engine_ssh_mount_from(void *arg);
/* Of the request's mount; NULL: out of memory. */
struct ssh_mount *engine_ssh_mount(struct engine_request_copy *request);
struct ssh_mount *engine_ssh_mount_find(struct engines *engines, int64_t id); /* NULL: none yet */
/* The workers with the keys that sign now. changed: those are others than they had. */
int engine_ssh_open(
    struct ssh_mount *mount, bool changed, struct leased_err *err) LEASED_MUST_CHECK;
int64_t engine_ssh_wall_s(const struct engines *engines);

/* ---- ca.c, ca_change.c ---- */
/* The key that signs now, borrowed; NULL: none. */
const json_t *engine_ssh_ca_active(const struct ssh_mount *mount);
int engine_ssh_ca_load(struct ssh_mount *mount, struct leased_err *err) LEASED_MUST_CHECK;
int engine_ssh_ca_remember(
    struct ssh_mount *mount, const struct store_doc *doc, struct leased_err *err) LEASED_MUST_CHECK;
/* {"keys": {KID: {"algorithm", "private"}}}, from disk. */
int engine_ssh_ca_config(
    struct ssh_mount *mount, json_t **ret_config, struct leased_err *err) LEASED_MUST_CHECK;
int engine_ssh_ca_missing(struct leased_err *err);
/* Of a request's words the worker's: LEASED_EINVAL. bits 0: what is usual. */
int engine_ssh_algorithm(const char *type, int64_t bits, const char **ret_algorithm,
    struct leased_err *err) LEASED_MUST_CHECK;
void engine_ssh_ca_read(struct engine_request_copy *request);
void engine_ssh_ca_write(struct engine_request_copy *request);
void engine_ssh_ca_rotate(struct engine_request_copy *request);
void engine_ssh_ca_delete(struct engine_request_copy *request);
void engine_ssh_public_key(struct engine_request_copy *request);

/* ---- ban.c, ban_memory.c, ban_sweep.c ---- */
/* LEASED_EDENIED says which ban. NULL: not to be compared. LEASED_EUNAVAIL: they cannot be read. */
int engine_ssh_ban_check(struct ssh_mount *mount, const char *entity, const char *fingerprint,
    const char *key_id, struct leased_err *err) LEASED_MUST_CHECK;
void engine_ssh_ban_read(struct engine_request_copy *request);
void engine_ssh_ban_write(struct engine_request_copy *request);
void engine_ssh_ban_delete(struct engine_request_copy *request);

/* ---- roles and certificates ---- */
void engine_ssh_role_read(struct engine_request_copy *request);
void engine_ssh_role_write(struct engine_request_copy *request);
void engine_ssh_role_list(struct engine_request_copy *request);
void engine_ssh_sign(struct engine_request_copy *request);
void engine_ssh_issue(struct engine_request_copy *request);
void engine_ssh_verify(struct engine_request_copy *request);

#endif
