/*
 * Random bytes from the kernel or a seeded source, and the identifiers and passwords made of them.
 *
 * Every choice from an alphabet is uniform: bytes that would favor its beginning are thrown away.
 * Knows nothing of what the identifiers name.
 */
#include "base/id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

/* In the order of their bytes, so that encoded numbers sort as the numbers do. The hyphen is the
 * password's. */
static const char alphabet62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char alphabet63[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-";
static const char alphabet36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

#define NUMBER_DIGITS 8

static void
system_fill(struct id_source *source, void *bytes, size_t len)
{
	uint8_t *at = bytes;
	ssize_t got;

	(void)source;
	while (len > 0) {
		got = getrandom(at, len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			log_fatal(
			    "the kernel gives no random bytes (%s): no safe password can be made",
			    strerror(errno));
		at += got;
		len -= (size_t)got;
	}
}

struct id_source *
id_source_system(void)
{
	static struct id_source system_source = {.fill = system_fill};

	return (&system_source);
}

/* splitmix64: any state gives a good next one, 0 too. */
static void
seeded_fill(struct id_source *source, void *bytes, size_t len)
{
	struct id_source_seeded *seeded = (struct id_source_seeded *)source;
	uint8_t *at = bytes;
	uint64_t mixed;
	size_t i;

	for (i = 0; i < len; i++) {
		seeded->state += UINT64_C(0x9e3779b97f4a7c15);
		mixed = seeded->state;
		mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
		at[i] = (uint8_t)(mixed >> 56);
	}
}

void
id_source_seeded_init(struct id_source_seeded *seeded, uint64_t seed)
{
	seeded->source.fill = seeded_fill;
	seeded->state = seed;
}

/* len characters of the first size ones of alphabet, without a NUL. */
static void
fill_from(struct id_source *source, const char *alphabet, unsigned size, size_t len, char *ret_text)
{
	unsigned fair = 256 - 256 % size;
	uint8_t pool[64];
	size_t done = 0, i;

	while (done < len) {
		source->fill(source, pool, sizeof(pool));
		for (i = 0; i < sizeof(pool) && done < len; i++) {
			if (pool[i] < fair)
				ret_text[done++] = alphabet[pool[i] % size];
		}
	}
	leased_wipe(pool, sizeof(pool));
}

void
id_base62(struct id_source *source, size_t len, char *ret_text)
{
	fill_from(source, alphabet62, 62, len, ret_text);
	ret_text[len] = '\0';
}

void
id_base36(struct id_source *source, size_t len, char *ret_text)
{
	fill_from(source, alphabet36, 36, len, ret_text);
	ret_text[len] = '\0';
}

void
id_uuid(struct id_source *source, char ret_text[ID_UUID_SIZE])
{
	uint8_t b[16];

	source->fill(source, b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* the variant of RFC 9562 */
	snprintf(ret_text, ID_UUID_SIZE,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
	    b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
	    b[15]);
}

int
id_number_encode(int64_t value, char ret_text[9])
{
	char text[NUMBER_DIGITS + 1] = "";
	int i;

	if (value < 0)
		return (LEASED_EINVAL);
	for (i = NUMBER_DIGITS - 1; i >= 0; i--) {
		text[i] = alphabet62[value % 62];
		value /= 62;
	}
	if (value != 0)
		return (LEASED_EINVAL);
	memcpy(ret_text, text, sizeof(text));
	return (0);
}

int
id_number_decode(const char text[8], int64_t *ret_value)
{
	int64_t value = 0;
	const char *digit;
	int i;

	for (i = 0; i < NUMBER_DIGITS; i++) {
		if (text[i] == '\0' || (digit = strchr(alphabet62, text[i])) == NULL)
			return (LEASED_EINVAL);
		value = value * 62 + (digit - alphabet62);
	}
	*ret_value = value;
	return (0);
}

static bool
has_every_class(const char *text)
{
	return (strpbrk(text, "0123456789") != NULL &&
		strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL &&
		strpbrk(text, "abcdefghijklmnopqrstuvwxyz") != NULL && strchr(text, '-') != NULL);
}

struct leased_secret *
id_password(struct id_source *source, size_t len)
{
	struct leased_secret *secret;
	char *text;

	if (len < 20) {
		(void)bug(NULL, "a password of %zu characters", len);
		return (NULL);
	}
	if ((secret = leased_secret_new_empty(len)) == NULL)
		return (NULL);
	text = leased_secret_reveal_mutable(secret);
	/* Drawn again whole until every class is there: what comes out is uniform over the
	 * passwords that are allowed. */
	do {
		fill_from(source, alphabet63, 62, 1, text);
		fill_from(source, alphabet63, 63, len - 2, text + 1);
		fill_from(source, alphabet63, 62, 1, text + len - 1);
	} while (!has_every_class(text));
	return (secret);
}
