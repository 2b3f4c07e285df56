/*
 * The published list of tokens that ended before their time, for relying parties that verify by
 * themselves: read from the store and written by its reader, at most once a second however often it
 * is asked for and by whom, and emptied of what is over. Who writes it: engines_identity_ended(),
 * in the transaction that ends a lease.
 */
#include <stdlib.h>
#include <string.h>

#include "base/etag.h"
#include "base/jenc.h"
#include "base/log.h"
#include "engine/jwt.h"

#define PAGE 256
#define FRESH_MS 1000
#define LEEWAY_S 300 /* relying parties take a token some time behind its exp */
#define PURGE_MS 600000
#define PURGE_MAX 256

struct denied_waiter {
	struct denied_waiter *next;
	identity_page_done done;
	void *arg;
};

/* As it is sent. */
struct denied_text {
	struct jenc json;
	char etag[ETAG_SIZE];
};

struct jwt_denied {
	struct denied_text text;   /* as it was last read; empty before */
	int64_t read_ms, purge_ms; /* lease time: of that reading; of the next purge */
	bool reading;
	struct denied_waiter *waiters;
};

struct denied_read {
	struct store_read read; /* first */
	struct engine_jwt *jwt;
	char after[ENGINE_DOC_NAME_SIZE];
	int64_t now_s;
	json_t *list; /* the reader's */
	struct denied_text text;
	struct over {
		int64_t id, version;
	} over[PURGE_MAX];
	size_t over_count;
};

struct denied_delete {
	struct engine_change change; /* first */
};

/* ---- reading, on the reader thread ---- */

static int
take(struct denied_read *denied, const struct store_doc *doc)
{
	json_int_t exp = json_integer_value(json_object_get(doc->data, "exp"));
	const char *slash = strchr(doc->name, '/');

	(void)strlcpy(denied->after, doc->name, sizeof(denied->after));
	if (exp + LEEWAY_S < denied->now_s) {
		if (denied->over_count < PURGE_MAX)
			denied->over[denied->over_count++] = (struct over){doc->id, doc->version};
		return (0);
	}
	return (json_array_append_new(denied->list,
	    json_pack("{s:s,s:I}", "jti", slash != NULL ? slash + 1 : doc->name, "exp", exp)));
}

