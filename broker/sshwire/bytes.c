/*
 * Reads and writes the data types of RFC 4251, 5. Knows nothing of what they mean.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "sshwire/bytes.h"

#define WRITER_STEP 256
#define WRITER_MAX                                                                                 \
	((size_t)16 << 20) /* lengths are of 32 bits, and nothing here is nearly so long */

static const uint8_t nothing[1];

struct sshwire_reader
sshwire_reader_of(const void *bytes, size_t len)
{
	return ((struct sshwire_reader){.at = bytes, .left = len});
}

const uint8_t *
sshwire_get_bytes(struct sshwire_reader *reader, size_t len)
{
	const uint8_t *at = reader->at;

	if (reader->failed || len > reader->left) {
		reader->failed = true;
		return (nothing);
	}
	if (len == 0)
		return (nothing);
	reader->at += len;
	reader->left -= len;
	return (at);
}

static uint64_t
get_number(struct sshwire_reader *reader, size_t len)
{
	const uint8_t *at = sshwire_get_bytes(reader, len);
	uint64_t value = 0;

	for (size_t i = 0; !reader->failed && i < len; i++)
		value = value << 8 | at[i];
	return (value);
}

uint8_t
sshwire_get_u8(struct sshwire_reader *reader)
{
	return ((uint8_t)get_number(reader, 1));
}

uint32_t
sshwire_get_u32(struct sshwire_reader *reader)
{
	return ((uint32_t)get_number(reader, 4));
}

uint64_t
sshwire_get_u64(struct sshwire_reader *reader)
{
	return (get_number(reader, 8));
}

const uint8_t *
sshwire_get_string(struct sshwire_reader *reader, size_t *ret_len)
{
	size_t len = sshwire_get_u32(reader);
	const uint8_t *at = sshwire_get_bytes(reader, len);

	*ret_len = reader->failed ? 0 : len;
	return (at);
}

struct sshwire_reader
sshwire_get_nested(struct sshwire_reader *reader)
{
	size_t len;
	const uint8_t *at = sshwire_get_string(reader, &len);
	struct sshwire_reader nested = sshwire_reader_of(at, len);

	nested.failed = reader->failed;
	return (nested);
}

const uint8_t *
sshwire_get_mpint(struct sshwire_reader *reader, size_t *ret_len)
{
	size_t len;
	const uint8_t *at = sshwire_get_string(reader, &len);
	bool padded = len > 0 && at[0] == 0;

	/* Negative; or a byte of zeros that is not there for the sign. */
	if ((len > 0 && (at[0] & 0x80) != 0) || (padded && (len == 1 || (at[1] & 0x80) == 0))) {
		reader->failed = true;
		len = 0;
		padded = false;
	}
	*ret_len = padded ? len - 1 : len;
	return (padded ? at + 1 : at);
}

char *
sshwire_get_text(struct sshwire_reader *reader)
{
	size_t len;
	const uint8_t *at = sshwire_get_string(reader, &len);
	char *text;

	if (reader->failed || memchr(at, '\0', len) != NULL) {
		reader->failed = true;
		return (NULL);
	}
	if ((text = malloc(len + 1)) == NULL) {
		reader->failed = reader->no_memory = true;
		return (NULL);
	}
	memcpy(text, at, len);
	text[len] = '\0';
	return (text);
}

bool
sshwire_reader_done(const struct sshwire_reader *reader)
{
	return (!reader->failed && reader->left == 0);
}

/* Room for len bytes more. realloc(3) would leave the old ones behind. */
static bool
writer_reserve(struct sshwire_writer *writer, size_t len)
{
	size_t size = writer->size;
	uint8_t *bytes;

	if (writer->failed || len > WRITER_MAX - writer->len) {
		writer->failed = true;
		return (false);
	}
	if (writer->bytes != NULL && len <= size - writer->len)
		return (true);
	for (size = size != 0 ? size : WRITER_STEP; size < writer->len + len; size *= 2)
		;
	if ((bytes = malloc(size)) == NULL) {
		writer->failed = true;
		return (false);
	}
	if (writer->bytes != NULL) {
		memcpy(bytes, writer->bytes, writer->len);
		leased_wipe(writer->bytes, writer->len);
		free(writer->bytes);
	}
	writer->bytes = bytes;
	writer->size = size;
	return (true);
}

void
sshwire_put_bytes(struct sshwire_writer *writer, const void *bytes, size_t len)
{
	if (!writer_reserve(writer, len) || len == 0)
		return;
	memcpy(writer->bytes + writer->len, bytes, len);
	writer->len += len;
}

void
sshwire_put_u8(struct sshwire_writer *writer, uint8_t value)
{
	sshwire_put_bytes(writer, &value, 1);
}

void
sshwire_put_u32(struct sshwire_writer *writer, uint32_t value)
{
	uint32_t big = htobe32(value);

	sshwire_put_bytes(writer, &big, sizeof(big));
}

void
sshwire_put_u64(struct sshwire_writer *writer, uint64_t value)
{
	uint64_t big = htobe64(value);

	sshwire_put_bytes(writer, &big, sizeof(big));
}

void
sshwire_put_string(struct sshwire_writer *writer, const void *bytes, size_t len)
{
	if (len > WRITER_MAX) {
		writer->failed = true;
		return;
	}
	sshwire_put_u32(writer, (uint32_t)len);
	sshwire_put_bytes(writer, bytes, len);
}

void
sshwire_put_text(struct sshwire_writer *writer, const char *text)
{
	sshwire_put_string(writer, text, strlen(text));
}

void
sshwire_put_mpint(struct sshwire_writer *writer, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	bool padded;

	for (; len > 0 && *at == 0; len--)
		at++;
	if (len > WRITER_MAX) {
		writer->failed = true;
		return;
	}
	padded = len > 0 && (*at & 0x80) != 0; /* it would be a sign */
	sshwire_put_u32(writer, (uint32_t)len + padded);
	if (padded)
		sshwire_put_u8(writer, 0);
	sshwire_put_bytes(writer, at, len);
}

size_t
sshwire_put_begin(struct sshwire_writer *writer)
{
	size_t at = writer->len;

	sshwire_put_u32(writer, 0);
	return (at);
}

void
sshwire_put_end(struct sshwire_writer *writer, size_t begin)
{
	uint32_t big;

	if (writer->failed)
		return;
	big = htobe32((uint32_t)(writer->len - begin - sizeof(big)));
	memcpy(writer->bytes + begin, &big, sizeof(big));
}

void
sshwire_writer_clear(struct sshwire_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->bytes != NULL)
		leased_wipe(writer->bytes, writer->len);
	free(writer->bytes);
	*writer = (struct sshwire_writer){0};
}
