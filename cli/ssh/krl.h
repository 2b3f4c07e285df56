/*
 * As much of a list of revoked keys (OpenSSH's PROTOCOL.krl) as a host's updater needs: a list that
 * revokes nothing, and OpenSSH's own word on a file.
 */
#ifndef CLI_SSH_KRL_H
#define CLI_SSH_KRL_H

#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "sshwire/krl.h"

#define KRL_NAMESPACE "leased-krl" /* of the signature beside it */

/* A file has the list of one CA. LEASED_EDENIED: that of another lies at path, and would be gone.
 */
int krl_owner_check(const char *path, const struct sshwire_krl_head *next,
    struct leased_err *err) LEASED_MUST_CHECK;
/* One of version 0 that revokes nothing. */
void krl_put_empty(struct sshwire_writer *writer, uint64_t date);
/* Does ssh-keygen, and with it sshd, read all of the file? */
int krl_file_check(const char *path, struct leased_err *err) LEASED_MUST_CHECK;

#endif
