/*
 * The data types of SSH (RFC 4251, 5), read and written. A reader or writer that failed stays
 * failed and does nothing more: ask once, at the end.
 */
#ifndef SSHWIRE_BYTES_H
#define SSHWIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

/* Over bytes of somebody else's, which stay there. What it gives is within them. */
struct sshwire_reader {
	const uint8_t *at;
	size_t left;
	bool failed;
	bool no_memory; /* .. and that is why */
};
struct sshwire_reader sshwire_reader_of(const void *bytes, size_t len);
uint8_t sshwire_get_u8(struct sshwire_reader *reader); /* 0 after a failure, likewise below */
uint32_t sshwire_get_u32(struct sshwire_reader *reader);
uint64_t sshwire_get_u64(struct sshwire_reader *reader);
/* Never NULL. */
const uint8_t *sshwire_get_bytes(struct sshwire_reader *reader, size_t len);
const uint8_t *sshwire_get_string(struct sshwire_reader *reader, size_t *ret_len);
/* What a string holds, as fields of its own. */
struct sshwire_reader sshwire_get_nested(struct sshwire_reader *reader);
/* Not negative, and in its only spelling; without the sign's byte. 0 has no bytes. */
const uint8_t *sshwire_get_mpint(struct sshwire_reader *reader, size_t *ret_len);
/* A string without NUL as a C string of malloc(3); NULL: a failure, of the reader or of memory. */
char *sshwire_get_text(struct sshwire_reader *reader);
/* Has all been read, and nothing failed? */
bool sshwire_reader_done(const struct sshwire_reader *reader);

/* Grows; wiped when cleared and when it moves. Zero-initialize. */
struct sshwire_writer {
	uint8_t *bytes;
	size_t len, size;
	bool failed; /* out of memory */
};
void sshwire_put_u8(struct sshwire_writer *writer, uint8_t value);
void sshwire_put_u32(struct sshwire_writer *writer, uint32_t value);
void sshwire_put_u64(struct sshwire_writer *writer, uint64_t value);
void sshwire_put_bytes(struct sshwire_writer *writer, const void *bytes, size_t len);
void sshwire_put_string(struct sshwire_writer *writer, const void *bytes, size_t len);
void sshwire_put_text(struct sshwire_writer *writer, const char *text);
/* Of a number's bytes, the highest first; leading zeros are fine. */
void sshwire_put_mpint(struct sshwire_writer *writer, const void *bytes, size_t len);
/* A string that is what is put between the two; end gets what begin gave. */
size_t sshwire_put_begin(struct sshwire_writer *writer);
void sshwire_put_end(struct sshwire_writer *writer, size_t begin);
/* NULL is fine. */
void sshwire_writer_clear(struct sshwire_writer *writer);

/* base64 with padding (RFC 4648, 4): a text of malloc(3); NULL: out of memory. */
char *sshwire_base64(const void *bytes, size_t len);
/* Strict: no blank, no missing padding, no bit behind the end. LEASED_EINVAL, LEASED_ENOMEM. The
 * caller wipes and frees. */
int sshwire_base64_decode(const char *text, size_t len, uint8_t **ret_bytes, size_t *ret_len,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
