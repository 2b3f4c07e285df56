/*
 * Judges the place of an audit by looking, for `leased check`: what would keep leased from starting
 * with it, and what would make it refuse requests. Opens and changes nothing; file.c does.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "audit/audit.h"

/* Root cannot judge what is another user's, and opens everything. */
static int
check_there(const char *path, const struct stat *status, struct leased_err *err)
{
	if (!S_ISREG(status->st_mode))
		return (leased_err_set(
		    err, LEASED_EINVAL, "the audit file %.256s is no regular file", path));
	if ((status->st_mode & 077) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the audit file %.256s is open to others: chmod 0600 it", path));
	if (status->st_nlink > 1)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the audit file %.256s has a second name", path));
	if (access(path, R_OK | W_OK) != 0)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "the audit file %.256s: %s", path, strerror(errno)));
	return (0);
}

int
audit_check_path(const char *path, struct leased_err *err)
{
	char copy[PATH_MAX];
	const char *dir;
	struct stat status;
	struct statvfs disk;
	int r;

	if (lstat(path, &status) == 0) {
		if ((r = check_there(path, &status, err)) != 0)
			return (r);
	} else if (errno != ENOENT && errno != EACCES) {
		return (leased_err_set(
		    err, LEASED_EINVAL, "the audit file %.256s: %s", path, strerror(errno)));
	}
	if (strlcpy(copy, path, sizeof(copy)) >= sizeof(copy))
		return (leased_err_set(err, LEASED_EINVAL, "the path of the audit is too long"));
	dir = dirname(copy);
	if (access(dir, W_OK | X_OK) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "the audit's directory %.256s: %s",
		    dir, strerror(errno)));
	if (statvfs(dir, &disk) == 0 && disk.f_blocks > 0 && disk.f_bavail == 0)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "the disk of the audit's directory %.256s is full", dir));
	return (0);
}
