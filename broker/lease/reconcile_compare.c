/*
 * A page of a backend's inventory against the store, on the reader thread: whose lease is each
 * account, and which leases that live have none. The page owns all that it needs, and writes
 * nothing but itself. An account that came or went while the backend was asked is nobody's mistake:
 * what is younger than the question proves nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/ended.h"
#include "lease/reconcile_private.h"

#define MINT_MS 60000 /* no mint takes as long, from its INTENT to the account */

/* ---- the page ---- */

static int
account_read(const json_t *one, const char *prefix, const char *before,
    struct reconcile_account *account, struct leased_err *err)
{
	const char *name = json_string_value(json_object_get(one, "name"));
	const char *handle = json_string_value(json_object_get(one, "handle"));

	/* The protocol says so; and whatever lies outside is somebody else's. */
	if (name == NULL || strlen(name) >= sizeof(account->name) ||
	    strncmp(name, prefix, strlen(prefix)) != 0 || strcmp(name, before) <= 0 ||
	    (handle != NULL && strlen(handle) >= sizeof(account->handle)))
		return (leased_err_set(err, LEASED_EPROTO,
		    "the plugin's inventory names an account that is not ours, or out of order"));
	(void)snprintf(account->name, sizeof(account->name), "%s", name);
	(void)snprintf(
	    account->handle, sizeof(account->handle), "%s", handle != NULL ? handle : "");
	account->armed = json_is_true(json_object_get(one, "armed"));
	account->partial = json_is_true(json_object_get(one, "partial"));
	return (0);
}

int
lease_reconcile_page_new(const json_t *result, const char *tag, const char *after,
    struct reconcile_page **ret_page, struct leased_err *err)
{
	const json_t *accounts = json_object_get(result, "accounts");
	size_t count = json_array_size(accounts);
	struct reconcile_page *page;
	char prefix[16];
	int r = 0;

	if ((page = calloc(1, sizeof(*page) + count * sizeof(page->accounts[0]))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	(void)snprintf(page->tag, sizeof(page->tag), "%s", tag);
	(void)snprintf(prefix, sizeof(prefix), "l-%s-", page->tag);
	page->count = count;
	page->last = !json_is_true(json_object_get(result, "more"));
	lease_reconcile_page_rewind(page, after);
	for (size_t i = 0; i < count && r == 0; i++)
		r = account_read(json_array_get(accounts, i), prefix,
		    i > 0 ? page->accounts[i - 1].name : after, &page->accounts[i], err);
	if (r == 0 && count == 0 && !page->last)
		r = leased_err_set(err, LEASED_EPROTO, "the plugin's inventory does not end");
	if (r != 0) {
		lease_reconcile_page_free(page);
		return (r);
	}
	if (page->last) /* '.' follows '-': behind all names of this tag */
		(void)snprintf(page->until, sizeof(page->until), "l-%s.", page->tag);
	else
		memcpy(page->until, page->accounts[count - 1].name, sizeof(page->until));
	*ret_page = page;
	return (0);
}

/* The first page begins behind whatever has a tag that sorts before this one: other leases. */
void
lease_reconcile_page_rewind(struct reconcile_page *page, const char *after)
{
	page->walked = false;
	page->high = 0;
	page->classified = page->missing_count = 0;
	page->missing_left_out = 0;
	if (after[0] != '\0')
		(void)snprintf(page->cursor, sizeof(page->cursor), "%s", after);
	else
		(void)snprintf(page->cursor, sizeof(page->cursor), "l-%s-", page->tag);
	for (size_t i = 0; i < page->count; i++) {
		page->accounts[i].found = false;
		page->accounts[i].what = RECONCILE_KNOWN;
	}
}

void
lease_reconcile_page_free(struct reconcile_page *page)
{
	if (page == NULL)
		return;
	free(page->missing);
	free(page);
}

/* ---- accounts that a lease has, and leases without ---- */

static int
compare_name(const void *name, const void *account)
{
	return (strcmp(name, ((const struct reconcile_account *)account)->name));
}

/* An account that was disarmed before the backend was asked, and could log in then. */
static int
rearmed_look(struct reconcile_page *page, struct store_db *db, const struct store_account *row,
    struct reconcile_account *account, struct leased_err *err)
{
	struct store_lease *lease = NULL;
	struct lease_data data;
	int r = store_lease_get(db, row->id, &lease, err);

	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT)
		return (0);
	if (r == 0 && lease->state == STORE_LEASE_DISARMED &&
	    lease_data_decode(lease->data, &data, NULL) == 0 &&
	    data.disarmed_wall_ms < page->asked_wall_ms) {
		account->what = RECONCILE_REARMED;
		account->row = row->id;
	}
	store_lease_free(lease);
	return (r);
}

static int
missing_add(struct reconcile_page *page, int64_t row, const char *account, const char *server,
    struct leased_err *err)
{
	struct reconcile_missing *missing;

