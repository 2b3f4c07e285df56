/*
 * Account names. The default is "l-<tag>-<role, cut>-<sequence><13 random>"; a role's
 * username_template replaces what follows "l-<tag>-". Names carry at least 64 random bits, which
 * are never cut: only the role's and the caller's name are. Pure: the name is made inside the
 * INTENT's transaction, where the sequence is known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/private.h"

#define RANDOM_MIN 13 /* characters of [0-9a-z]: 67 bits */
#define RANDOM_MAX 64
#define TAG_LEN 6
#define PREFIX_LEN (2 + TAG_LEN + 1) /* "l-", tag, "-" */
#define VARIABLE_MIN 1               /* what a cut name keeps at least */
#define PARTS_MAX 32
#define SEQUENCE_LEN 10 /* base 36; row numbers end below that */
#define NAME_MIN (PREFIX_LEN + SEQUENCE_LEN + RANDOM_MIN)

enum part_kind { PART_TEXT, PART_ROLE, PART_DISPLAY, PART_RANDOM, PART_TIME };

struct part {
	enum part_kind kind;
	const char *text; /* TEXT */
	size_t len;       /* TEXT, RANDOM */
};

struct parts {
	struct part parts[PARTS_MAX];
	unsigned count;
	unsigned variable; /* ROLE and DISPLAY */
	size_t fixed_len, random_len;
};

static bool
is_name_char(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '.' || c == '-');
}

static int
part_add(
    struct parts *parts, enum part_kind kind, const char *text, size_t len, struct leased_err *err)
{
	if (parts->count == PARTS_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "username_template has more than %d parts", PARTS_MAX));
	parts->parts[parts->count++] = (struct part){kind, text, len};
	switch (kind) {
	case PART_TEXT:
		parts->fixed_len += len;
		break;
	case PART_RANDOM:
		parts->fixed_len += len;
		parts->random_len += len;
		break;
	case PART_TIME:
		parts->fixed_len += 10;
		break;
	case PART_ROLE:
	case PART_DISPLAY:
		parts->variable++;
		break;
	}
	return (0);
}

static int
add_random(struct parts *parts, const char *digits, size_t len, struct leased_err *err)
{
	char text[8];
	long n;

	if (len == 0 || len > 2 || strspn(digits, "0123456789") < len)
		return (leased_err_set(err, LEASED_EINVAL,
		    "username_template: {{random N}} needs a number from 1 to %d", RANDOM_MAX));
	memcpy(text, digits, len);
	text[len] = '\0';
	n = strtol(text, NULL, 10);
	if (n < 1 || parts->random_len + (size_t)n > RANDOM_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "username_template may have 1 to %d random characters", RANDOM_MAX));
	return (part_add(parts, PART_RANDOM, NULL, (size_t)n, err));
}

static bool
word_is(const char *word, size_t len, const char *name)
{
	return (len == strlen(name) && memcmp(word, name, len) == 0);
}

/* slot: what stands between the braces, trimmed. */
static int
add_slot(struct parts *parts, const char *slot, size_t len, struct leased_err *err)
{
	if (word_is(slot, len, "role") || word_is(slot, len, "role_name"))
		return (part_add(parts, PART_ROLE, NULL, 0, err));
	if (word_is(slot, len, "display_name"))
		return (part_add(parts, PART_DISPLAY, NULL, 0, err));
	if (word_is(slot, len, "unix_time"))
		return (part_add(parts, PART_TIME, NULL, 0, err));
	if (word_is(slot, len, "tag"))
		return (leased_err_set(err, LEASED_EINVAL,
		    "username_template: {{tag}} can only stand first (it is put there when it is "
		    "missing)"));
	if (len > 7 && memcmp(slot, "random ", 7) == 0) {
		while (len > 7 && slot[7] == ' ') {
			slot++;
			len--;
		}
		return (add_random(parts, slot + 7, len - 7, err));
	}
	return (leased_err_set(err, LEASED_EINVAL,
	    "username_template: {{%.*s}} is unknown; there are {{role}}, {{display_name}}, "
	    "{{random N}}, {{unix_time}} and {{tag}}",
	    (int)(len > 40 ? 40 : len), slot));
}

static int
next_slot(struct parts *parts, const char **at, struct leased_err *err)
{
	const char *slot = *at + 2, *end = strstr(slot, "}}");
	size_t len;

	if (end == NULL)
		return (
		    leased_err_set(err, LEASED_EINVAL, "username_template: a {{ is never closed"));
	*at = end + 2;
	while (*slot == ' ')
		slot++;
	len = end > slot ? (size_t)(end - slot) : 0;
	while (len > 0 && slot[len - 1] == ' ')
		len--;
	return (add_slot(parts, slot, len, err));
}

static int
parts_parse(const char *template, struct parts *ret_parts, struct leased_err *err)
{
	const char *at = template;
	size_t len;
	int r = 0;

	memset(ret_parts, 0, sizeof(*ret_parts));
	if (strncmp(at, "{{tag}}", 7) == 0)
		at += at[7] == '-' ? 8 : 7; /* "l-<tag>-" stands in front in any case */
	while (*at != '\0' && r == 0) {
		if (at[0] == '{' && at[1] == '{') {
			r = next_slot(ret_parts, &at, err);
			continue;
		}
		for (len = 0; is_name_char(at[len]); len++)
			;
		if (len == 0)
			return (leased_err_set(err, LEASED_EINVAL,
			    "username_template: '%c' cannot stand in an account name; allowed are "
			    "A-Z a-z 0-9 _ . - and {{slots}}",
			    *at >= ' ' && *at < 127 ? *at : '?'));
		r = part_add(ret_parts, PART_TEXT, at, len, err);
		at += len;
	}
	return (r);
}

