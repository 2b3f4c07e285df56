/*
 * Bringing a list of revoked keys to a host: what push.c, which connects and knows whom it talks
 * to, and push_file.c, which sees to the file there, share. Of libssh nothing is used elsewhere.
 */
#ifndef SSH_PUSH_H
#define SSH_PUSH_H

#include <libssh/libssh.h>
#include <libssh/sftp.h>

#include "sshca.h"

#define PUSH_PATH_MAX 512
#define PUSH_HOST_KEYS_MAX 8
#define PUSH_TEMPORARY ".leased-" /* behind the path; and 16 hexadecimal digits */

/* What is to be where; all borrowed from the request but the list. */
struct push {
	const char *address, *user, *path, *private, *certificate;
	uint16_t port;
	struct sshwire_key host_keys[PUSH_HOST_KEYS_MAX];
	size_t host_key_count;
	uint8_t *list;
	size_t len;
	struct sshwire_krl_head head; /* the list's */
};

/* ---- push.c ---- */
/* The operation. LEASED_EDENIED: the host is another, or lets us not in. */
int sshca_push(
    const json_t *params, int limit_ms, json_t *result, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- push_file.c ---- */
/*
 * The list into place, whole or not at all. *ret_changed false: it is there already.
 * LEASED_ECONFLICT is not for workers to say: LEASED_EREFUSED where the host has a later one, or
 * what is there is no list.
 */
int sshca_push_file(sftp_session sftp, const struct push *push, bool *ret_changed,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- push_rename.c ---- */
bool sshca_push_can_rename(sftp_session sftp);
/* *ret_status: SSH_FX_OK, or why it was not renamed. */
int sshca_push_rename(sftp_session sftp, const char *from, const char *to, uint32_t *ret_status,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
