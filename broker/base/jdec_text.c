/*
 * Strict JSON, the small texts in it: durations as clients write them (contract 1.8), and the
 * nearest known name for "did you mean". It owns nothing and allocates nothing. Called by
 * jdec_fields.c, config/, policy/ and api/.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/jdec.h"
#include "base/utf8.h"

#define NS_PER_S UINT64_C(1000000000)

/* The longest duration: what fits into 64 bits of nanoseconds, as in the clients (292 years). */
#define DURATION_S_MAX (INT64_MAX / INT64_C(1000000000))

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

static char
lower(char c)
{
	return (c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
}

static int
too_long(const char *text, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_EINVAL, "the duration '%s' is too long", UTF8_SHORT(text, 40)));
}

static int
no_duration(const char *text, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "'%s' is not a duration: write seconds, or a number with its unit such as 90s, 15m, "
	    "1h30m, 7d",
	    UTF8_SHORT(text, 40)));
}

/* Digits at *at into *ret_number; false on overflow. */
static bool
read_digits(const char **at, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (; is_digit(**at); (*at)++)
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
		    __builtin_add_overflow(number, (uint64_t)(**at - '0'), &number))
			return (false);
	*ret_number = number;
	return (true);
}

/* The unit at *at in nanoseconds, or 0. */
static uint64_t
read_unit(const char **at)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
	    {"ns", 1},
	    {"us", 1000},
	    {"\xc2\xb5s", 1000}, /* micro sign */
	    {"\xce\xbcs", 1000}, /* Greek mu */
	    {"ms", 1000 * 1000},
	    {"s", NS_PER_S},
	    {"m", 60 * NS_PER_S},
	    {"h", 3600 * NS_PER_S},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].name);

		/* A unit ends where the next number starts. */
		if (strncmp(*at, units[i].name, len) == 0 &&
		    ((*at)[len] == '\0' || (*at)[len] == '.' || is_digit((*at)[len]))) {
			*at += len;
			return (units[i].ns);
		}
	}
	return (0);
}

/* What stands behind the point, as a part of 1. */
static double
read_fraction(const char **at, bool *ret_any)
{
	double fraction = 0, weight = 0.1;

	for (; is_digit(**at); (*at)++) {
		fraction += weight * (**at - '0');
		weight /= 10;
		*ret_any = true;
	}
	return (fraction);
}

/* "1h30m", "1.5h": a sum of decimals with units, in nanoseconds. */
static int
read_sum(const char *text, const char *at, uint64_t *ret_ns, struct leased_err *err)
{
	uint64_t total = 0;

	while (*at != '\0') {
		bool any = is_digit(*at);
		double fraction = 0;
		uint64_t number, unit;

		if (!read_digits(&at, &number))
			return (too_long(text, err));
		if (*at == '.') {
			at++;
			fraction = read_fraction(&at, &any);
		}
		if (!any || (unit = read_unit(&at)) == 0)
			return (no_duration(text, err));
		if (__builtin_mul_overflow(number, unit, &number) ||
		    __builtin_add_overflow(total, number, &total) ||
		    __builtin_add_overflow(total, (uint64_t)(fraction * (double)unit), &total))
			return (too_long(text, err));
	}
	*ret_ns = total;
	return (0);
}

int
jdec_duration_s(const char *text, int64_t *ret_s, struct leased_err *err)
{
	bool negative = text[0] == '-';
	const char *start = text + (text[0] == '-' || text[0] == '+' ? 1 : 0), *at = start;
	uint64_t seconds, ns;
	bool fits;
	int r;

	if (text[0] == '\0') {
		*ret_s = 0;
		return (0);
	}
	fits = read_digits(&at, &seconds);
	if (at > start && *at == '\0') {
		/* seconds without a unit */
	} else if (at > start && at[0] == 'd' && at[1] == '\0') {
		fits = fits && !__builtin_mul_overflow(seconds, UINT64_C(86400), &seconds);
	} else {
		if (*start == '\0')
			return (no_duration(text, err));
		if ((r = read_sum(text, start, &ns, err)) != 0)
			return (r);
		/* Less than a second below zero is below zero too. */
		seconds = negative && ns > 0 && ns < NS_PER_S ? 1 : ns / NS_PER_S;
		fits = true;
		/* 0 means "none" or "the default": nobody who wrote 400ms meant that. */
		if (!negative && ns > 0 && seconds == 0)
			return (leased_err_set(err, LEASED_EINVAL,
			    "'%s' is shorter than a second, which is the least that can be told "
			    "apart",
			    UTF8_SHORT(text, 40)));
	}
	if (negative && (!fits || seconds > 0))
		return (leased_err_set(err, LEASED_EINVAL, "cannot provide negative value '%s'",
		    UTF8_SHORT(text, 40)));
	if (!fits || seconds > (uint64_t)DURATION_S_MAX)
		return (too_long(text, err));
	*ret_s = (int64_t)seconds;
	return (0);
}

#define NEAREST_LEN_MAX 64
#define NEAREST_DISTANCE_MAX 3

static unsigned
min2(unsigned a, unsigned b)
{
	return (a < b ? a : b);
}

/* Edits that turn a into b (insert, delete, replace, swap two neighbours); case does not count. */
static unsigned
edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[3][NEAREST_LEN_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned differs = lower(a[i - 1]) != lower(b[j - 1]);

			now[j] = min2(min2(last[j] + 1, now[j - 1] + 1), last[j - 1] + differs);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				now[j] = min2(now[j], before[j - 2] + 1);
		}
	}
	return (row[a_len % 3][b_len]);
}

/* The distance of known from name when it is near enough to be meant, else a large number. */
static unsigned
nearness(const char *name, const char *known)
{
	size_t name_len = strnlen(name, NEAREST_LEN_MAX + 1),
	       known_len = strnlen(known, NEAREST_LEN_MAX + 1);
	unsigned distance;

	if (name_len > NEAREST_LEN_MAX || known_len > NEAREST_LEN_MAX)
		return (UINT32_MAX);
	distance = edit_distance(name, name_len, known, known_len);
	/* A common beginning speaks for a word in another form: policy, policies. */
	if (distance > NEAREST_DISTANCE_MAX ||
	    (distance * 2 >= name_len && strncasecmp(name, known, 4) != 0))
		return (UINT32_MAX);
	return (distance);
}

const char *
jdec_nearest(const char *name, const char *const *known, size_t count)
{
	const char *best = NULL;
	unsigned best_distance = UINT32_MAX;

	for (size_t i = 0; i < count; i++) {
		unsigned distance = nearness(name, known[i]);

		if (distance < best_distance) {
			best = known[i];
			best_distance = distance;
		}
	}
	return (best);
}

const char *
jdec_nearest_field(const char *name, const struct jdec_field *fields)
{
	const char *best = NULL;
	unsigned best_distance = UINT32_MAX;

	for (; fields->name != NULL; fields++) {
		unsigned distance = nearness(name, fields->name);

		if (distance < best_distance) {
			best = fields->name;
			best_distance = distance;
		}
	}
	return (best);
}
