/*
 * As much of a list of revoked keys (OpenSSH's PROTOCOL.krl) as those need who bring one to a host
 * or fetch it there: its head.
 */
#ifndef SSHWIRE_KRL_H
#define SSHWIRE_KRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "sshwire/bytes.h"

#define SSHWIRE_KRL_MAGIC UINT64_C(0x5353484b524c0a00) /* "SSHKRL\n" and a NUL */
#define SSHWIRE_KRL_FORMAT 1u
#define SSHWIRE_KRL_COMMENT_SIZE 257

struct sshwire_krl_head {
	uint64_t version, date; /* date: UNIX seconds, when it was made */
	char comment[SSHWIRE_KRL_COMMENT_SIZE];
};
/* LEASED_EINVAL: no such list, by its head; the rest is not read. */
int sshwire_krl_read_head(const void *bytes, size_t len, struct sshwire_krl_head *ret_head,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Is next the list of another CA than present is? Both say whose they are, by ids of the CA's keys,
 * old ones, too; what says nothing is nobody else's. */
bool sshwire_krl_is_of_another(
    const struct sshwire_krl_head *present, const struct sshwire_krl_head *next);

#endif
