/*
 * The list's file on a host, by SFTP: written beside its place, read back, and renamed into place,
 * so that sshd, which locks everybody out where it meets a broken list, sees the one before or this
 * one. An older list never replaces a later one, and what is no list is not touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push.h"
#include "sdk/point.h"

#define CHUNK 65536
#define HEAD_MAX 512 /* bytes, of which a list's head is */
#define LEFT_S 3600  /* as old is what an upload that was cut short left behind */
#define NAMES_MAX 4096

#define TEMPORARY_SIZE (PUSH_PATH_MAX + sizeof(PUSH_TEMPORARY) + 16)

/* ---- words ---- */

static const char *
why(int status)
{
	switch (status) {
	case SSH_FX_PERMISSION_DENIED:
		return ("permission denied");
	case SSH_FX_NO_SUCH_FILE:
	case SSH_FX_NO_SUCH_PATH:
		return ("there is no such directory");
	case SSH_FX_FILE_ALREADY_EXISTS:
		return ("it is there already");
	case SSH_FX_WRITE_PROTECT:
		return ("the file system is read-only");
	case SSH_FX_OK:
	case SSH_FX_NO_CONNECTION:
	case SSH_FX_CONNECTION_LOST:
		return ("the connection was lost");
	case SSH_FX_OP_UNSUPPORTED:
		return ("the server cannot do that");
	default:
		return ("the server says that it failed (is its disk full?)");
	}
}

static int
failed_by(int status, const char *what, const char *path, struct leased_err *err)
{
	bool lost = status == SSH_FX_OK || status == SSH_FX_NO_CONNECTION ||
		    status == SSH_FX_CONNECTION_LOST;

	return (leased_err_set(
	    err, lost ? LEASED_EUNAVAIL : LEASED_EREFUSED, "%s %s: %s", what, path, why(status)));
}

static int
failed(sftp_session sftp, const char *what, const char *path, struct leased_err *err)
{
	return (failed_by(sftp_get_error(sftp), what, path, err));
}

/* ---- reading ---- */

/* Is path's content just that? *ret_first gets the first bytes of it, *ret_len what there was. */
static int
compare(sftp_session sftp, const char *path, const struct push *push, bool *ret_same,
    uint8_t ret_first[HEAD_MAX], size_t *ret_len, struct leased_err *err)
{
	sftp_file file = sftp_open(sftp, path, O_RDONLY, 0);
	static uint8_t bytes[CHUNK];
	bool same = true;
	size_t len = 0;
	ssize_t got;

	if (file == NULL)
		return (sftp_get_error(sftp) == SSH_FX_NO_SUCH_FILE
			    ? LEASED_ENOENT
			    : failed(sftp, "the host's file cannot be read,", path, err));
	/* Of what is longer, or another, no more is read. */
	while (same && (got = sftp_read(file, bytes, sizeof(bytes))) > 0) {
		size_t count = (size_t)got, room = len < HEAD_MAX ? HEAD_MAX - len : 0;

		memcpy(ret_first + (HEAD_MAX - room), bytes, count < room ? count : room);
		same = count <= push->len - len && memcmp(push->list + len, bytes, count) == 0;
		len += same || len == 0 ? count : 0;
	}
	if (same && got < 0) {
		(void)failed(sftp, "the host's file cannot be read,", path, err);
		(void)sftp_close(file);
		return (err != NULL ? err->code : LEASED_EREFUSED);
	}
	(void)sftp_close(file);
	*ret_same = same && len == push->len;
	*ret_len = len;
	return (0);
}

/* What is in the list's place now: may this one replace it? */
static int
look(sftp_session sftp, const struct push *push, bool *ret_same, struct leased_err *err)
{
	struct sshwire_krl_head present = {0};
	uint8_t first[HEAD_MAX] = {0};
	size_t len = 0;
	int r = compare(sftp, push->path, push, ret_same, first, &len, err);

	if (r == LEASED_ENOENT) {
		*ret_same = false;
		return (0);
	}
	if (r != 0 || *ret_same || len == 0)
		return (r);
	if (sshwire_krl_read_head(first, len < HEAD_MAX ? len : HEAD_MAX, &present, NULL) != 0)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the host's %s is no list of revoked keys of OpenSSH's (a KRL): it is left as "
		    "it "
		    "is; move it away, or name another path",
		    push->path));
	if (sshwire_krl_is_of_another(&present, &push->head))
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the host's %s is the list of another CA, which would be gone with what it "
		    "revokes: sshd reads one list, so that a host believes the CA of one mount; is "
		    "that one of TrustedUserCAKeys no more, remove the file",
		    push->path));
	if (present.version > push->head.version)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the host's %s is a later list (version %llu) than this one (%llu): it is left "
		    "as it is; does another leased see to this host?",
		    push->path, (unsigned long long)present.version,
		    (unsigned long long)push->head.version));
	return (0);
}

/* ---- writing ---- */

static int
temporary_name(const struct push *push, char ret_name[TEMPORARY_SIZE], struct leased_err *err)
{
	unsigned char random[8];
	size_t len = strlen(push->path) + strlen(PUSH_TEMPORARY);

	if (RAND_bytes(random, sizeof(random)) != 1)
		return (leased_err_set(err, LEASED_EBUG, "no random bytes"));
	(void)snprintf(ret_name, TEMPORARY_SIZE, "%s%s", push->path, PUSH_TEMPORARY);
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(ret_name + len + 2 * i, 3, "%02x", random[i]);
	return (0);
}

