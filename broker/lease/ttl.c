/*
 * TTL arithmetic (contract 4.2): one function for leases and tokens. Pure; called by issue, renew
 * and auth/.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lease/lease.h"

/* Nothing lives longer than a hundred years: keeps every sum far from overflow. */
#define CENTURY_S (INT64_C(100) * 366 * 86400)

static int64_t
min_s(int64_t a, int64_t b)
{
	return (a < b ? a : b);
}

/* "1h30m", as people write it. */
static void
duration_text(int64_t s, char *ret_text, size_t size)
{
	int64_t h = s / 3600, m = s / 60 % 60;
	char hours[32] = "", minutes[32] = "", seconds[32] = "";

	if (h > 0)
		snprintf(hours, sizeof(hours), "%" PRId64 "h", h);
	if (m > 0)
		snprintf(minutes, sizeof(minutes), "%" PRId64 "m", m);
	if (s % 60 > 0 || s == 0)
		snprintf(seconds, sizeof(seconds), "%" PRId64 "s", s % 60);
	snprintf(ret_text, size, "%s%s%s", hours, minutes, seconds);
}

static int
check_negative(const struct lease_ttl_input *in, struct leased_err *err)
{
	const int64_t values[] = {in->increment_s, in->role_ttl_s, in->role_max_s,
	    in->mount_default_s, in->mount_max_s, in->period_s, in->explicit_max_s};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (values[i] < 0)
			return (leased_err_set(err, LEASED_EINVAL,
			    "cannot provide negative value '%" PRId64 "'", values[i]));
	return (0);
}

static void
warn_capped(int64_t asked_s, int64_t max_s, char *ret_warning, size_t size)
{
	char asked[64], max[64];

	duration_text(asked_s, asked, sizeof(asked));
	duration_text(max_s, max, sizeof(max));
	snprintf(ret_warning, size,
	    "TTL of \"%s\" exceeded the effective max_ttl of \"%s\"; TTL value is capped "
	    "accordingly",
	    asked, max);
}

static void
warn_owner(int64_t left_s, char *ret_warning, size_t size)
{
	char left[64];

	duration_text(left_s, left, sizeof(left));
	snprintf(ret_warning, size,
	    "the token that this lease belongs to ends in %s, and the lease with it; TTL value is "
	    "capped accordingly",
	    left);
}

int
lease_ttl_compute(
    const struct lease_ttl_input *in, struct lease_ttl *ret_ttl, struct leased_err *err)
{
	struct lease_ttl out = {0};
	int64_t max_s, bound_s, left_s, ttl_s;
	int r;

	if ((r = check_negative(in, err)) != 0)
		return (r);
	max_s = min_s(in->mount_max_s > 0 ? in->mount_max_s : CENTURY_S, CENTURY_S);
	if (in->role_max_s > 0)
		max_s = min_s(max_s, in->role_max_s);
	if (in->explicit_max_s > 0)
		max_s = min_s(max_s, in->explicit_max_s);
	if (in->period_s > 0) {
		ttl_s = in->period_s;
		if (ttl_s > max_s) {
			warn_capped(ttl_s, max_s, out.warning, sizeof(out.warning));
			ttl_s = max_s;
		}
		bound_s = in->explicit_max_s > 0 ? min_s(in->explicit_max_s, CENTURY_S) : CENTURY_S;
	} else {
		ttl_s = in->increment_s > 0 ? in->increment_s : in->role_ttl_s;
		if (ttl_s == 0)
			ttl_s = in->mount_default_s > 0 ? in->mount_default_s : max_s;
		bound_s = max_s;
	}
	/* Whole seconds, down: a lease never outlives its bound. */
	left_s = (in->start_ms + bound_s * 1000 - in->now_ms) / 1000;
	if (left_s <= 0)
		return (leased_err_set(err, LEASED_EEXPIRED, "past the max TTL, cannot renew"));
	if (ttl_s > left_s) {
		warn_capped(ttl_s, bound_s, out.warning, sizeof(out.warning));
		ttl_s = left_s;
	}
	if (in->owner_left_s == 0)
		return (leased_err_set(err, LEASED_EEXPIRED,
		    "the token that the lease belongs to is at its end; log in again"));
	if (in->owner_left_s > 0 && ttl_s > in->owner_left_s) {
		ttl_s = in->owner_left_s;
		warn_owner(ttl_s, out.warning, sizeof(out.warning));
	}
	out.ttl_s = ttl_s;
	*ret_ttl = out;
	return (0);
}
