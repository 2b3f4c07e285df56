/*
 * Sealed JSON in a column, the checksum over a row's plain columns, and small help for both. A
 * record is a JSON array whose first element is the format's number. It knows no table's fields.
 * All typed files of store/ call it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "seal/seal.h"
#include "store/row.h"

int
store_record_seal(struct store *store, const struct seal_place *place, struct jenc *record,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err)
{
	int r;

	if ((r = jenc_end(record, err)) == 0)
		r = seal_wrap(
		    store->seal, place, record->bytes, record->len, ret_sealed, ret_len, err);
	jenc_clear(record);
	return (r);
}

int
store_record_open(struct store *store, const struct seal_place *place, sqlite3_stmt *stmt,
    int column, json_t **ret_record, struct leased_err *err)
{
	const uint8_t *sealed = sqlite3_column_blob(stmt, column);
	size_t sealed_len = (size_t)sqlite3_column_bytes(stmt, column), len = 0;
	unsigned long failures = leased_secret_alloc_failures();
	json_t *record;
	uint8_t *plain = NULL;
	int r;

	if ((r = seal_unwrap(store->seal, place, sealed, sealed_len, &plain, &len, err)) != 0)
		return (r);
	if ((record = store_record_read(plain, len)) == NULL)
		record = json_loadb((const char *)plain, len, 0, NULL);
	seal_plain_free(plain, len);
	/*
	 * What the seal vouches for is JSON that we wrote: only memory can fail here, and jansson
	 * calls that bad syntax, or leaves out characters. A good row must not be taken for a bad
	 * one.
	 */
	if (record == NULL || leased_secret_alloc_failures() != failures) {
		json_decref(record);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a record"));
	}
	if (!json_is_array(record)) {
		json_decref(record);
		return (leased_err_set(err, LEASED_ECORRUPT, "the record is no JSON array"));
	}
	*ret_record = record;
	return (0);
}

/* Bytes of one column in the checksum: its kind, its length, itself. */
static void
sum_add(struct jenc *sum, const struct store_sql_arg *column)
{
	uint8_t head[9] = {(uint8_t)column->kind};
	uint64_t number = column->kind == SQL_INT ? (uint64_t)column->number : column->len;

	for (unsigned i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(number >> (56 - 8 * i));
	jenc_bytes(sum, head, sizeof(head));
	if (column->kind != SQL_INT)
		jenc_bytes(sum, column->bytes, column->len);
}

int
store_record_sum(struct store *store, const char *table, const struct store_sql_arg *columns,
    size_t count, uint8_t ret_sum[STORE_SUM_SIZE], struct leased_err *err)
{
	struct store_sql_arg table_arg = store_sql_text(table);
	struct jenc sum = {0};
	uint8_t mac[SEAL_HMAC_SIZE];
	int r;

	sum_add(&sum, &table_arg);
	for (size_t i = 0; i < count; i++)
		sum_add(&sum, &columns[i]);
	if (sum.failed != 0)
		r = leased_err_set(err, sum.failed, "no memory to check a row");
	else if ((r = seal_hmac(store->seal, "index", sum.bytes, sum.len, mac, err)) == 0)
		memcpy(ret_sum, mac, STORE_SUM_SIZE);
	jenc_clear(&sum);
	return (r);
}

int
store_record_sum_check(struct store *store, const char *table, sqlite3_stmt *stmt, int count,
    bool *ret_good, struct leased_err *err)
{
	struct store_sql_arg columns[16];
	uint8_t sum[STORE_SUM_SIZE];
	int r;

	for (int i = 0; i < count; i++) {
		columns[i] = (struct store_sql_arg){.kind = SQL_INT};
		if (sqlite3_column_type(stmt, i) == SQLITE_INTEGER) {
			columns[i].number = sqlite3_column_int64(stmt, i);
			continue;
		}
		columns[i].kind = sqlite3_column_type(stmt, i) == SQLITE_TEXT ? SQL_TEXT : SQL_BLOB;
		columns[i].bytes = sqlite3_column_blob(stmt, i);
		columns[i].len = (size_t)sqlite3_column_bytes(stmt, i);
	}
	if ((r = store_record_sum(store, table, columns, (size_t)count, sum, err)) != 0)
		return (r);
	*ret_good = sqlite3_column_bytes(stmt, count) == STORE_SUM_SIZE &&
		    memcmp(sqlite3_column_blob(stmt, count), sum, STORE_SUM_SIZE) == 0;
	return (0);
}

bool
store_record_column_is(sqlite3_stmt *stmt, int column, const char *text)
{
	const char *other = store_sql_column_text(stmt, column);
	size_t len = strlen(text);

	return ((size_t)sqlite3_column_bytes(stmt, column) == len && memcmp(other, text, len) == 0);
}

bool
store_record_int(const json_t *record, size_t index, int64_t *ret_number)
{
	const json_t *value = json_array_get(record, index);

	if (!json_is_integer(value))
		return (false);
	*ret_number = json_integer_value(value);
	return (true);
}

/* false also when there is no memory: *ret_text stays NULL then, as the caller left it. */
bool
store_record_text(const json_t *record, size_t index, char **ret_text)
{
	const json_t *value = json_array_get(record, index);

	if (!json_is_string(value))
		return (false);
	*ret_text = strdup(json_string_value(value));
	return (*ret_text != NULL);
}

int
store_record_next_id(
    struct store_db *db, const char *table, int64_t *ret_id, struct leased_err *err)
{
	int64_t last = 0;
	int r;

	r = store_sql_number(db, "SELECT seq FROM sqlite_sequence WHERE name = ?1",
	    SQL_ARGS(store_sql_text(table)), &last, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	*ret_id = last + 1;
	return (0);
}

int
store_list_append(struct store_list *list, void *item, struct leased_err *err)
{
	size_t size = list->size == 0 ? 16 : list->size * 2;
	void **items;

	if (list->count == list->size) {
		if ((items = reallocarray(list->items, size, sizeof(*items))) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "no memory for a list"));
		list->items = items;
		list->size = size;
	}
	list->items[list->count++] = item;
	return (0);
}

void
store_list_clear(struct store_list *list, void (*item_free)(void *item))
{
	for (size_t i = 0; i < list->count; i++)
		item_free(list->items[i]);
	free(list->items);
	*list = (struct store_list){0};
}
