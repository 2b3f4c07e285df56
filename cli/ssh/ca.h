/*
 * The CA's public keys, from leased or from a file.
 */
#ifndef CLI_SSH_CA_H
#define CLI_SSH_CA_H

#include "ssh.h"

/* The public keys of the CA, at least one. An array for ca_keys_clear(); or an exit status. */
int ca_keys_fetch(
    const struct ssh_arguments *arguments, struct sshwire_key **ret_keys, size_t *ret_count);
/* Of a file with a key a line, '#' and blank lines between them. */
int ca_keys_read(const char *text, const char *what, struct sshwire_key **ret_keys,
    size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
void ca_keys_clear(struct sshwire_key *keys, size_t count);

#endif
