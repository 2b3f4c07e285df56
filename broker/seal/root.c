/*
 * The root key's file: 32 random bytes in base64 and a newline. Made with O_EXCL, fsynced with its
 * directory before anything is wrapped under it; refused when others could read it. It does not use
 * the key (keyring.c). main calls it at start.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "seal/seal_private.h"

/* 32 bytes: 43 characters, one '=' and the newline. */
#define ROOT_BASE64_LEN 44
#define ROOT_FILE_LEN (ROOT_BASE64_LEN + 1)

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
root_check(int fd, const char *path, struct leased_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return (leased_err_set(
		    err, LEASED_EIO, "cannot look at root key %s: %s", path, strerror(errno)));
	if (!S_ISREG(st.st_mode))
		return (leased_err_set(err, LEASED_EINVAL,
		    "root key %s is not a regular file: give the path of the key's own file",
		    path));
	if (st.st_uid != geteuid() && geteuid() == 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "root key %s belongs to uid %u, whom leased runs as: run this as that user, "
		    "with runuser -u $(id -nu %u) -- leased ..",
		    path, (unsigned)st.st_uid, (unsigned)st.st_uid));
	if (st.st_uid != geteuid())
		return (leased_err_set(err, LEASED_EDENIED,
		    "root key %s belongs to uid %u, leased runs as uid %u: chown %u %s", path,
		    (unsigned)st.st_uid, (unsigned)geteuid(), (unsigned)geteuid(), path));
	if ((st.st_mode & 077) != 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "root key %s can be read or written by others (mode %04o): chmod 600 %s, and "
		    "consider whether somebody has read it",
		    path, (unsigned)(st.st_mode & 07777), path));
	return (0);
}

static int
root_decode(const char *path, struct leased_secret *text, struct leased_secret **ret_key,
    struct leased_err *err)
{
	const char *bytes = leased_secret_reveal(text);
	/* EVP_DecodeBlock writes whole groups of three: one byte more than the key. */
	struct leased_secret *wide = leased_secret_new_empty(SEAL_KEY_SIZE + 1);
	struct leased_secret *key = NULL;
	int r = 0;

	if (wide == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the root key");
		goto out;
	}
	/* OpenSSL would take padding in the middle, and blanks around. */
	if (leased_secret_len(text) != ROOT_FILE_LEN ||
	    strspn(bytes, base64_digits) != ROOT_BASE64_LEN - 1 ||
	    strcmp(bytes + ROOT_BASE64_LEN - 1, "=\n") != 0 ||
	    EVP_DecodeBlock((uint8_t *)leased_secret_reveal_mutable(wide), (const uint8_t *)bytes,
		ROOT_BASE64_LEN) != SEAL_KEY_SIZE + 1) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "root key %s is not 32 bytes in base64 and a newline: put the right file in "
		    "place "
		    "(a new key cannot open an old store)",
		    path);
		goto out;
	}
	if ((key = leased_secret_new(leased_secret_reveal(wide), SEAL_KEY_SIZE)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the root key");
		goto out;
	}
	*ret_key = key;
out:
	leased_secret_free(wide);
	return (r);
}

