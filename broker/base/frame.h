/*
 * Frames between daemon, spawner and plugins: 4 bytes of length, big-endian, then that many bytes
 * of one JSON object (PROTOCOL.md, "Frames"). A frame is 2 bytes to 1 MiB, but for a long one where
 * both sides know that it may come. Buffers are wiped: frames carry secrets.
 */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#define FRAME_MAX (1024u * 1024u)
#define FRAME_LONG_MAX (24u * 1024 * 1024) /* krl's alone: a list of a million and more */

/* Incremental reader; feed bytes as they come. Zero-initialise. */
struct frame_reader {
	uint8_t *bytes; /* owned, wiped */
	size_t len, size;
	size_t start; /* of what has not been taken out yet */
	size_t max;   /* of the next frame; 0: FRAME_MAX */
	bool broken;  /* a bad frame came: nothing behind it can be trusted */
};

/* Appends bytes. LEASED_EPROTO once a length is out of range (the stream is then lost),
 * LEASED_ENOMEM. */
int frame_reader_feed(struct frame_reader *reader, const void *bytes, size_t len,
    struct leased_err *err) LEASED_MUST_CHECK;

/* The next whole frame as an object, strictly parsed (the caller's to json_decref); 0 with
 * *ret_object NULL when more bytes are needed. */
int frame_reader_next(
    struct frame_reader *reader, json_t **ret_object, struct leased_err *err) LEASED_MUST_CHECK;

void frame_reader_clear(struct frame_reader *reader);

/* object as a whole frame, header included; the caller wipes and frees with frame_free().
 * LEASED_ETOOBIG over FRAME_MAX. */
int frame_encode(const json_t *object, uint8_t **ret_bytes, size_t *ret_len,
    struct leased_err *err) LEASED_MUST_CHECK;
int frame_encode_up_to(const json_t *object, size_t max, uint8_t **ret_bytes, size_t *ret_len,
    struct leased_err *err) LEASED_MUST_CHECK;
void frame_free(uint8_t *bytes, size_t len);

/* Blocking, for plugins: reads or writes one frame on fd. frame_read gives LEASED_ECANCELED at a
 * clean end of the stream. */
int frame_read(int fd, struct frame_reader *reader, json_t **ret_object,
    struct leased_err *err) LEASED_MUST_CHECK;
int frame_write(int fd, const json_t *object, struct leased_err *err) LEASED_MUST_CHECK;
int frame_write_up_to(
    int fd, const json_t *object, size_t max, struct leased_err *err) LEASED_MUST_CHECK;

#endif