	if (page->missing == NULL &&
	    (page->missing = calloc(RECONCILE_MISSING_MAX, sizeof(*missing))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (page->missing_count == RECONCILE_MISSING_MAX) {
		page->missing_left_out++;
		return (0);
	}
	missing = &page->missing[page->missing_count++];
	missing->row = row;
	lease_text_copy(missing->account, sizeof(missing->account), account);
	lease_text_copy(missing->server, sizeof(missing->server), server);
	return (0);
}

/* A lease that lived before the backend was asked, and still does. One that is made anew may be
 * younger: to do so to an account that is there does no harm. */
static int
missing_look(struct reconcile_page *page, struct store_db *db, const struct store_account *row,
    struct leased_err *err)
{
	struct store_lease *lease = NULL;
	struct lease_data data;
	int r = store_lease_get(db, row->id, &lease, err);

	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT)
		return (0);
	if (r == 0 && lease->state == STORE_LEASE_LIVE && !lease->revoke &&
	    lease->next_at_ms > page->asked_ms &&
	    lease_data_decode(lease->data, &data, NULL) == 0 &&
	    data.issued_ms < page->asked_ms - (page->remakes ? 0 : MINT_MS))
		r = missing_add(page, row->id, lease->account, data.server, err);
	store_lease_free(lease);
	return (r);
}

static int
row_look(struct reconcile_page *page, struct store_db *db, const struct store_account *row,
    struct leased_err *err)
{
	struct reconcile_account *account = bsearch(
	    row->account, page->accounts, page->count, sizeof(page->accounts[0]), compare_name);

	bool lives =
	    row->connection == page->connection && row->state == STORE_LEASE_LIVE && !row->revoke;

