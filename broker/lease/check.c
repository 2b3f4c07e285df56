/*
 * Counts what the leases hold of max_leases, for fsck, which has the store for itself; in a running
 * daemon recount.c does it beside the writers. It writes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "lease/check.h"
#include "lease/private.h"

#define NAMES 64

struct cap {
	char counter[128];
	int64_t found;
	bool compared;
	UT_hash_handle hh;
};

struct lease_check {
	struct cap *caps;
};

struct lease_check *
lease_check_new(void)
{
	return (calloc(1, sizeof(struct lease_check)));
}

void
lease_check_free(struct lease_check *check)
{
	struct cap *cap, *next;

	if (check == NULL)
		return;
	HASH_ITER(hh, check->caps, cap, next)
	{
		HASH_DEL(check->caps, cap);
		free(cap);
	}
	free(check);
}

static int
cap_add(struct lease_check *check, const char *counter, struct leased_err *err)
{
	struct cap *cap = NULL;

	HASH_FIND_STR(check->caps, counter, cap);
	if (cap == NULL) {
		if ((cap = calloc(1, sizeof(*cap))) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "no memory to count leases"));
		lease_text_copy(cap->counter, sizeof(cap->counter), counter);
		HASH_ADD_STR(check->caps, counter, cap);
	}
	cap->found++;
	return (0);
}

int
lease_check_add(struct lease_check *check, const struct store_lease *lease, struct leased_err *err)
{
	struct lease_data data;
	int r;

	if (lease->kind == STORE_LEASE_TOKEN)
		return (0);
	if ((r = lease_data_decode(lease->data, &data, err)) != 0)
		return (r);
	for (unsigned i = 0; i < data.caps_count && r == 0; i++)
		r = cap_add(check, data.caps[i], err);
	return (r);
}

static bool
is_cap(const char *counter)
{
	return (strncmp(counter, "role:", 5) == 0 || strncmp(counter, "entity:", 7) == 0 ||
		strncmp(counter, "conn:", 5) == 0);
}

int
lease_check_caps(struct lease_check *check, struct store_db *db,
    void (*on_wrong)(void *arg, const char *counter, int64_t was, int64_t is), void *arg,
    struct leased_err *err)
{
	struct store_counter *counters = NULL;
	struct cap *cap, *next;
	char after[160] = "";
	size_t count = NAMES;
	int r;

	while (count == NAMES) {
		if ((r = store_counter_list(db, after, NAMES, &counters, &count, err)) != 0)
			return (r);
		for (size_t i = 0; i < count; i++) {
			lease_text_copy(after, sizeof(after), counters[i].name);
			HASH_FIND_STR(check->caps, counters[i].name, cap);
			if (cap != NULL)
				cap->compared = true;
			if (is_cap(counters[i].name) &&
			    counters[i].value != (cap != NULL ? cap->found : 0))
				on_wrong(arg, counters[i].name, counters[i].value,
				    cap != NULL ? cap->found : 0);
		}
		store_counter_list_free(counters, count);
	}
	HASH_ITER(hh, check->caps, cap, next)
	{
		if (!cap->compared)
			on_wrong(arg, cap->counter, 0, cap->found);
	}
	return (0);
}