int
lease_template_check(const char *template, unsigned name_max, struct leased_err *err)
{
	struct parts parts;
	size_t least;
	int r;

	if ((r = parts_parse(template, &parts, err)) != 0)
		return (r);
	if (parts.random_len < RANDOM_MIN)
		return (leased_err_set(err, LEASED_EINVAL,
		    "username_template has %zu random characters, which is under 64 bits; use "
		    "{{random %d}} or more",
		    parts.random_len, RANDOM_MIN));
	least = PREFIX_LEN + parts.fixed_len + parts.variable * VARIABLE_MIN;
	if (least > name_max || least >= LEASE_ACCOUNT_SIZE)
		return (leased_err_set(err, LEASED_EINVAL,
		    "username_template makes names of at least %zu characters (\"l-\", the store's "
		    "tag and \"-\" stand in front); this backend takes %u",
		    least, name_max));
	return (0);
}

/* ---- making one ---- */

struct writer {
	char *text;
	size_t len;
};

static void
put(struct writer *writer, const char *text, size_t len)
{
	memcpy(writer->text + writer->len, text, len);
	writer->len += len;
}

/* What a backend or the shape of the name cannot take becomes '_'. */
static void
put_cut(struct writer *writer, const char *text, size_t max)
{
	for (size_t i = 0; i < max && text[i] != '\0'; i++)
		writer->text[writer->len++] = is_name_char(text[i]) ? text[i] : '_';
}

static void
put_parts(struct writer *writer, const struct parts *parts, const struct lease_name *name)
{
	size_t room = name->name_max - PREFIX_LEN - parts->fixed_len, used = 0;
	size_t each = parts->variable > 0 ? room / parts->variable : 0;
	char seconds[24];

	snprintf(seconds, sizeof(seconds), "%010" PRId64, name->unix_s % INT64_C(10000000000));
	for (unsigned i = 0; i < parts->count; i++) {
		const struct part *part = &parts->parts[i];

		switch (part->kind) {
		case PART_TEXT:
			put(writer, part->text, part->len);
			break;
		case PART_RANDOM:
			put(writer, name->random + used, part->len);
			used += part->len;
			break;
		case PART_TIME:
			put(writer, seconds, 10);
			break;
		case PART_ROLE:
			put_cut(writer, name->role, each);
			break;
		case PART_DISPLAY:
			put_cut(writer, name->display, each);
			break;
		}
	}
}

static void
put_default(struct writer *writer, const struct lease_name *name)
{
	char digits[16], *at = digits + sizeof(digits);
	uint64_t value = (uint64_t)name->sequence;
	size_t len, room;

	do {
		*--at = "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36];
		value /= 36;
	} while (value > 0);
	len = (size_t)(digits + sizeof(digits) - at);
	room = name->name_max - PREFIX_LEN - len - RANDOM_MIN;
	if (room >= 2 && name->role[0] != '\0') {
		put_cut(writer, name->role, room - 1);
		put(writer, "-", 1);
	}
	put(writer, at, len);
	put(writer, name->random, RANDOM_MIN);
}

int
lease_name_format(
    const struct lease_name *name, char ret_account[LEASE_ACCOUNT_SIZE], struct leased_err *err)
{
	struct writer writer = {.text = ret_account};
	struct parts parts;
	int r;

	if (name->name_max < NAME_MIN || name->name_max >= LEASE_ACCOUNT_SIZE ||
	    strlen(name->tag) != TAG_LEN)
		return (leased_err_set(err, LEASED_EINVAL,
		    "accounts of this backend may have %u characters; at least %d are needed",
		    name->name_max, NAME_MIN));
	if (name->template != NULL &&
	    ((r = lease_template_check(name->template, name->name_max, err)) != 0 ||
		(r = parts_parse(name->template, &parts, err)) != 0))
		return (r);
	put(&writer, "l-", 2);
	put(&writer, name->tag, TAG_LEN);
	put(&writer, "-", 1);
	if (name->template != NULL)
		put_parts(&writer, &parts, name);
	else
		put_default(&writer, name);
	ret_account[writer.len] = '\0';
	return (0);
}

/* ---- reading one ---- */

bool
lease_name_sequence(const char *account, const char *tag, int64_t *ret_sequence)
{
	const char *tail, *dash;
	size_t len, digits;
	int64_t sequence = 0;

	if (strlen(tag) != TAG_LEN || strncmp(account, "l-", 2) != 0 ||
	    strncmp(account + 2, tag, TAG_LEN) != 0 || account[PREFIX_LEN - 1] != '-')
		return (false);
	dash = strrchr(account, '-');
	tail = dash + 1;
	len = strlen(tail);
	if (len <= RANDOM_MIN || len > RANDOM_MIN + SEQUENCE_LEN || tail[0] == '0' ||
	    strspn(tail, "0123456789abcdefghijklmnopqrstuvwxyz") != len)
		return (false);
	digits = len - RANDOM_MIN;
	for (size_t i = 0; i < digits; i++)
		sequence = sequence * 36 + (tail[i] <= '9' ? tail[i] - '0' : tail[i] - 'a' + 10);
	*ret_sequence = sequence;
	return (true);
}
