/*
 * Lines of keys and certificates, and what is shared within the module. Its own.
 */
#ifndef SSHWIRE_LINE_H
#define SSHWIRE_LINE_H

#include "sshwire/sshwire.h"

/* "TYPE BASE64 [COMMENT]": the blob, of malloc(3), which itself begins with that type. */
int sshwire_line_read(const char *line, const char **ret_type, size_t *ret_type_len,
    uint8_t **ret_blob, size_t *ret_blob_len, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * The fields of a public key, as they stand in its blob and in a certificate for it alike. Writes
 * them, behind the type's name, as key's own blob.
 */
int sshwire_key_fields(const struct sshwire_type *type, struct sshwire_reader *reader,
    struct sshwire_key *ret_key, struct leased_err *err) LEASED_MUST_CHECK;

/* "SHA256" for what a key of the type signs with; NULL: the algorithm hashes by itself. */
const char *sshwire_type_digest(const struct sshwire_type *type);

#endif