static int
write_bytes(sftp_file file, const struct push *push)
{
	size_t at = 0, count;
	ssize_t put;

	while (at < push->len) {
		count = push->len - at < CHUNK ? push->len - at : CHUNK;
		if (at == 0)
			count = (count + 1) / 2; /* so that there is a middle to die in */
		if ((put = sftp_write(file, push->list + at, count)) <= 0)
			return (-1);
		at += (size_t)put;
		sdk_point_pass(SDK_POINT_PUSH_UPLOADING);
	}
	return (0);
}

static int
write_temporary(
    sftp_session sftp, const struct push *push, const char *temporary, struct leased_err *err)
{
	sftp_file file = sftp_open(sftp, temporary, O_WRONLY | O_CREAT | O_EXCL, 0644);
	int r = 0;

	if (file == NULL)
		return (failed(sftp,
		    "the host's user must be able to make files beside its list, and cannot make",
		    temporary, err));
	if (write_bytes(file, push) != 0)
		r = failed(sftp, "cannot write", temporary, err);
	else if (sftp_extension_supported(sftp, "fsync@openssh.com", "1") && sftp_fsync(file) != 0)
		r = failed(sftp, "cannot bring to the host's disk", temporary, err);
	if (sftp_close(file) != SSH_OK && r == 0)
		r = failed(sftp, "cannot close", temporary, err);
	if (r == 0)
		(void)sftp_chmod(sftp, temporary, 0644); /* whatever the user's umask; no secret */
	return (r);
}

static int
into_place(
    sftp_session sftp, const struct push *push, const char *temporary, struct leased_err *err)
{
	uint8_t first[HEAD_MAX];
	uint32_t status = 0;
	bool same = false;
	size_t len = 0;
	int r = write_temporary(sftp, push, temporary, err);

	if (r == 0 &&
	    (r = compare(sftp, temporary, push, &same, first, &len, err)) == LEASED_ENOENT)
		r = leased_err_set(
		    err, LEASED_EREFUSED, "%s is gone from the host again", temporary);
	if (r == 0 && !same)
		r = leased_err_set(err, LEASED_EREFUSED,
		    "%s reads back as something else than was written: is the host's disk full?",
		    temporary);
	if (r != 0)
		return (r);
	sdk_point_pass(SDK_POINT_PUSH_RENAME);
	if ((r = sshca_push_rename(sftp, temporary, push->path, &status, err)) != 0)
		return (r);
	if (status != SSH_FX_OK)
		return (failed_by((int)(status < 256 ? status : 255),
		    "cannot rename the new list to", push->path, err));
	return (0);
}

/* ---- what was left behind ---- */

/* By the host's own clock. What cannot be removed now is found again. */
static void
sweep(sftp_session sftp, const struct push *push)
{
	char directory[PUSH_PATH_MAX + 1], name[2 * PUSH_PATH_MAX];
	sftp_attributes own = sftp_stat(sftp, push->path), one;
	char *slash;
	size_t len;
	sftp_dir dir;

	(void)strlcpy(directory, push->path, sizeof(directory));
	slash = strrchr(directory, '/');
	(void)snprintf(name, sizeof(name), "%s%s", slash + 1, PUSH_TEMPORARY);
	len = strlen(name);
	slash[slash == directory] = '\0';
	dir = own != NULL ? sftp_opendir(sftp, directory) : NULL;
	for (unsigned i = 0; dir != NULL && i < NAMES_MAX; i++) {
		if ((one = sftp_readdir(sftp, dir)) == NULL)
			break;
		if (one->name != NULL && strncmp(one->name, name, len) == 0 &&
		    strlen(one->name) == len + 16 &&
		    (int64_t)one->mtime + LEFT_S < (int64_t)own->mtime) {
			char old[2 * PUSH_PATH_MAX];

			(void)snprintf(old, sizeof(old), "%s%s", push->path,
			    one->name + len - strlen(PUSH_TEMPORARY));
			(void)sftp_unlink(sftp, old);
		}
		sftp_attributes_free(one);
	}
	if (dir != NULL)
		(void)sftp_closedir(dir);
	sftp_attributes_free(own);
}

int
sshca_push_file(
    sftp_session sftp, const struct push *push, bool *ret_changed, struct leased_err *err)
{
	char temporary[TEMPORARY_SIZE];
	bool same = false;
	int r;

	if (!sshca_push_can_rename(sftp))
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the host's SFTP server cannot replace a file in one step "
		    "(posix-rename@openssh.com), as OpenSSH's can"));
	if ((r = look(sftp, push, &same, err)) != 0)
		return (r);
	if (!same) {
		if ((r = temporary_name(push, temporary, err)) != 0)
			return (r);
		if ((r = into_place(sftp, push, temporary, err)) != 0) {
			(void)sftp_unlink(sftp, temporary);
			return (r);
		}
		sweep(sftp, push);
	}
	*ret_changed = !same;
	return (0);
}
