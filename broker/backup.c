/*
 * leased backup and leased restore: the words around copying a store (store/copy.c) and making one
 * of a copy (store/restore.c). They serve nothing, and a daemon may be running beside a backup.
 * Called by main.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "offline.h"

#include "base/log.h"
#include "store/offline.h"

struct progress {
	const char *doing;
	const struct config *config;
	int percent, shown;
	bool terminal;
};

/* On a terminal one line that changes, elsewhere a line each quarter. */
static void
on_progress(void *arg, int64_t done, int64_t all)
{
	struct progress *progress = arg;
	int percent = all > 0 ? (int)(done * 100 / all) : 100;
	int step = progress->terminal ? 1 : 25;

	if (percent / step <= progress->shown / step && percent != 100)
		return;
	if (progress->shown == 100)
		return;
	progress->shown = percent;
	(void)fprintf(stderr, "%sleased: %s: %d %% of %lld pages%s", progress->terminal ? "\r" : "",
	    progress->doing, percent, (long long)all,
	    progress->terminal && percent != 100 ? "" : "\n");
}

/* With the root key: does every row of the copy open? */
static int
on_copied(void *arg, const char *path, struct leased_err *err)
{
	const struct config *config = ((const struct progress *)arg)->config;
	struct store_offline_config offline = {
	    .path = path, .clock = wclock_system(), .ids = id_source_system()};
	struct seal_root *root = NULL;
	struct store *store = NULL;
	uint64_t rows = 0;
	bool created;
	int r;

	if ((r = seal_root_open_file(config->seal_path, false, &root, &created, err)) != 0)
		return (r);
	offline.root = root;
	if ((r = store_offline_open(&offline, &store, err)) == 0)
		r = store_check_opens(store, &rows, err);
	store_offline_close(store);
	seal_root_free(root);
	if (r == 0)
		(void)fprintf(stderr, "leased: the root key opens all %llu rows of the backup\n",
		    (unsigned long long)rows);
	else
		(void)leased_err_prefix(err,
		    "the backup would not be good and is taken away; an older one of that name "
		    "stays, and `leased fsck` says how bad the store is");
	return (r);
}

int
main_backup(const struct main_options *options)
{
	struct progress progress = {
	    .doing = "backup", .shown = -1, .terminal = isatty(STDERR_FILENO) == 1};
	struct store_copy_config copy = {.to = options->file,
	    .force = options->force,
	    .clock = wclock_system(),
	    .ids = id_source_system(),
	    .on_progress = on_progress,
	    .arg = &progress};
	struct leased_err err = LEASED_ERR_INIT;
	struct config *config = NULL;
	char *from = NULL;
	int r;

	if ((r = main_offline_load(options, &config, &err)) != 0)
		goto out;
	if (asprintf(&from, "%s/leased.db", config->data_dir) < 0) {
		from = NULL;
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	copy.from = from;
	progress.config = config;
	if (options->key_check)
		copy.on_copied = on_copied;
	if ((r = store_copy_backup(&copy, &err)) != 0)
		goto out;
	(void)fprintf(stderr,
	    "leased: %s holds the store as it was when the backup began. It opens with the root "
	    "key alone (%s), which is not in it: keep a copy of the key in another place\n",
	    options->file, config->seal_path);
out:
	if (r != 0)
		(void)fprintf(stderr, "leased: backup: %s\n", err.text);
	free(from);
	config_free(config);
	return (r == 0 ? 0 : 1);
}

static void
on_damaged(void *arg, enum store_found found, const char *text)
{
	(void)arg;
	(void)found;
	(void)fprintf(stderr, "leased: restore: damaged: %s\n", text);
}

static int
restore(const struct main_options *options, const struct config *config, struct leased_err *err)
{
	struct progress progress = {
	    .doing = "restore", .shown = -1, .terminal = isatty(STDERR_FILENO) == 1};
	struct store_copy_config copy = {.from = options->file,
	    .to = config->data_dir,
	    .on_damaged = on_damaged,
	    .despite_damage = options->despite_damage,
	    .clock = wclock_system(),
	    .ids = id_source_system(),
	    .on_progress = on_progress,
	    .arg = &progress};
	struct seal_root *root = NULL;
	bool created;
	int r;

	if ((r = seal_root_open_file(config->seal_path, false, &root, &created, err)) != 0)
		return (r);
	r = store_copy_restore(&copy, root, err);
	if (r == LEASED_ECORRUPT)
		(void)leased_err_prefix(
		    err, "%s, with the root key %s", options->file, config->seal_path);
	seal_root_free(root);
	return (r);
}

int
main_restore(const struct main_options *options)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct config *config = NULL;
	int r;

	if ((r = main_offline_load(options, &config, &err)) == 0)
		r = restore(options, config, &err);
	if (r != 0)
		(void)fprintf(stderr, "leased: restore: %s\n", err.text);
	else
		(void)fprintf(stderr,
		    "leased: the store is in %s, and is held: started on it, leased serves, and "
		    "leaves the accounts of the old leases alone until it is told by `lease "
		    "restore release --takeover` that no other leased is in charge of them\n",
		    config->data_dir);
	config_free(config);
	return (r == 0 ? 0 : 1);
}
