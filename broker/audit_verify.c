/*
 * leased audit verify: opens the keyring beside a daemon that may be running, and has audit/ look
 * at each file. Called by main.c; what it finds goes to stdout, a line each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

#include "audit/verify.h"

static void
on_fault(void *arg, const char *name, int64_t line, const char *fault)
{
	(void)arg;
	(void)printf("%s:%lld: %s\n", name, (long long)line, fault);
}

/* Where the store, its root key and the audit are. */
static int
find_place(const struct main_options *options, char *dir, char *root_key, char *audit,
    struct leased_err *err)
{
	struct config *config = NULL;
	int r;

	audit[0] = '\0';
	if (options->dev_dir != NULL) {
		(void)snprintf(dir, MAIN_PATH_MAX, "%s", options->dev_dir);
		(void)snprintf(root_key, MAIN_PATH_MAX, "%s/root.key", options->dev_dir);
		return (0);
	}
	if ((r = main_serve_load(options->config, &config, err)) != 0)
		return (r);
	(void)snprintf(dir, MAIN_PATH_MAX, "%s", config->data_dir);
	(void)snprintf(root_key, MAIN_PATH_MAX, "%s", config->seal_path);
	if (config->audit_path != NULL)
		(void)snprintf(audit, MAIN_PATH_MAX, "%s", config->audit_path);
	config_free(config);
	return (0);
}

static int
verify_file(struct audit_verifier *verifier, const char *name, struct leased_err *err)
{
	FILE *stream = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	int r;

	if (stream == NULL)
		return (leased_err_set(
		    err, LEASED_ENOENT, "cannot open %s: %s", name, strerror(errno)));
	r = audit_verify(verifier, stream, name, err);
	if (stream != stdin)
		(void)fclose(stream);
	return (r);
}

static void
say(const struct audit_report *report)
{
	if (report->torn > 0)
		(void)printf("%lld torn line%s of a crash, closed by a record\n",
		    (long long)report->torn, report->torn == 1 ? "" : "s");
	if (report->overlaps > 0)
		(void)printf("%lld file%s begin%s before the end of the one before: named twice, "
			     "or taken away after a crash\n",
		    (long long)report->overlaps, report->overlaps == 1 ? "" : "s",
		    report->overlaps == 1 ? "s" : "");
	(void)printf("%lld lines, records %lld to %lld: %lld fault%s\n", (long long)report->lines,
	    (long long)report->first_seq, (long long)report->last_seq, (long long)report->faults,
	    report->faults == 1 ? "" : "s");
}

int
main_audit_verify(const struct main_options *options)
{
	char dir[MAIN_PATH_MAX], root_key[MAIN_PATH_MAX], audit[MAIN_PATH_MAX];
	struct leased_err err = LEASED_ERR_INIT;
	struct audit_verifier *verifier = NULL;
	struct audit_report report = {0};
	struct seal_root *root = NULL;
	struct seal *seal = NULL;
	bool created;
	int r;

	if ((r = find_place(options, dir, root_key, audit, &err)) != 0 ||
	    (r = seal_root_open_file(root_key, false, &root, &created, &err)) != 0 ||
	    (r = store_keyring_read(dir, root, &seal, &err)) != 0)
		goto out;
	if ((verifier = audit_verifier_new(seal, on_fault, NULL)) == NULL) {
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if (options->file_count == 0 && audit[0] == '\0')
		r = leased_err_set(&err, LEASED_EINVAL,
		    "the configuration declares no audit: name the files, the oldest first");
	else if (options->file_count == 0)
		r = verify_file(verifier, audit, &err);
	for (int i = 0; i < options->file_count && r == 0; i++)
		r = verify_file(verifier, options->files[i], &err);
	if (r == 0) {
		audit_verifier_end(verifier, &report);
		say(&report);
	}
out:
	if (r != 0)
		(void)fprintf(stderr, "leased: %s\n", err.text);
	audit_verifier_free(verifier);
	seal_free(seal);
	seal_root_free(root);
	return (r != 0 ? 2 : report.faults > 0 ? 1 : 0);
}