	if (account != NULL)
		account->found = true;
	if (lives && (account == NULL || (account->partial && page->remakes)))
		return (missing_look(page, db, row, err));
	if (account == NULL)
		return (0);
	if (row->state == STORE_LEASE_DISARMED && account->armed)
		return (rearmed_look(page, db, row, account, err));
	return (0);
}

/* What is behind this account comes with the next page. */
static void
page_cut(struct reconcile_page *page)
{
	memcpy(page->until, page->cursor, sizeof(page->until));
	page->last = false;
	while (page->count > 0 && strcmp(page->accounts[page->count - 1].name, page->until) > 0)
		page->count--;
}

/* All rows of the page's range, whatever their connection: several may lead to one backend. */
static int
rows_walk(struct reconcile_page *page, struct store_db *db, struct leased_err *err)
{
	struct store_account *rows = calloc(STORE_ACCOUNTS_PAGE, sizeof(*rows));
	size_t count = STORE_ACCOUNTS_PAGE;
	bool is_full = false;
	int r = 0;

	if (rows == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	while (r == 0 && count == STORE_ACCOUNTS_PAGE && !is_full) {
		r = store_account_page(db, page->cursor, page->until, rows, &count, err);
		for (size_t i = 0; i < count && r == 0 && !is_full; i++) {
			r = row_look(page, db, &rows[i], err);
			memcpy(page->cursor, rows[i].account, sizeof(page->cursor));
			is_full = page->remakes && page->missing_count == RECONCILE_MISSING_MAX;
		}
		if (r == 0 && is_full)
			page_cut(page);
		else if (r == 0 && count == STORE_ACCOUNTS_PAGE && store_read_is_long(db))
			r = STORE_READ_AGAIN;
	}
	free(rows);
	page->walked = r == 0;
	return (r);
}

/* ---- accounts without ---- */

/* Its tombstone: of before the question, or it went just then. */
static int
tombstone_look(struct reconcile_page *page, struct store_db *db, struct reconcile_account *account,
    struct leased_err *err)
{
	struct store_tombstone *tombstone = NULL;
	int r = store_tombstone_get_account(db, account->name, &tombstone, err);

	if (r == 0) {
		account->row = tombstone->id;
		account->what =
		    tombstone->ended_ms < page->asked_ms ? RECONCILE_ENDED : RECONCILE_KNOWN;
	}
	store_tombstone_free(tombstone);
	return (r);
}

/* Did the lease of this number have another account? One that cannot be read says nothing. */
static int
number_is_anothers(struct store_db *db, int64_t sequence, const char *account, bool *ret_anothers,
    struct leased_err *err)
{
	struct store_tombstone *tombstone = NULL;
	int r = store_tombstone_get(db, sequence, &tombstone, err);

	*ret_anothers = r == 0 && strcmp(tombstone->account, account) != 0;
	store_tombstone_free(tombstone);
	return (r == LEASED_ENOENT || r == LEASED_ECORRUPT ? 0 : r);
}

/*
 * A name holds the number of its lease, unless a template made it: where the number was given out
 * and nothing is left of the lease, it has ended. What is left with another account leaves it open:
 * the number was given out twice then, by a copy of this store or before it was put back, and that
 * one's lease may live. A row that has the account after all was hidden by its index; one in
 * quarantine may have had it.
 */
static int
sequence_look(struct reconcile_page *page, struct store_db *db, struct reconcile_account *account,
    struct leased_err *err)
{
	struct store_lease *lease = NULL;
	bool anothers = false;
	int64_t sequence;
	int r;

	account->what = RECONCILE_UNKNOWN;
	if (!lease_name_sequence(account->name, page->tag, &sequence) || sequence > page->high)
		return (0);
	r = store_lease_get(db, sequence, &lease, err);
	if (r == 0 && strcmp(lease->account, account->name) == 0)
		account->what = RECONCILE_KNOWN;
	else if (r == LEASED_ECORRUPT)
		account->what = RECONCILE_DAMAGED;
	store_lease_free(lease);
	if (r != LEASED_ENOENT || page->by_template)
		return (r == LEASED_ENOENT || r == LEASED_ECORRUPT ? 0 : r);
	r = number_is_anothers(db, sequence, account->name, &anothers, err);
	if (r == 0 && !anothers) {
		account->what = RECONCILE_ENDED;
		account->row = sequence;
	}
	return (r);
}

/* In quarantine. If its access was ended before the backend was asked, it can log in again. */
static int
damaged_look(struct reconcile_page *page, struct store_db *db, struct reconcile_account *account,
    struct leased_err *err)
{
	struct store_damaged damaged = {0};
	int r;

	account->what = RECONCILE_DAMAGED;
	if ((r = store_damaged_find(db, account->name, &damaged, err)) != 0)
		return (r == LEASED_ENOENT ? 0 : r); /* not moved there yet */
	if (account->armed && damaged.disarmed &&
	    damaged.next_at_ms - LEASE_QUARANTINE_RETRY_MS < page->asked_ms) {
		account->what = RECONCILE_REARMED;
		account->row = damaged.id;
	}
	store_damaged_clear(&damaged);
	return (0);
}

static int
orphan_look(struct reconcile_page *page, struct store_db *db, struct reconcile_account *account,
    struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	struct store_lease *lease = NULL;
	int r = store_lease_get_account(db, account->name, &lease, &why);

	store_lease_free(lease);
	if (r == 0) {
		account->what = RECONCILE_KNOWN;
		return (0);
	}
	if (r == LEASED_ECORRUPT)
		r = damaged_look(page, db, account, &why);
	else if (r == LEASED_ENOENT &&
		 ((r = tombstone_look(page, db, account, &why)) == LEASED_ENOENT ||
		     r == LEASED_ECORRUPT))
		r = sequence_look(page, db, account, &why);
	if (r != 0)
		*err = why;
	return (r);
}

static int
page_begin(struct reconcile_page *page, struct store_db *db, struct leased_err *err)
{
	char *text = NULL;
	int r;

	page->damaged_met = store_damaged_met(db);
	if ((r = store_lease_high(db, &page->high, err)) != 0)
		return (r);
	if (page->high > page->high_most)
		page->high = page->high_most;
	r = store_meta_get(db, LEASE_META_TEMPLATES, &text, err);
	page->by_template = r != LEASED_ENOENT; /* a damaged note says the same */
	free(text);
	return (r == LEASED_ENOENT || r == LEASED_ECORRUPT ? 0 : r);
}

int
lease_reconcile_page_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct reconcile_page *page = (struct reconcile_page *)read;
	int r;

	if (page->high == 0 && (r = page_begin(page, db, err)) != 0)
		return (r);
	if (!page->walked && (r = rows_walk(page, db, err)) != 0)
		return (r);
	for (; page->classified < page->count; page->classified++) {
		if (page->accounts[page->classified].found)
			continue;
		r = orphan_look(page, db, &page->accounts[page->classified], err);
		if (r != 0)
			return (r);
		if (store_read_is_long(db) && page->classified + 1 < page->count) {
			page->classified++;
			return (STORE_READ_AGAIN);
		}
	}
	/* A row that turned out to be damaged may have had one of these: it names it in quarantine.
	 */
	page->damaged = store_damaged_met(db) != page->damaged_met;
	return (0);
}
