/*
 * How one rule's path matches a request's path, and which of two matching rules counts
 * (contract 3.2 and 3.3). It knows no policy and no capability. Called by acl.c and parse.c.
 */
#include <string.h>

#include "policy/policy_private.h"

/* The length of the segment at text, which ends at '/' or behind len bytes. */
static size_t
segment_length(const char *text, size_t len)
{
	const char *slash = memchr(text, '/', len);

	return (slash != NULL ? (size_t)(slash - text) : len);
}

static bool
is_plus(const char *segment, size_t len)
{
	return (len == 1 && segment[0] == '+');
}

void
policy_rule_compile(struct policy_rule *rule)
{
	size_t len = strlen(rule->path), at = 0;

	rule->prefix = len > 0 && rule->path[len - 1] == '*';
	rule->len = rule->prefix ? len - 1 : len;
	rule->first_wildcard = rule->len;
	rule->plus_count = 0;
	for (;;) {
		size_t segment = segment_length(rule->path + at, rule->len - at);

		if (is_plus(rule->path + at, segment)) {
			if (rule->plus_count++ == 0)
				rule->first_wildcard = at;
		}
		at += segment + 1;
		if (at > rule->len)
			return;
	}
}

bool
policy_rule_is_exact(const struct policy_rule *rule)
{
	return (!rule->prefix && rule->plus_count == 0);
}

/* Segment by segment. A '+' stands for any one segment, also for the empty one behind a '/' at the
 * end, as clients know it. */
static bool
matches_segments(const struct policy_rule *rule, const char *path, size_t len)
{
	const char *pattern = rule->path;
	size_t pattern_len = rule->len;

	for (;;) {
		size_t want = segment_length(pattern, pattern_len),
		       have = segment_length(path, len);
		bool last = want == pattern_len;

		if (last && rule->prefix)
			return (len >= want && memcmp(pattern, path, want) == 0);
		if (!is_plus(pattern, want) && (want != have || memcmp(pattern, path, want) != 0))
			return (false);
		if (last || have == len)
			return (last && have == len);
		pattern += want + 1;
		pattern_len -= want + 1;
		path += have + 1;
		len -= have + 1;
	}
}

bool
policy_rule_matches(const struct policy_rule *rule, const char *path, size_t len)
{
	if (rule->plus_count > 0)
		return (matches_segments(rule, path, len));
	return (len >= rule->len && memcmp(rule->path, path, rule->len) == 0 &&
		(rule->prefix || len == rule->len));
}

bool
policy_rule_reaches(const struct policy_rule *rule, const char *prefix, size_t len)
{
	const char *pattern = rule->path;
	size_t pattern_len = rule->len;

	for (;;) {
		size_t want = segment_length(pattern, pattern_len),
		       have = segment_length(prefix, len);
		bool last = want == pattern_len;

		if (len == 0)
			return (true);
		if (last && rule->prefix && want <= have && memcmp(pattern, prefix, want) == 0)
			return (true);
		if (!is_plus(pattern, want) && (want != have || memcmp(pattern, prefix, want) != 0))
			return (false);
		if (have == len)
			return (true); /* at the prefix itself, or below it */
		if (last)
			return (false);
		pattern += want + 1;
		pattern_len -= want + 1;
		prefix += have + 1;
		len -= have + 1;
	}
}

static int
compare_sizes(size_t a, size_t b)
{
	return ((a > b) - (a < b));
}

int
policy_rule_rank(const struct policy_rule *a, const struct policy_rule *b)
{
	int r;

	if ((r = compare_sizes(a->first_wildcard, b->first_wildcard)) != 0)
		return (r);
	if (a->prefix != b->prefix)
		return (a->prefix ? -1 : 1);
	if ((r = compare_sizes(b->plus_count, a->plus_count)) != 0)
		return (r);
	if ((r = compare_sizes(a->len, b->len)) != 0)
		return (r);
	return (strcmp(a->path, b->path));
}
