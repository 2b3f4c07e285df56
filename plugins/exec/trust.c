/*
 * Who could put another program in the place of the configured one: whoever may write to a folder
 * on the way to it, symbolic links included. Called by config.c, before each run as well.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec.h"

#define LINKS_MAX 16 /* one behind another */

static int check_way(const char *path, unsigned links, struct leased_err *err);

static bool
is_ours(const struct stat *status)
{
	return (status->st_uid == 0 || status->st_uid == geteuid());
}

/* In a sticky folder (/tmp) nobody removes what root or leased owns, which the next one down is. */
static int
check_folder(const char *path, const struct stat *status, struct leased_err *err)
{
	if (is_ours(status) &&
	    ((status->st_mode & (S_IWGRP | S_IWOTH)) == 0 || (status->st_mode & S_ISVTX) != 0))
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "program: whoever may write to the folder %s can put another one in its place: run "
	    "chown root and chmod go-w on it, or keep the program elsewhere",
	    path));
}

/* Where a link leads, whose own folder has been looked at. */
static int
check_link(const char *path, const struct stat *status, unsigned links, struct leased_err *err)
{
	char target[PATH_MAX], whole[PATH_MAX * 2];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	int folder_len = (int)(strrchr(path, '/') - path);

	if (len < 0)
		return (
		    leased_err_set(err, LEASED_EINVAL, "program: %s: %s", path, strerror(errno)));
	if (!is_ours(status))
		return (leased_err_set(err, LEASED_EINVAL,
		    "program: the link %s is somebody else's, who can lead it elsewhere: run "
		    "chown -h root on it",
		    path));
	target[len] = '\0';
	if (links == 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "program: too many links lead on from %s", path));
	if (target[0] == '/')
		return (check_way(target, links - 1, err));
	(void)snprintf(whole, sizeof(whole), "%.*s/%s", folder_len, path, target);
	return (check_way(whole, links - 1, err));
}

/* Everything on the way to an absolute path, itself if it is a folder or a link. */
static int
check_way(const char *path, unsigned links, struct leased_err *err)
{
	char part[PATH_MAX];
	struct stat status;
	size_t len = 0;
	int r = 0;

	if (strlen(path) >= sizeof(part))
		return (leased_err_set(err, LEASED_EINVAL, "program: its path is too long"));
	while (r == 0 && len < strlen(path)) {
		len += strspn(path + len, "/");
		len += strcspn(path + len, "/");
		memcpy(part, path, len);
		part[len] = '\0';
		if (lstat(part, &status) != 0)
			r = leased_err_set(
			    err, LEASED_EINVAL, "program: %s: %s", part, strerror(errno));
		else if (S_ISLNK(status.st_mode))
			r = check_link(part, &status, links, err);
		else if (S_ISDIR(status.st_mode))
			r = check_folder(part, &status, err);
	}
	return (r);
}

int
exec_trust_check(const char *path, struct leased_err *err)
{
	struct stat status;
	int r;

	if (stat("/", &status) != 0)
		return (leased_err_set(err, LEASED_EINVAL, "program: /: %s", strerror(errno)));
	if ((r = check_folder("/", &status, err)) != 0)
		return (r);
	return (check_way(path, LINKS_MAX, err));
}
