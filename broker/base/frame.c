/*
 * Frames: bytes in, JSON objects out, and back. It owns the reader's buffer and wipes whatever
 * leaves it, since frames carry secrets; it knows no operation. Called by the plugin SDK, the
 * daemon's pools and the spawner.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/frame.h"
#include "base/jdec.h"
#include "base/jenc.h"

#define HEADER_LEN 4
#define FRAME_MIN 2 /* {} */
#define READ_CHUNK 65536

/* Wider than for bodies from outside (an inventory is long), still bounded far below what would
 * hurt. A text may be as long as its frame: a list of what is revoked is one. */
static const struct jdec_limits frame_limits = {
    .depth = 16, .tokens = 65536, .string_len = FRAME_LONG_MAX};

static int
check_length(const struct frame_reader *reader, size_t length, struct leased_err *err)
{
	size_t max = reader->max != 0 ? reader->max : FRAME_MAX;

	if (length < FRAME_MIN || length > max)
		return (leased_err_set(err, LEASED_EPROTO,
		    "a frame says it is %zu bytes long; %d to %zu are allowed", length, FRAME_MIN,
		    max));
	return (0);
}

static int
stream_is_lost(struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_EPROTO, "a bad frame came before: nothing behind it is read"));
}

static size_t
header_length(const uint8_t *bytes)
{
	return ((size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3]);
}

/* Moves what is unread to the front, so that start is 0. */
static void
compact(struct frame_reader *reader)
{
	size_t unread = reader->len - reader->start;

	if (reader->start == 0)
		return;
	memmove(reader->bytes, reader->bytes + reader->start, unread);
	explicit_bzero(reader->bytes + unread, reader->start);
	reader->start = 0;
	reader->len = unread;
}