/* Here and not on the loop: it may be of many thousands, and is asked for without a token. */
static int
write_text(struct denied_read *denied, struct leased_err *err)
{
	struct jenc *json = &denied->text.json;
	json_t *page = json_pack("{s:o}", "denied", denied->list);
	int r = page != NULL ? 0 : LEASED_ENOMEM;

	denied->list = NULL;
	jenc_json(json, page);
	jenc_bytes(json, "\n", 1);
	json_decref(page);
	if (r == 0 && (r = jenc_check(json, err)) == 0)
		r = etag_of(json->bytes, json->len, denied->text.etag);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
denied_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct denied_read *denied = (struct denied_read *)read;
	struct store_doc **docs;
	size_t count;
	int r;

	if (denied->list == NULL && (denied->list = json_array()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	do {
		docs = NULL;
		count = 0;
		r = store_doc_list(db, "denied", "",
		    denied->after[0] != '\0' ? denied->after : NULL, PAGE, &docs, &count, err);
		for (size_t i = 0; i < count; i++) {
			if (r == 0 && take(denied, docs[i]) != 0)
				r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			store_doc_free(docs[i]);
		}
		free(docs);
		if (r == 0 && count == PAGE && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	} while (r == 0 && count == PAGE);
	return (r == 0 ? write_text(denied, err) : r);
}

/* ---- what is over ---- */

static void
on_deleted(void *arg, int code, const struct leased_err *err)
{
	if (code != 0 && code != LEASED_ENOENT && code != LEASED_ECONFLICT)
		log_warn("an entry of the list of ended tokens that is over could not be deleted",
		    LOG_ERR(err));
	free(arg);
}

static void
purge(struct engine_jwt *jwt, const struct denied_read *denied)
{
	struct denied_delete *gone;

	for (size_t i = 0; i < denied->over_count; i++) {
		if ((gone = calloc(1, sizeof(*gone))) == NULL)
			return; /* the next reading finds it again */
		gone->change.deletes[0].id = denied->over[i].id;
		gone->change.deletes[0].version = denied->over[i].version;
		gone->change.done = on_deleted;
		gone->change.arg = gone;
		engine_change_submit(jwt->engines, &gone->change);
	}
}

/* ---- telling ---- */

static void
tell(struct engine_jwt *jwt, int code, const struct leased_err *err, identity_page_done done,
    void *arg)
{
	struct identity_page page = {.code = code};

	if (err != NULL)
		page.err = *err;
	if (code == 0) {
		page.text = (const char *)jwt->denied->text.json.bytes;
		page.text_len = jwt->denied->text.json.len;
		page.etag = jwt->denied->text.etag;
	}
	done(arg, &page);
}

static void
denied_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct denied_read *denied = (struct denied_read *)read;
	struct engine_jwt *jwt = engine_jwt_from(denied->jwt);
	struct engines *engines = jwt->engines;
	struct denied_waiter *waiter = jwt->denied->waiters, *next;
	struct leased_err own = *err;

	jwt->denied->reading = false;
	jwt->denied->waiters = NULL;
	if (result == 0) {
		jenc_clear(&jwt->denied->text.json);
		jwt->denied->text = denied->text;
		memset(&denied->text, 0, sizeof(denied->text));
		if (!engines->stopping)
			purge(jwt, denied);
	}
	jenc_clear(&denied->text.json);
	json_decref(denied->list);
	free(denied);
	for (; waiter != NULL; waiter = next) {
		next = waiter->next;
		tell(jwt, result, &own, waiter->done, waiter->arg);
		free(waiter);
	}
	engines_release(engines);
}

static int
read_begin(struct engine_jwt *jwt)
{
	struct denied_read *denied = calloc(1, sizeof(*denied));

	if (denied == NULL)
		return (LEASED_ENOMEM);
	denied->jwt = jwt;
	denied->now_s = wclock_wall_ms(jwt->engines->config.clock) / 1000;
	denied->read.run = denied_run;
	denied->read.done = denied_done;
	jwt->denied->reading = true;
	jwt->denied->read_ms = leases_now_ms(jwt->engines->leases);
	engines_hold(jwt->engines);
	store_submit_read(jwt->engines->config.store, &denied->read);
	return (0);
}

static struct jwt_denied *
denied_get(struct engine_jwt *jwt)
{
	if (jwt->denied == NULL)
		jwt->denied = calloc(1, sizeof(*jwt->denied));
	return (jwt->denied);
}

void
engines_identity_denied(struct engines *engines, identity_page_done done, void *arg)
{
	struct engine_jwt *jwt = engines->jwt;
	struct jwt_denied *denied = denied_get(jwt);
	struct denied_waiter *waiter;
	struct leased_err err = LEASED_ERR_INIT;

	if (denied != NULL && denied->text.json.len > 0 &&
	    leases_now_ms(engines->leases) - denied->read_ms < FRESH_MS && !denied->reading) {
		tell(jwt, 0, NULL, done, arg);
		return;
	}
	if (denied == NULL || engines->stopping || (waiter = calloc(1, sizeof(*waiter))) == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		done(arg, &(struct identity_page){.code = err.code, .err = err});
		return;
	}
	waiter->done = done;
	waiter->arg = arg;
	waiter->next = denied->waiters;
	denied->waiters = waiter;
	if (!denied->reading && read_begin(jwt) != 0) {
		denied->waiters = waiter->next;
		free(waiter);
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		done(arg, &(struct identity_page){.code = err.code, .err = err});
	}
}

void
engine_jwt_denied_purge(struct engine_jwt *jwt)
{
	struct jwt_denied *denied = denied_get(jwt);
	int64_t now_ms = leases_now_ms(jwt->engines->leases);

	if (denied == NULL || denied->reading || now_ms < denied->purge_ms)
		return;
	denied->purge_ms = now_ms + PURGE_MS;
	(void)read_begin(jwt); /* else the next one */
}

void
engine_jwt_denied_free(struct engine_jwt *jwt)
{
	if (jwt->denied != NULL)
		jenc_clear(&jwt->denied->text.json);
	free(jwt->denied);
	jwt->denied = NULL;
}
