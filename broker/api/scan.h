/*
 * Scans over many leases: the reader thread collects (names, rows or counts), the loop answers.
 * Between the two nobody touches the scan but the one that has it.
 */
#ifndef API_SCAN_H
#define API_SCAN_H

#include "api/api_private.h"

#define API_SCAN_PAGE 256
#define API_SCAN_KEYS_MAX 10000
#define API_SCAN_ROWS_MAX 1000

struct api_scan {
	struct store_read read; /* first */
	struct api_request *request;
	int (*collect)(struct api_scan *scan, struct store_db *db, struct leased_err *err);
	void (*finish)(struct api_scan *scan);

	int64_t mount;   /* BY_PLACE */
	char *text;      /* BY_PLACE: place; else an owner */
	char *more_text; /* a second owner */
	int64_t now_ms;
	size_t limit;

	/* How far it has come, when collect gives STORE_READ_AGAIN. */
	struct store_lease_query query; /* .. while paging */
	bool paging;
	int64_t step;
	char *place;

	json_t *keys;              /* what was found: names, .. */
	struct store_lease **rows; /* .. or rows, */
	size_t row_count, described;
	struct store_damaged *damaged; /* beside rows: those in quarantine */
	size_t damaged_count;
	int64_t counts_total;
	struct {
		int64_t mount, count;
	} * counts; /* .. or counts */
	size_t count_count;
	json_t *answer;
	bool cut;
	bool overdue; /* what is listed is overdue: the answer says how many are in all */
};

/* NULL: answered. collect runs on the reader thread, as store_read.run does; finish on the loop,
 * and ends both scan and request. */
struct api_scan *api_scan_new(struct api_request *request,
    int (*collect)(struct api_scan *scan, struct store_db *db, struct leased_err *err),
    void (*finish)(struct api_scan *scan));
void api_scan_free(struct api_scan *scan);
void api_scan_start(struct api_scan *scan);
int api_scan_nomem(struct leased_err *err);

/* Appends what query finds and wanted takes to scan->rows, as far as the limit allows. With
 * STORE_READ_AGAIN it is to be called with the same query again. */
int api_scan_rows_page_all(struct api_scan *scan, struct store_db *db,
    const struct store_lease_query *query,
    bool (*wanted)(const struct api_scan *scan, const struct store_lease *row),
    struct leased_err *err) LEASED_MUST_CHECK;
/* A finish: describes the rows, a few in each turn of the loop, and answers with them. */
void api_scan_rows_turn(struct api_scan *scan);
/* A collect: the rows that are overdue or need a person. */
int api_scan_overdue(struct api_scan *scan, struct store_db *db, struct leased_err *err);

#endif
