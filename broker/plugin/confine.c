/*
 * The sandbox of the spawner and of what it starts, whatever program that is: files, signals,
 * system calls, memory. A plugin narrows its own further once it knows its servers (plugins/sdk).
 * Called by spawner.c and, in the child, by spawner_exec.c.
 */
#include "plugin/confine.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "plugin/guard.h"

#define WORKER_FILES_MAX 256
#define WORKER_MEMORY_MAX ((rlim_t)512 << 20)
#define WORKER_FILE_SIZE_MAX ((rlim_t)16 << 20)

int
plugin_confine_spawner(struct leased_err *err)
{
	const struct sandbox_calls calls = {.role = SANDBOX_SPAWNER};
	struct sandbox_files files = SANDBOX_FILES_INIT;
	int r;

	if (sandbox_lacking() != NULL)
		log_warn("not all of the sandbox can be had", LOG_S("reason", sandbox_lacking()));
	if ((r = sandbox_drop_capabilities(0, err)) != 0 ||
	    (r = sandbox_files_init(&files, 0, err)) != 0 ||
	    (r = sandbox_files_allow(&files, "/", SANDBOX_READ | SANDBOX_EXECUTE, err)) != 0 ||
	    (r = sandbox_files_allow_system(&files, err)) != 0 ||
	    (r = sandbox_files_enter(&files, err)) != 0 ||
	    (r = sandbox_limit_calls(&calls, err)) != 0)
		goto out;
out:
	sandbox_files_clear(&files);
	return (r);
}

/* The program that loads the libraries of an executable, which the kernel executes with it. False:
 * it has none, or is not of this machine's kind. */
static bool
find_loader(int fd, char *ret_path, size_t size)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_phentsize != sizeof(part))
		return (false);
	for (unsigned i = 0; i < head.e_phnum; i++) {
		off_t at = (off_t)(head.e_phoff + i * sizeof(part));

		if (pread(fd, &part, sizeof(part), at) != (ssize_t)sizeof(part))
			return (false);
		if (part.p_type != PT_INTERP)
			continue;
		if (part.p_filesz == 0 || part.p_filesz > size ||
		    pread(fd, ret_path, part.p_filesz, (off_t)part.p_offset) !=
			(ssize_t)part.p_filesz)
			return (false);
		return (ret_path[part.p_filesz - 1] == '\0');
	}
	return (false);
}

/* A program executes itself and its loader. An interpreter starts what it finds, and so does a
 * plugin whose catalog row says so. */
static int
allow_programs(struct sandbox_files *files, const struct spawner_program *program, int program_fd,
    bool is_script, struct leased_err *err)
{
	static const char *const paths[] = {
	    "/usr", "/bin", "/sbin", "/opt", "/etc/alternatives", "/etc/python3", "/proc"};
	char loader[256];
	int r;

	r = sandbox_files_allow_fd(files, program_fd, SANDBOX_READ | SANDBOX_EXECUTE, err);
	if (r == 0 && !is_script && find_loader(program_fd, loader, sizeof(loader)))
		r = sandbox_files_allow(files, loader, SANDBOX_EXECUTE, err);
	if (!is_script && !program->starts_programs)
		return (r);
	if (r == 0 && is_script) /* its descriptor's number is another's by now */
		r = sandbox_files_allow(files, program->dir, SANDBOX_READ, err);
	for (size_t i = 0; r == 0 && i < sizeof(paths) / sizeof(paths[0]); i++)
		r = sandbox_files_allow(files, paths[i], SANDBOX_READ | SANDBOX_EXECUTE, err);
	return (r);
}

/* What the example plugin, which only test builds start, takes for its backend. */
static int
allow_directory(struct sandbox_files *files, int fd, struct leased_err *err)
{
#ifdef LEASED_FAILPOINTS
	return (
	    sandbox_files_allow_fd(files, fd, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CHANGE, err));
#else
	(void)files;
	(void)fd;
	(void)err;
	return (0);
#endif
}

/* To execute what is named, too: only what nobody but its owner, root or us, can change. */
static unsigned
access_to_named(const struct spawner_program *program, int fd, const char *path)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (program->starts_programs && plugin_spawner_check_owner(fd, path, false, &err) == 0)
		return (SANDBOX_READ | SANDBOX_EXECUTE);
	return (SANDBOX_READ);
}

/* What the connection's configuration names: files, no directory, and nothing of leased's own. */
static int
allow_named(
    struct sandbox_files *files, const struct spawner_program *program, struct leased_err *err)
{
	struct stat status = {0};
	const json_t *name;
	const char *path;
	size_t i;
	int fd, r = 0;

	json_array_foreach(program->files, i, name)
	{
		if (r != 0 || (path = json_string_value(name)) == NULL ||
		    (fd = open(path, O_PATH | O_CLOEXEC)) < 0)
			continue;
		/* What was opened is what is compared and what is allowed, whatever its name leads
		 * to by then. */
		if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
			r = plugin_guard_check(program->guarded, fd, &status, path, err);
			if (r == 0)
				r = sandbox_files_allow_fd(
				    files, fd, access_to_named(program, fd, path), err);
		} else if (S_ISDIR(status.st_mode) && strcmp(program->name, "example") == 0) {
			r = allow_directory(files, fd, err);
		}
		(void)close(fd);
	}
	return (r);
}

static int
limit_resources(struct leased_err *err)
{
	static const struct {
		__rlimit_resource_t resource;
		rlim_t limit;
	} rows[] = {
	    {RLIMIT_NOFILE, WORKER_FILES_MAX},
	    {RLIMIT_CORE, 0},
	    {RLIMIT_FSIZE, WORKER_FILE_SIZE_MAX},
#ifndef LEASED_SANITIZED
	    {RLIMIT_DATA, WORKER_MEMORY_MAX},
#endif
	};
	struct rlimit limit;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (getrlimit(rows[i].resource, &limit) == 0 && limit.rlim_max > rows[i].limit)
			limit.rlim_max = rows[i].limit;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(rows[i].resource, &limit) != 0)
			return (leased_err_set(err, LEASED_EBUG,
			    "cannot limit what a worker takes: %s", strerror(errno)));
	}
	return (0);
}

int
plugin_confine_worker(
    const struct spawner_program *program, int program_fd, bool is_script, struct leased_err *err)
{
	bool starts_others = is_script || program->starts_programs;
	const struct sandbox_calls calls = {
	    .role = starts_others ? SANDBOX_SCRIPT : SANDBOX_PROGRAM,
	    .program_fd = program_fd,
	    .spawner = program->spawner,
	    .daemon = program->daemon};
	struct sandbox_files files = SANDBOX_FILES_INIT;
	int r;

	if ((r = limit_resources(err)) != 0 ||
	    (r = sandbox_files_init(&files, SANDBOX_ALONE, err)) != 0 ||
	    (r = sandbox_files_allow_system(&files, err)) != 0 ||
	    (r = allow_programs(&files, program, program_fd, is_script, err)) != 0 ||
	    (r = allow_named(&files, program, err)) != 0 ||
	    (r = sandbox_files_enter(&files, err)) != 0 ||
	    (r = sandbox_limit_calls(&calls, err)) != 0)
		goto out;
out:
	sandbox_files_clear(&files);
	return (r);
}
