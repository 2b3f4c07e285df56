/*
 * Fills the store of a leased that is not running with certificates that were revoked, as many
 * revocations would have: fill_revoked DATA_DIR ROOT_KEY_FILE MOUNT, serials on stdin, one a line,
 * ascending. MOUNT ("ssh/") has a CA, which has signed them; they end in 30 days.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/store.h"

#define ROWS_AN_OP 1000
#define MONTH_S (30LL * 24 * 3600)

struct fill {
	struct store_op op; /* first */
	int64_t mount;
	json_int_t ends_s;
	char kid[65];
	bool done, failed;
};

static int
put(struct store_txn *txn, const char *name, const struct fill *fill, struct leased_err *err)
{
	struct store_doc doc = {.kind = (char *)(uintptr_t) "ssh-revoked",
	    .name = (char *)(uintptr_t)name,
	    .data = json_pack("{s:I,s:s}", "exp", fill->ends_s, "ca", fill->kid)};
	int r = doc.data != NULL ? store_doc_put(txn, &doc, err)
				 : leased_err_set(err, LEASED_ENOMEM, "out of memory");

	json_decref(doc.data);
	return (r);
}

/* As the daemon does with each: the list's next version. */
static int
count_on(struct store_txn *txn, const struct fill *fill, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	char name[64];
	int r;

	(void)snprintf(name, sizeof(name), "%lld/krl", (long long)fill->mount);
	if ((r = store_doc_get(store_txn_db(txn), "ssh-krl", name, &doc, err)) == 0 &&
	    json_object_set_new(doc->data, "version",
		json_integer(json_integer_value(json_object_get(doc->data, "version")) + 1)) == 0)
		r = store_doc_put(txn, doc, err);
	store_doc_free(doc);
	return (r);
}

static int
fill_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct fill *fill = (struct fill *)op;
	char line[32], name[64];
	int r = 0;

	for (int i = 0; r == 0 && i < ROWS_AN_OP; i++) {
		if (fgets(line, sizeof(line), stdin) == NULL) {
			fill->done = true;
			return (count_on(txn, fill, err));
		}
		(void)snprintf(name, sizeof(name), "%lld/%020lld", (long long)fill->mount,
		    strtoll(line, NULL, 10));
		r = put(txn, name, fill, err);
	}
	return (r);
}

static void
fill_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct fill *fill = (struct fill *)op;

	if (result == 0)
		return;
	(void)fprintf(stderr, "fill_revoked: %s\n", err->text);
	fill->failed = true;
}

static int
fill_prepare(struct fill *fill, struct store *store, const char *path, struct leased_err *err)
{
	struct store_doc *mount = NULL, *ca = NULL;
	char name[64];
	int r;

	if ((r = store_doc_get(store_db(store), "mount", path, &mount, err)) == 0) {
		fill->mount = mount->id;
		(void)snprintf(name, sizeof(name), "%lld/ca", (long long)fill->mount);
		r = store_doc_get(store_db(store), "ssh-ca", name, &ca, err);
	}
	if (r == 0)
		(void)snprintf(fill->kid, sizeof(fill->kid), "%s",
		    json_string_value(json_object_get(
			json_array_get(json_object_get(ca->data, "keys"), 0), "kid")));
	fill->ends_s = wclock_wall_ms(wclock_system()) / 1000 + MONTH_S;
	store_doc_free(mount);
	store_doc_free(ca);
	return (r);
}

int
main(int argc, char **argv)
{
	struct store_config config = {
	    .inline_mode = true, .clock = wclock_system(), .ids = id_source_system()};
	struct fill fill = {.op = {.run = fill_run, .done = fill_done}};
	struct leased_err err = LEASED_ERR_INIT;
	struct store *store = NULL;
	bool created;

	if (argc != 4 || leased_secret_setup(&err) != 0)
		return (2);
	log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
	config.dir = argv[1];
	if (seal_root_open_file(argv[2], false, &config.root, &created, &err) != 0 ||
	    store_open(&config, &store, &err) != 0 ||
	    fill_prepare(&fill, store, argv[3], &err) != 0) {
		(void)fprintf(stderr, "fill_revoked: %s\n", err.text);
		return (1);
	}
	while (!fill.done && !fill.failed) {
		store_submit(store, &fill.op);
		(void)store_pump(store);
	}
	store_close(store);
	seal_root_free(config.root);
	return (fill.failed ? 1 : 0);
}
