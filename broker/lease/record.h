/*
 * What a lease's row holds beyond the columns of store.h: its sealed data.
 */
#ifndef LEASE_RECORD_H
#define LEASE_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "lease/lease.h"

/* Times in lease time (_ms) or wall time (_wall_ms). 0, "" and false are left out of the record. */
struct lease_data {
	int64_t issued_ms, issued_wall_ms, expires_ms, renewed_wall_ms, disarmed_wall_ms;
	int64_t ttl_s;
	int64_t max_s; /* from issue on, never more than this: the snapshot's; 0: none */
	int64_t mint_deadline_ms;
	int64_t due_ms; /* when its end was due, once it has been tried */
	int64_t role_version, owner_token;
	int64_t fails; /* of the present step, in a row */
	int64_t error_code, error_wall_ms;
	bool mint_over;   /* the mint's outcome is known, or it was given up */
	bool failed_mint; /* it did not succeed */
	bool cut;         /* a call was cut: the account is looked for once more after its end */
	bool delivered;
	bool fixed;  /* it cannot be renewed */
	char run[9]; /* of the daemon's run that made it */
	char role[256], display[129], entity[64], handle[65], server[128];
	char cause[129], revoke_cause[129], error[241];
	int64_t end;                        /* enum lease_end: what ends it; 0: nothing yet */
	char end_by[129], end_accessor[25]; /* who asked for its end */
	unsigned caps_count;
	char caps[LEASE_CAPS_MAX][128]; /* counters that it holds */
};

/*
 * The record holds one thing more: LEASE_KEPT, what the plugin wants kept of an account
 * (PROTOCOL.md), a secret, which stays in JSON: what copies data need not wipe it.
 */
#define LEASE_KEPT "kept"
/* NULL: out of memory. */
json_t *lease_data_encode(const struct lease_data *data);
/* Puts data into the row's record; what its engine keeps there stays, and what is to be kept. */
int lease_record_put(struct store_lease *row, const struct lease_data *data,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Adds that its answer arrived to a row that holds what lease_record_put() made of it. */
int lease_record_deliver(struct store_lease *row, struct leased_err *err) LEASED_MUST_CHECK;
/* What the engine of a lease without a backend keeps in its record; borrowed, NULL: nothing. */
const json_t *lease_record_engine(const struct store_lease *row);
/* Strict: an unknown field or a wrong type is LEASED_ECORRUPT. */
int lease_data_decode(
    const json_t *object, struct lease_data *ret_data, struct leased_err *err) LEASED_MUST_CHECK;
/* ---- by a table; each struct has its own ---- */

enum lease_field_kind { LEASE_FIELD_INT, LEASE_FIELD_BOOL, LEASE_FIELD_TEXT };
struct lease_field { /* of an int64_t, a bool, or an array of char */
	const char *name;
	enum lease_field_kind kind;
	size_t offset, size;
};
#define LEASE_FIELD(type, member, kind)                                                            \
	{                                                                                          \
#member, kind, offsetof(type, member), sizeof(((type *)0)->member)                 \
	}
/* NULL: out of memory. */
json_t *lease_fields_encode(const struct lease_field *table, size_t count, const void *from);
/* -1: no such field, a wrong type, or too long. */
int lease_field_decode(const struct lease_field *table, size_t count, const char *key,
    const json_t *value, void *into) LEASED_MUST_CHECK;

/* Copies text that may be long, cut with a visible mark. */
void lease_text_copy(char *ret_text, size_t size, const char *text);

#endif
