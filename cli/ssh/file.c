/*
 * Files and programs for `lease ssh`: reading whole, replacing by rename, a lock, and one way to
 * run ssh-keygen, ssh and sshd. It knows nothing of what they hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"

extern char **environ;

int
file_read(const char *path, char **ret_text, size_t *ret_len, struct leased_err *err)
{
	FILE *file = fopen(path, "re");
	char *text = NULL, *grown;
	size_t len = 0, size = 0, got = 1;
	int r = 0;

	if (file == NULL)
		return (leased_err_set(err, errno == ENOENT ? LEASED_ENOENT : LEASED_EIO, "%s: %s",
		    path, strerror(errno)));
	while (got > 0) {
		if (len + 1 >= size) {
			size = size == 0 ? 8192 : size * 2;
			if (size > FILE_SIZE_MAX) {
				r = leased_err_set(err, LEASED_ETOOBIG, "%s is too big", path);
				goto out;
			}
			if ((grown = realloc(text, size)) == NULL) {
				r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
				goto out;
			}
			text = grown;
		}
		got = fread(text + len, 1, size - len - 1, file);
		len += got;
	}
	if (ferror(file)) {
		r = leased_err_set(err, LEASED_EIO, "%s: %s", path, strerror(errno));
		goto out;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	text = NULL;
out:
	free(text);
	(void)fclose(file);
	return (r);
}

static int
write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t wrote;

	while (len > 0) {
		if ((wrote = write(fd, at, len)) < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return (-1);
		at += wrote;
		len -= (size_t)wrote;
	}
	return (0);
}

/* A rename is durable when its directory is. */
static int
directory_sync(const char *path)
{
	char *copy = strdup(path);
	int fd, r;

	if (copy == NULL)
		return (-1);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd < 0)
		return (-1);
	r = fsync(fd);
	(void)close(fd);
	return (r);
}

int
file_replace(const char *path, const void *bytes, size_t len, mode_t mode, file_check_fn check,
    struct leased_err *err)
{
	char *beside = NULL;
	int fd = -1, r = 0;

	if (asprintf(&beside, "%s.XXXXXX", path) < 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((fd = mkostemp(beside, O_CLOEXEC)) < 0) {
		r = leased_err_set(
		    err, LEASED_EIO, "%s cannot be written: %s", path, strerror(errno));
		free(beside);
		return (r);
	}
	if (write_all(fd, bytes, len) != 0 || fchmod(fd, mode) != 0 || fsync(fd) != 0)
		r = leased_err_set(
		    err, LEASED_EIO, "%s cannot be written: %s", path, strerror(errno));
	if (close(fd) != 0 && r == 0)
		r = leased_err_set(
		    err, LEASED_EIO, "%s cannot be written: %s", path, strerror(errno));
	if (r == 0 && check != NULL)
		r = check(beside, err);
	if (r == 0 && (rename(beside, path) != 0 || directory_sync(path) != 0))
		r = leased_err_set(
		    err, LEASED_EIO, "%s cannot be put in place: %s", path, strerror(errno));
	if (r != 0)
		(void)unlink(beside);
	free(beside);
	return (r);
}

int
file_make_directory(const char *path, struct leased_err *err)
{
	char *copy = strdup(path), *at;
	int r = 0;

	if (copy == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (at = copy + 1; r == 0; at++) {
		if (*at != '/' && *at != '\0')
			continue;
		char kept = *at;

		*at = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST)
			r = leased_err_set(err, LEASED_EIO, "%s: %s", copy, strerror(errno));
		*at = kept;
		if (kept == '\0')
			break;
	}
	free(copy);
	return (r);
}

int
file_lock(const char *path, int *ret_fd, struct leased_err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), r = -1;

	while (fd >= 0 && (r = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
		;
	if (r == 0) {
		*ret_fd = fd;
		return (0);
	}
	(void)leased_err_set(err, LEASED_EIO, "%s cannot be locked: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return (LEASED_EIO);
}

/* What comes through fd until its end; what does not fit is read and forgotten. */
static void
output_read(int fd, char *ret_output, size_t size)
{
	char scrap[4096];
	size_t len = 0;
	ssize_t got;

	for (;;) {
		if (len + 1 < size)
			got = read(fd, ret_output + len, size - len - 1);
		else
			got = read(fd, scrap, sizeof(scrap));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (len + 1 < size)
			len += (size_t)got;
	}
	ret_output[len] = '\0';
	while (len > 0 && ret_output[len - 1] == '\n')
		ret_output[--len] = '\0';
}

int
file_run(char *const *argv, char *ret_output, size_t size, struct leased_err *err)
{
	posix_spawn_file_actions_t actions;
	int ends[2], status = 0, error;
	pid_t child;

	ret_output[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) != 0)
		return (leased_err_set(err, LEASED_EIO, "%s: %s", argv[0], strerror(errno)));
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	error = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(ends[1]);
	if (error == 0)
		output_read(ends[0], ret_output, size);
	(void)close(ends[0]);
	if (error != 0)
		return (leased_err_set(err, error == ENOENT ? LEASED_ENOENT : LEASED_EIO,
		    "%s cannot be run: %s", argv[0], strerror(error)));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return (leased_err_set(err, LEASED_EIO, "%s is lost", argv[0]));
	if (!WIFEXITED(status))
		return (leased_err_set(
		    err, LEASED_ECRASHED, "%s was ended by signal %d", argv[0], WTERMSIG(status)));
	return (WEXITSTATUS(status));
}
