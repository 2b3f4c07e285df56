/*
 * The data directory: its mode, the lock that lets one daemon at a time have it, the database
 * file's mode, the reserve that is given back to a full disk, and the mark of a disk that failed.
 * It opens no database. store_open() and health.c call it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/place.h"
#include "store/offline_private.h"

#define RESERVE_SIZE ((off_t)64 * 1024 * 1024)
#define RESERVE_ROOM ((uint64_t)128 * 1024 * 1024)

static int
path_join(const char *dir, const char *name, char **ret_path, struct leased_err *err)
{
	if (asprintf(ret_path, "%s/%s", dir, name) < 0) {
		*ret_path = NULL;
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to open the store"));
	}
	return (0);
}

static int
code_of_errno(int number)
{
	if (number == ENOSPC || number == EDQUOT || number == EROFS || number == EFBIG)
		return (LEASED_ENOSPC);
	if (number == EACCES || number == EPERM)
		return (LEASED_EDENIED);
	return (LEASED_EIO);
}

/* What a person does about it, where errno alone tells. */
static const char *
advice_on_errno(int number)
{
	if (number == EROFS)
		return (": make its file system writable (mount -o remount,rw), and see in the "
			"kernel's log why it is not");
	if (number == ENOSPC || number == EDQUOT)
		return (": free some space there");
	return ("");
}

int
store_place_check(const char *dir, struct leased_err *err)
{
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return (
		    leased_err_set(err, code_of_errno(errno), "cannot make data directory %s: %s%s",
			dir, strerror(errno), advice_on_errno(errno)));
	if (stat(dir, &st) != 0)
		return (leased_err_set(err, code_of_errno(errno),
		    "cannot look at data directory %s: %s", dir, strerror(errno)));
	if (!S_ISDIR(st.st_mode))
		return (leased_err_set(
		    err, LEASED_EINVAL, "data directory %s is not a directory", dir));
	if (st.st_uid != geteuid() && geteuid() == 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "data directory %s belongs to uid %u, and root must not leave files of its "
		    "own in it: run this as that user, with runuser -u $(id -nu %u) -- leased ..",
		    dir, (unsigned)st.st_uid, (unsigned)st.st_uid));
	if (st.st_uid != geteuid())
		return (leased_err_set(err, LEASED_EDENIED,
		    "data directory %s belongs to uid %u, leased runs as uid %u: chown -R %u %s",
		    dir, (unsigned)st.st_uid, (unsigned)geteuid(), (unsigned)geteuid(), dir));
	if ((st.st_mode & 077) != 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "data directory %s is open to others (mode %04o): chmod 700 %s", dir,
		    (unsigned)(st.st_mode & 07777), dir));
	return (0);
}

/* Who holds the lock wrote its pid there; 0 when that cannot be read. */
static long
lock_holder(int fd)
{
	char text[32] = "";
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	return (len > 0 ? strtol(text, NULL, 10) : 0);
}

static int
lock_take(struct store *store, const char *dir, struct leased_err *err)
{
	char *path = NULL, pid[32];
	int fd = -1, len, r;

	if ((r = path_join(dir, "lock", &path, err)) != 0)
		return (r);
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		r = leased_err_set(err, code_of_errno(errno), "cannot open lock file %s: %s%s",
		    path, strerror(errno), advice_on_errno(errno));
		goto out;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		r = errno == EWOULDBLOCK
			? leased_err_set(err, LEASED_EEXIST,
			      "another leased (process %ld) is using %s: stop it first, or give "
			      "this one another data_dir",
			      lock_holder(fd), dir)
			: leased_err_set(
			      err, LEASED_EIO, "cannot lock %s: %s", path, strerror(errno));
		goto out;
	}
	/* Without the pid the lock holds as well: a full disk must not keep us from starting. */
	len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		log_warn("cannot write our process id into the lock file", LOG_S("path", path),
		    LOG_S("error", strerror(errno)));
	store->files.lock_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	free(path);
	return (r);
}

static int
store_is_gone(struct store *store, const char *how, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ECORRUPT,
	    "%s is %s, and a store was here (%s is its reserve): restore it from a backup. Its "
	    "accounts live on in the backends: to begin anew all the same, remove that, too",
	    store->files.database, how, store->files.reserve));
}

