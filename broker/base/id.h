/*
 * Random bytes and the identifiers made of them. Randomness comes through an interface, so that a
 * simulator can replay a run.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

struct id_source {
	/* Fills bytes; never fails (the system source ends the process if the kernel gives no
	 * randomness: nothing safe can follow). */
	void (*fill)(struct id_source *source, void *bytes, size_t len);
};

/* getrandom(2). A static object, safe from any thread. */
struct id_source *id_source_system(void);

/* A seeded, repeatable source for tests; not for secrets. */
struct id_source_seeded {
	struct id_source source; /* first */
	uint64_t state;
};
void id_source_seeded_init(struct id_source_seeded *seeded, uint64_t seed);

/* len characters of [0-9A-Za-z], uniform (rejection sampling), NUL-terminated: ret_text holds len +
 * 1 bytes. */
void id_base62(struct id_source *source, size_t len, char *ret_text);

/* The same from [0-9a-z]: account names. 64 bits need 13 characters. */
void id_base36(struct id_source *source, size_t len, char *ret_text);

/* A version 4 UUID, 36 characters and a NUL. */
#define ID_UUID_SIZE 37
void id_uuid(struct id_source *source, char ret_text[ID_UUID_SIZE]);

/* value as exactly 8 base62 digits (218 * 10^12 values); LEASED_EINVAL when it does not fit or is
 * negative. And back: LEASED_EINVAL for any other text. */
int id_number_encode(int64_t value, char ret_text[9]) LEASED_MUST_CHECK;
int id_number_decode(const char text[8], int64_t *ret_value) LEASED_MUST_CHECK;

/* A password of len characters of [A-Za-z0-9-], every class present, first and last not '-'; len
 * >= 20. 24 characters hold over 128 bits. NULL: out of memory. */
#define ID_PASSWORD_LEN 24
struct leased_secret *id_password(struct id_source *source, size_t len);

#endif
