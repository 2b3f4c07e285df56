/*
 * What the tests of the audit stand on.
 */
#include "unit/audit/fixture.h"

#include <fcntl.h>
#include <unistd.h>

int
fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_config config = {.inline_mode = true};

	assert_non_null(f);
	wclock_fake_init(&f->clock, 1700000000000000);
	f->root = seal_root_new_random();
	config.root = f->root;
	config.clock = &f->clock.clock;
	config.ids = id_source_system();
	assert_int_equal(store_open(&config, &f->store, NULL), 0);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/leased-audit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/audit.log", f->dir);
	*state = f;
	return (0);
}

int
fixture_teardown(void **state)
{
	struct fixture *f = *state;
	char other[128];

	fixture_audit_end(f);
	store_close(f->store);
	seal_root_free(f->root);
	(void)unlink(f->path);
	(void)snprintf(other, sizeof(other), "%s.1", f->path);
	(void)unlink(other);
	(void)rmdir(f->dir);
	free(f);
	return (0);
}

int
fixture_audit(struct fixture *f)
{
	struct audit_config config = {.path = f->path, .store = f->store, .clock = &f->clock.clock};
	struct leased_err err = LEASED_ERR_INIT;
	int r = audit_new(&config, &f->audit, &err);

	while (store_pump(f->store) > 0)
		audit_pump(f->audit);
	return (r);
}

void
fixture_audit_end(struct fixture *f)
{
	audit_stop(f->audit);
	while (store_pump(f->store) > 0)
		continue;
	audit_free(f->audit);
	f->audit = NULL;
}

char *
fixture_read(struct fixture *f, size_t *ret_len)
{
	char *bytes = malloc(1 << 22);
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	assert_non_null(bytes);
	assert_true(fd >= 0);
	len = read(fd, bytes, 1 << 22);
	assert_true(len >= 0);
	(void)close(fd);
	*ret_len = (size_t)len;
	return (bytes);
}

void
fixture_write(struct fixture *f, const char *bytes, size_t len)
{
	int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	(void)close(fd);
}

static void
on_fault(void *arg, const char *name, int64_t line, const char *fault)
{
	struct fixture *f = arg;
	size_t used = strlen(f->faults);

	(void)name;
	(void)snprintf(
	    f->faults + used, sizeof(f->faults) - used, "%lld: %s\n", (long long)line, fault);
}

int64_t
fixture_verify_bytes(struct fixture *f, const char *bytes, size_t len)
{
	struct audit_verifier *verifier = audit_verifier_new(store_seal(f->store), on_fault, f);
	FILE *stream =
	    len > 0 ? fmemopen((char *)(uintptr_t)bytes, len, "r") : fopen("/dev/null", "re");

	f->faults[0] = '\0';
	assert_non_null(verifier);
	assert_non_null(stream);
	assert_int_equal(audit_verify(verifier, stream, "log", NULL), 0);
	audit_verifier_end(verifier, &f->report);
	(void)fclose(stream);
	audit_verifier_free(verifier);
	return (f->report.faults);
}

int64_t
fixture_verify(struct fixture *f)
{
	size_t len = 0;
	char *bytes = fixture_read(f, &len);
	int64_t faults = fixture_verify_bytes(f, bytes, len);

	free(bytes);
	return (faults);
}

static void
on_written(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = code;
}

int
fixture_record(struct fixture *f, enum audit_what what, const char *path)
{
	struct audit_event event = {.what = what,
	    .id = "an-id",
	    .operation = "read",
	    .path = path,
	    .token = "hvs.canarycanarycanary",
	    .status = 200};
	int code = 1;

	audit_record(f->audit, &event, on_written, &code);
	return (code);
}
