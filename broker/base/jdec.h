/*
 * Strict JSON: limits are checked as they are met, duplicates are refused, and a table says which
 * fields an object may hold.
 *
 * jdec_parse() is for bytes from outside. Limits: depth 16, 10 000 tokens, 64 KiB a string unless
 * the caller's struct says otherwise; no NUL, valid UTF-8, no trailing data; integers outside 64
 * bits are refused.
 */
#ifndef BASE_JDEC_H
#define BASE_JDEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

struct jdec_limits {
	unsigned depth;
	unsigned tokens;
	size_t string_len;
};
extern const struct jdec_limits jdec_default_limits;

/* Any JSON value; *ret_value is the caller's (json_decref). LEASED_EINVAL says line and column;
 * LEASED_ETOOBIG which limit. */
int jdec_parse(const void *bytes, size_t len, const struct jdec_limits *limits, json_t **ret_value,
    struct leased_err *err) LEASED_MUST_CHECK;
/* How many of the first bytes are JSON's blanks. */
size_t jdec_blanks(const void *bytes, size_t len);

/*
 * A table-driven decoder from a JSON object into a struct. Weak typing as the Vault API has it
 * (contract 1.8): a number or a bool may stand for a string, a string of digits for an integer, ""
 * for false, null for absent.
 */
enum jdec_kind {
	JDEC_STRING,      /* char *, strdup'ed */
	JDEC_SECRET,      /* struct leased_secret * */
	JDEC_BOOL,        /* bool */
	JDEC_INT,         /* int64_t */
	JDEC_DURATION_S,  /* int64_t seconds: a number, digits, 3d, Go's 1h30m (contract 1.8);
			     negative is refused */
	JDEC_STRING_LIST, /* struct jdec_list: an array; a string is ONE element; "" is none */
	JDEC_COMMA_LIST,  /* struct jdec_list: an array, or a string split on ',' and trimmed; "" is
			     none */
	JDEC_STRING_MAP,  /* json_t *object of strings, owned; lists of "k=v" are taken too */
	JDEC_JSON,        /* json_t *, owned, any value */
	JDEC_IGNORED,     /* known, and not used here; offset is ignored */
};

struct jdec_list {
	char **items; /* each strdup'ed */
	size_t count;
};

struct jdec_field {
	const char *name;
	enum jdec_kind kind;
	size_t offset;         /* of the value in the caller's struct */
	size_t present_offset; /* of a bool that is set when the field is there and not null;
				  JDEC_NO_PRESENT: none */
};
#define JDEC_NO_PRESENT ((size_t)-1)
/* clang-format off */
#define JDEC_FIELD(type, member, kind) {#member, kind, offsetof(type, member), JDEC_NO_PRESENT}
#define JDEC_FIELD_SEEN(type, member, seen, kind) {#member, kind, offsetof(type, member), offsetof(type, seen)}
#define JDEC_END {NULL, JDEC_IGNORED, 0, JDEC_NO_PRESENT}
/* clang-format on */

/*
 * Decodes object (NULL: an empty one) by the table into *target, whose fields the caller has set to
 * their defaults. On an error target must still be given to jdec_clear(). ret_unknown (may be
 * NULL): a json array of the names that the table does not know, sorted, NULL when there are none.
 * The caller warns or refuses.
 */
int jdec_decode(const json_t *object, const struct jdec_field *fields, void *target,
    json_t **ret_unknown, struct leased_err *err) LEASED_MUST_CHECK;

/* Frees what jdec_decode() put there and sets it to zero. */
void jdec_clear(const struct jdec_field *fields, void *target);

void jdec_list_clear(struct jdec_list *list);

/* The known name nearest to name (edit distance at most 3 and under half its length), or NULL. For
 * "did you mean". */
const char *jdec_nearest(const char *name, const char *const *known, size_t count);
const char *jdec_nearest_field(const char *name, const struct jdec_field *fields);

/* A duration text by contract 1.8 in whole seconds. LEASED_EINVAL with the reason. */
int jdec_duration_s(const char *text, int64_t *ret_s, struct leased_err *err) LEASED_MUST_CHECK;

#endif