/* SQLite gives its other files the mode of the database: that one is made here, 0600. */
static int
database_make(struct store *store, struct leased_err *err)
{
	const char *path = store->files.database;
	struct stat st;
	int fd, r = 0;

	if (lstat(path, &st) != 0 && errno == ENOENT && access(store->files.reserve, F_OK) == 0)
		return (store_is_gone(store, "missing", err));
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return (leased_err_set(err, code_of_errno(errno), "cannot open %s: %s%s", path,
		    strerror(errno), advice_on_errno(errno)));
	store->files.is_new = false;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		r = leased_err_set(err, LEASED_EINVAL, "%s is not a regular file", path);
	else if ((st.st_mode & 077) != 0)
		r = leased_err_set(err, LEASED_EDENIED,
		    "%s can be read or written by others (mode %04o): chmod 600 %s*", path,
		    (unsigned)(st.st_mode & 07777), path);
	else if (st.st_size == 0 && access(store->files.reserve, F_OK) == 0)
		r = store_is_gone(store, "empty", err);
	else
		store->files.is_new = st.st_size == 0;
	close(fd);
	return (r);
}

int
store_files_lock(struct store *store, const char *dir, struct leased_err *err)
{
	int r;

	if ((r = store_place_check(dir, err)) != 0 || (r = lock_take(store, dir, err)) != 0)
		return (r);
	if ((store->files.dir = strdup(dir)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to open the store"));
	return (path_join(dir, "leased.db", &store->files.database, err));
}

/* What a killed `leased restore` left must not be taken for a directory without a store. */
static int
restoring_refuse(struct store *store, struct leased_err *err)
{
	struct stat st;
	char *path = NULL;
	int r;

	if ((r = path_join(store->files.dir, STORE_RESTORING, &path, err)) != 0)
		return (r);
	if (lstat(path, &st) == 0)
		r = leased_err_set(err, LEASED_EINVAL,
		    "a `leased restore` into %s was broken off: run it again, or remove %s",
		    store->files.dir, path);
	free(path);
	return (r);
}

int
store_files_open(struct store *store, const char *dir, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	int r;

	if ((r = store_files_lock(store, dir, err)) != 0 ||
	    (r = restoring_refuse(store, err)) != 0 ||
	    (r = path_join(dir, "reserve", &store->files.reserve, err)) != 0 ||
	    (r = database_make(store, err)) != 0)
		return (r);
	/* A new store gets its reserve when it is there: an empty file beside one was not new. */
	if (!store->files.is_new && store_files_reserve_make(store, &why) != 0)
		store_health_failed(store, LEASED_ENOSPC, &why);
	return (0);
}

void
store_files_close(struct store *store)
{
	free(store->files.dir);
	free(store->files.database);
	free(store->files.reserve);
	if (store->files.lock_fd >= 0)
		close(store->files.lock_fd);
}

int
store_files_reserve_make(struct store *store, struct leased_err *err)
{
	int fd, failed, r;

	if (store->files.reserve == NULL || store->files.has_reserve)
		return (0);
	if ((r = FAILPOINT_ERROR(store_reserve_make, err)) != 0)
		return (r);
	fd = open(store->files.reserve, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return (leased_err_set(err, code_of_errno(errno), "cannot make reserve %s: %s",
		    store->files.reserve, strerror(errno)));
	/* Blocks that are there already cost nothing. */
	failed = posix_fallocate(fd, 0, RESERVE_SIZE);
	if (failed != 0) {
		r = leased_err_set(err, code_of_errno(failed),
		    "cannot keep 64 MiB in reserve as %s: %s", store->files.reserve,
		    strerror(failed));
		if (ftruncate(fd, 0) != 0)
			log_warn("cannot empty the reserve", LOG_S("error", strerror(errno)));
	}
	close(fd);
	store->files.has_reserve = failed == 0;
	return (r);
}

void
store_files_reserve_release(struct store *store)
{
	if (store->files.reserve == NULL)
		return;
	store->files.has_reserve = false;
	if (unlink(store->files.reserve) != 0 && errno != ENOENT && errno != EROFS)
		log_error("cannot give the reserve back to the disk",
		    LOG_S("path", store->files.reserve), LOG_S("error", strerror(errno)));
}

bool
store_files_reserve_has_room(struct store *store)
{
	struct statvfs disk;

	if (store->files.reserve == NULL || store->files.has_reserve)
		return (true);
	return (statvfs(store->files.dir, &disk) == 0 &&
		(uint64_t)disk.f_bavail * disk.f_frsize >= RESERVE_ROOM);
}

static char *
suspect_path(struct store *store)
{
	char *path = NULL;

	if (store->files.dir == NULL || path_join(store->files.dir, "suspect", &path, NULL) != 0)
		return (NULL);
	return (path);
}

void
store_files_suspect_set(struct store *store)
{
	char *path = suspect_path(store);
	int fd;

	/* Best effort: the disk that should keep it has just failed. */
	if (path != NULL && (fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(path);
}

bool
store_files_suspect(struct store *store)
{
	char *path = suspect_path(store);
	bool there = path != NULL && access(path, F_OK) == 0;

	free(path);
	return (there);
}

void
store_files_suspect_clear(struct store *store)
{
	char *path = suspect_path(store);

	if (path != NULL)
		(void)unlink(path);
	free(path);
}
