/*
 * leased fsck: looks through the store while no daemon has it, and with --repair mends what can be
 * mended. What is looked at is store/'s and, for the counters of max_leases, lease/'s; here are the
 * order, the words on stdout and the exit status. Called by main.c.
 */
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "offline.h"
#include "serve.h"

#include "base/harden.h"
#include "base/log.h"
#include "base/utf8.h"
#include "lease/check.h"
#include "store/offline.h"

struct fsck {
	struct store_check check;
	struct lease_check *caps;
	bool repair;
};

int
main_offline_load(
    const struct main_options *options, struct config **ret_config, struct leased_err *err)
{
	struct config *config = NULL;
	const struct passwd *owner;
	struct stat status;
	int r;

	if ((r = main_serve_load(options->config, &config, err)) != 0)
		return (leased_err_prefix(err, "%s", options->config));
	if (stat(config->data_dir, &status) == 0 && status.st_uid != geteuid() &&
	    !(geteuid() == 0 && options->command == MAIN_BACKUP)) {
		owner = getpwuid(status.st_uid);
		r = leased_err_set(err, LEASED_EDENIED,
		    "%s belongs to user %s (uid %u): run this as that user", config->data_dir,
		    owner != NULL ? owner->pw_name : "without a name", (unsigned)status.st_uid);
		config_free(config);
		return (r);
	}
	*ret_config = config;
	return (0);
}

/* What is told may be of a damaged file: no byte of it may be more to a terminal than text. */
static void say(const char *fmt, ...) LEASED_PRINTF(1, 2);

static void
say(const char *fmt, ...)
{
	char text[2048];
	va_list args;
	int wanted;

	va_start(args, fmt);
	wanted = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	utf8_mark_cut(text, sizeof(text), wanted);
	utf8_mend_shown(text);
	(void)puts(text);
}

static void
on_found(void *arg, enum store_found found, const char *text)
{
	static const char *const words[] = {"note", "repaired", "LEFT"};

	(void)arg;
	say("%s: %s", words[found], text);
}

static int
on_lease(void *arg, const struct store_lease *lease, struct leased_err *err)
{
	struct fsck *fsck = arg;
	int r = lease_check_add(fsck->caps, lease, err);

	if (r != LEASED_ECORRUPT)
		return (r);
	say("note: lease number %lld (account %s): %s; leased ends it by its columns",
	    (long long)lease->id, lease->account, err->text);
	return (0);
}

/* ---- the counters ---- */

struct counter_op {
	struct store_op op; /* first */
	const char *counter;
	int64_t value;
	int result;
};

static int
on_counter_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct counter_op *own = (struct counter_op *)op;

	return (store_counter_set(txn, own->counter, own->value, err));
}

static void
on_counter_done(struct store_op *op, int result, const struct leased_err *err)
{
	(void)err;
	((struct counter_op *)op)->result = result;
}

static void
on_wrong(void *arg, const char *counter, int64_t was, int64_t is)
{
	struct fsck *fsck = arg;
	struct counter_op op = {.op = {.run = on_counter_run, .done = on_counter_done},
	    .counter = counter,
	    .value = is,
	    .result = LEASED_ECANCELED};

	if (fsck->repair) {
		store_submit(fsck->check.store, &op.op);
		(void)store_pump(fsck->check.store);
	}
	if (op.result == 0)
		fsck->check.repaired++;
	else
		fsck->check.left++;
	say("%s: the counter %s says %lld, the leases say %lld%s",
	    op.result == 0 ? "repaired" : "LEFT", counter, (long long)was, (long long)is,
	    op.result == 0 ? ": set right" : "");
}

/* ---- the order ---- */

static int
open_store(struct fsck *fsck, const struct config *config, struct seal_root **ret_root,
    struct leased_err *err)
{
	struct store_offline_config offline = {.dir = config->data_dir,
	    .writable = fsck->repair,
	    .clock = wclock_system(),
	    .ids = id_source_system()};
	bool created;
	int r;

	if ((r = seal_root_open_file(config->seal_path, false, ret_root, &created, err)) != 0)
		return (r);
	offline.root = *ret_root;
	return (store_offline_open(&offline, &fsck->check.store, err));
}

static int
fsck_run(struct fsck *fsck, struct leased_err *err)
{
	int r;

	fsck->check.on_found = on_found;
	fsck->check.on_lease = on_lease;
	fsck->check.arg = fsck;
	fsck->check.repair = fsck->repair;
	if ((fsck->caps = lease_check_new()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = store_check(&fsck->check, err)) != 0)
		return (r);
	return (lease_check_caps(fsck->caps, store_db(fsck->check.store), on_wrong, fsck, err));
}

static void
on_survey_line(void *arg, const char *text)
{
	(void)arg;
	say("note: %s", text);
}

/* The file is too bad to be looked through: what a person can still do with it. */
static void
survey(const struct config *config)
{
	struct leased_err err = LEASED_ERR_INIT;
	char path[MAIN_PATH_MAX + 32];
	int r;

	(void)snprintf(path, sizeof(path), "%s/leased.db", config->data_dir);
	if ((r = store_survey(path, on_survey_line, NULL, &err)) == LEASED_EINVAL)
		return;
	if (r != 0)
		(void)printf("note: %s\n", err.text);
	(void)printf(
	    "LEFT: %s is too damaged to be mended. Restore the store from a backup (leased "
	    "restore), then `lease reconcile` names accounts that it does not know; "
	    "without a backup end the accounts above at the backend\n",
	    path);
}

int
main_fsck(const struct main_options *options)
{
	struct fsck fsck = {.repair = options->repair};
	struct leased_err err = LEASED_ERR_INIT;
	struct seal_root *root = NULL;
	struct config *config = NULL;
	int r, status = MAIN_FSCK_LEFT;

	if ((r = main_offline_load(options, &config, &err)) != 0 ||
	    (r = open_store(&fsck, config, &root, &err)) != 0 || (r = fsck_run(&fsck, &err)) != 0) {
		(void)fprintf(stderr, "leased: fsck: %s\n", err.text);
		if (r == LEASED_ECORRUPT && config != NULL)
			survey(config);
		goto out;
	}
	if (fsck.check.left == 0)
		status = fsck.check.repaired > 0 ? MAIN_FSCK_REPAIRED : MAIN_FSCK_CLEAN;
	(void)printf("%s: %llu rows looked at, %llu repaired, %llu left%s\n", config->data_dir,
	    (unsigned long long)fsck.check.rows, (unsigned long long)fsck.check.repaired,
	    (unsigned long long)fsck.check.left,
	    fsck.check.left > 0 && !fsck.repair ? " (--repair mends what can be mended)" : "");
out:
	lease_check_free(fsck.caps);
	store_offline_close(fsck.check.store);
	seal_root_free(root);
	config_free(config);
	return (status);
}

int
main_offline(const struct main_options *options)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (harden_process(&err) != 0) {
		(void)fprintf(stderr, "leased: %s\n", err.text);
		return (options->command == MAIN_FSCK ? MAIN_FSCK_LEFT : 1);
	}
	switch (options->command) {
	case MAIN_FSCK:
		return (main_fsck(options));
	case MAIN_BACKUP:
		return (main_backup(options));
	case MAIN_RESTORE:
		return (main_restore(options));
	case MAIN_SERVE:
		break;
	}
	return (2);
}