static int
root_read(int fd, const char *path, struct leased_secret **ret_key, struct leased_err *err)
{
	/* One byte more than allowed, so that a longer file is noticed. */
	struct leased_secret *wide = leased_secret_new_empty(ROOT_FILE_LEN + 1), *text = NULL;
	size_t len = 0;
	ssize_t got;
	int r;

	if (wide == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory for the root key"));
	while ((got = read(
		    fd, leased_secret_reveal_mutable(wide) + len, ROOT_FILE_LEN + 1 - len)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			r = leased_err_set(
			    err, LEASED_EIO, "cannot read root key %s: %s", path, strerror(errno));
			goto out;
		}
		len += (size_t)got;
	}
	if ((text = leased_secret_new(leased_secret_reveal(wide), len)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the root key");
		goto out;
	}
	r = root_decode(path, text, ret_key, err);
out:
	leased_secret_free(text);
	leased_secret_free(wide);
	return (r);
}

static int
directory_sync(const char *path)
{
	char *copy = strdup(path);
	int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int failed = fd < 0 || fsync(fd) != 0;

	if (fd >= 0)
		close(fd);
	free(copy);
	return (failed ? -1 : 0);
}

/* Where a new key is written before it gets its name. */
static char *
root_fresh_path(const char *path)
{
	size_t size = strlen(path) + sizeof(".new");
	char *fresh = malloc(size);

	if (fresh != NULL)
		(void)snprintf(fresh, size, "%s.new", path);
	return (fresh);
}

static int
root_write(int fd, const char *path, struct seal_root *root, struct leased_err *err)
{
	struct leased_secret *text = leased_secret_new_empty(ROOT_FILE_LEN);
	char *bytes;
	ssize_t wrote;
	int r;

	if (text == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory for the root key"));
	bytes = leased_secret_reveal_mutable(text);
	EVP_EncodeBlock(
	    (uint8_t *)bytes, (const uint8_t *)leased_secret_reveal(root->key), SEAL_KEY_SIZE);
	bytes[ROOT_BASE64_LEN] = '\n';
	if ((r = FAILPOINT_ERROR(seal_root_file_write, err)) != 0)
		goto out;
	wrote = write(fd, bytes, ROOT_FILE_LEN);
	if (wrote != ROOT_FILE_LEN || fsync(fd) != 0)
		r = leased_err_set(err, wrote < 0 && errno == ENOSPC ? LEASED_ENOSPC : LEASED_EIO,
		    "cannot write root key %s: %s", path, strerror(errno));
out:
	leased_secret_free(text);
	return (r);
}

/* Written whole under another name first: a crash leaves either no key, and the next start makes
 * one, or the whole key. A link never replaces what somebody else has put there meanwhile. */
static int
root_create(const char *path, struct seal_root **ret_root, struct leased_err *err)
{
	struct seal_root *root = NULL;
	char *fresh = root_fresh_path(path);
	int fd = -1, r;

	if (fresh == NULL || (root = seal_root_new_random()) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the root key");
		goto out;
	}
	(void)unlink(fresh); /* of a start that was killed */
	if ((fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		r = leased_err_set(err, errno == ENOSPC ? LEASED_ENOSPC : LEASED_EIO,
		    "cannot make root key %s: %s", path, strerror(errno));
		goto out;
	}
	if ((r = root_write(fd, path, root, err)) == 0 && link(fresh, path) != 0)
		r = leased_err_set(
		    err, LEASED_EIO, "cannot make root key %s: %s", path, strerror(errno));
	(void)unlink(fresh);
	if (r == 0 && directory_sync(path) != 0) {
		(void)unlink(path);
		r = leased_err_set(
		    err, LEASED_EIO, "cannot write root key %s: %s", path, strerror(errno));
	}
	if (r == 0) {
		*ret_root = root;
		root = NULL;
	}
out:
	if (fd >= 0)
		close(fd);
	seal_root_free(root);
	free(fresh);
	return (r);
}

int
seal_root_open_file(const char *path, bool create, struct seal_root **ret_root, bool *ret_created,
    struct leased_err *err)
{
	struct seal_root *root = NULL;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && create) {
		if ((r = root_create(path, ret_root, err)) == 0)
			*ret_created = true;
		return (r);
	}
	if (fd < 0)
		return (leased_err_set(err, errno == ENOENT ? LEASED_ENOENT : LEASED_EDENIED,
		    "cannot open root key %s: %s%s", path, strerror(errno),
		    errno == ENOENT
			? ". Give the path of this store's key: a new one cannot open it"
			: ""));
	if ((r = root_check(fd, path, err)) != 0)
		goto out;
	if ((root = calloc(1, sizeof(*root))) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the root key");
		goto out;
	}
	if ((r = root_read(fd, path, &root->key, err)) != 0)
		goto out;
	*ret_root = root;
	*ret_created = false;
	root = NULL;
out:
	seal_root_free(root);
	close(fd);
	return (r);
}