static int
make_room(struct frame_reader *reader, size_t len, struct leased_err *err)
{
	size_t size = reader->size > 0 ? reader->size : 4096;
	uint8_t *bytes;

	compact(reader);
	if (reader->size - reader->len >= len)
		return (0);
	while (size - reader->len < len) {
		if (size > SIZE_MAX / 4)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		size *= 2;
	}
	/* Wipes the old place when it has to move. */
	bytes = recallocarray(reader->bytes, reader->size, size, 1);
	if (bytes == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	reader->bytes = bytes;
	reader->size = size;
	return (0);
}

int
frame_reader_feed(
    struct frame_reader *reader, const void *bytes, size_t len, struct leased_err *err)
{
	int r;

	if (reader->broken)
		return (stream_is_lost(err));
	if (len == 0)
		return (0);
	if ((r = make_room(reader, len, err)) != 0)
		return (r);
	memcpy(reader->bytes + reader->len, bytes, len);
	reader->len += len;
	/* A bad length is told at once, not when a gigabyte has come. */
	r = reader->len - reader->start >= HEADER_LEN
		? check_length(reader, header_length(reader->bytes + reader->start), err)
		: 0;
	reader->broken = r != 0;
	return (r);
}

/* What a long frame took is not kept for the next one. */
static void
shrink(struct frame_reader *reader)
{
	if (reader->len > 0 || reader->size <= 2 * FRAME_MAX)
		return;
	freezero(reader->bytes, reader->size);
	reader->bytes = NULL;
	reader->size = 0;
}

/* The next frame's object, or NULL when it is not whole yet. */
static int
take_frame(struct frame_reader *reader, json_t **ret_object, struct leased_err *err)
{
	size_t unread = reader->len - reader->start, length;
	uint8_t *at = reader->bytes + reader->start;
	json_t *object;
	int r;

	if (unread < HEADER_LEN) {
		*ret_object = NULL;
		return (0);
	}
	length = header_length(at);
	if ((r = check_length(reader, length, err)) != 0)
		return (r);
	if (unread - HEADER_LEN < length) {
		*ret_object = NULL;
		return (0);
	}
	r = jdec_parse(at + HEADER_LEN, length, &frame_limits, &object, err);
	explicit_bzero(at, HEADER_LEN + length);
	reader->start += HEADER_LEN + length;
	if (reader->start == reader->len)
		reader->start = reader->len = 0;
	shrink(reader);
	if (r == LEASED_ENOMEM)
		return (r);
	if (r != 0) {
		(void)leased_err_prefix(err, "a frame does not parse");
		if (err != NULL)
			err->code = LEASED_EPROTO;
		return (LEASED_EPROTO);
	}
	if (!json_is_object(object)) {
		json_decref(object);
		return (leased_err_set(err, LEASED_EPROTO, "a frame holds JSON that is no object"));
	}
	*ret_object = object;
	return (0);
}

int
frame_reader_next(struct frame_reader *reader, json_t **ret_object, struct leased_err *err)
{
	int r;

	if (reader->broken)
		return (stream_is_lost(err));
	r = take_frame(reader, ret_object, err);
	reader->broken = r == LEASED_EPROTO;
	return (r);
}

void
frame_reader_clear(struct frame_reader *reader)
{
	freezero(reader->bytes, reader->size);
	*reader = (struct frame_reader){0};
}

int
frame_encode_up_to(
    const json_t *object, size_t max, uint8_t **ret_bytes, size_t *ret_len, struct leased_err *err)
{
	static const uint8_t head[HEADER_LEN];
	struct jenc json = {0};
	size_t length;
	int r;

	if (!json_is_object(object))
		return (
		    leased_err_set(err, LEASED_EINVAL, "a frame is made of a JSON object only"));
	jenc_bytes(&json, head, sizeof(head));
	jenc_json(&json, object);
	if ((r = jenc_check(&json, err)) != 0) {
		jenc_clear(&json);
		return (r);
	}
	length = json.len - HEADER_LEN;
	if (length > max) {
		jenc_clear(&json);
		return (leased_err_set(err, LEASED_ETOOBIG,
		    "the message is %zu bytes long; a frame holds at most %zu", length, max));
	}
	json.bytes[0] = (uint8_t)(length >> 24);
	json.bytes[1] = (uint8_t)(length >> 16);
	json.bytes[2] = (uint8_t)(length >> 8);
	json.bytes[3] = (uint8_t)length;
	*ret_bytes = json.bytes;
	*ret_len = json.len;
	return (0);
}

int
frame_encode(const json_t *object, uint8_t **ret_bytes, size_t *ret_len, struct leased_err *err)
{
	return (frame_encode_up_to(object, FRAME_MAX, ret_bytes, ret_len, err));
}

void
frame_free(uint8_t *bytes, size_t len)
{
	freezero(bytes, len);
}

int
frame_read(int fd, struct frame_reader *reader, json_t **ret_object, struct leased_err *err)
{
	json_t *object = NULL;
	ssize_t got;
	int r;

	for (;;) {
		if ((r = frame_reader_next(reader, &object, err)) != 0)
			return (r);
		if (object != NULL) {
			*ret_object = object;
			return (0);
		}
		if ((r = make_room(reader, READ_CHUNK, err)) != 0)
			return (r);
		do
			got = read(fd, reader->bytes + reader->len, READ_CHUNK);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return (leased_err_set(
			    err, LEASED_EPROTO, "reading a frame: %s", strerror(errno)));
		if (got == 0 && reader->len == 0)
			return (leased_err_set(
			    err, LEASED_ECANCELED, "the other side has ended the connection"));
		if (got == 0)
			return (leased_err_set(err, LEASED_EPROTO,
			    "the other side has ended in the middle of a frame"));
		reader->len += (size_t)got;
	}
}

int
frame_write_up_to(int fd, const json_t *object, size_t max, struct leased_err *err)
{
	uint8_t *bytes = NULL;
	size_t len = 0, written = 0;
	int r;

	if ((r = frame_encode_up_to(object, max, &bytes, &len, err)) != 0)
		return (r);
	while (r == 0 && written < len) {
		ssize_t n = write(fd, bytes + written, len - written);

		if (n >= 0)
			written += (size_t)n;
		else if (errno != EINTR)
			r = leased_err_set(
			    err, LEASED_EPROTO, "writing a frame: %s", strerror(errno));
	}
	frame_free(bytes, len);
	return (r);
}

int
frame_write(int fd, const json_t *object, struct leased_err *err)
{
	return (frame_write_up_to(fd, object, FRAME_MAX, err));
}
