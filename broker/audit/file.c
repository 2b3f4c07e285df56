/*
 * The file of the audit: opened only where nobody else can read it, continued where the chain ends,
 * followed when it is renamed. What a crash or a full disk left behind the last whole line is
 * closed by a `resumed` record that says how much it is. It knows no queue: the audit thread calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/file.h"
#include "base/failpoint.h"
#include "base/log.h"

#define SAY_AGAIN_MS 300000
#define TAIL_MAX (4 * AUDIT_LINE_MAX) /* what is read at the end to find the last whole line */

static const char line_start[] = "{\"time\":\"";

/* ---- opening ---- */

static int
check_file(const struct audit_file *file, int fd, struct stat *ret_status, struct leased_err *err)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return (leased_err_set(
		    err, LEASED_EIO, "cannot look at %s: %s", file->path, strerror(errno)));
	if (!S_ISREG(status.st_mode))
		return (leased_err_set(
		    err, LEASED_EINVAL, "the audit file %s is no regular file", file->path));
	if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the audit file %s must belong to uid %u and be open to nobody else: chmod "
		    "0600 it",
		    file->path, (unsigned)geteuid()));
	if (status.st_nlink > 1)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the audit file %s has a second name", file->path));
	*ret_status = status;
	return (0);
}

/* The directory that path leads to by now. */
static bool
find_home(const char *path, char ret_dir[PATH_MAX], struct stat *ret_status)
{
	char copy[PATH_MAX];

	if (strlcpy(copy, path, sizeof(copy)) >= sizeof(copy))
		return (false);
	(void)strlcpy(ret_dir, dirname(copy), PATH_MAX);
	return (stat(ret_dir, ret_status) == 0);
}

/*
 * The sandbox allows the directory that was there at the start. One that was made, moved or mounted
 * in its place since is forbidden, whatever its rights are.
 */
static bool
is_shut_out(const struct audit_file *file)
{
	char dir[PATH_MAX];
	struct stat home;

	if (!find_home(file->path, dir, &home) || access(dir, W_OK | X_OK) != 0 ||
	    (access(file->path, R_OK | W_OK) != 0 && errno != ENOENT))
		return (false);
	return (home.st_dev != file->home_dev || home.st_ino != file->home_ino);
}

/* LEASED_EINVAL: the path is a mistake, which no waiting mends. LEASED_EDENIED: another start does.
 */
static int
refuse_open(struct audit_file *file, int error, struct leased_err *err)
{
	bool mistaken =
	    error == ELOOP || error == EISDIR || error == ENOTDIR || error == ENAMETOOLONG;
	bool shut_out = error == EACCES && is_shut_out(file);

	atomic_store(&file->is_shut_out, shut_out);
	if (shut_out)
		return (leased_err_set(err, LEASED_EDENIED,
		    "the audit file %s lies in a directory that was replaced since leased started: "
		    "restart leased to write there",
		    file->path));
	return (leased_err_set(err, mistaken ? LEASED_EINVAL : LEASED_EUNAVAIL,
	    "cannot open the audit file %s: %s", file->path,
	    error == ELOOP ? "it is a symbolic link" : strerror(error)));
}

static int
open_file(struct audit_file *file, int *ret_fd, struct stat *ret_status, struct leased_err *err)
{
	int r, fd;

	if ((r = FAILPOINT_ERROR(audit_device_open, err)) != 0)
		return (r);
	fd = open(file->path,
	    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return (refuse_open(file, errno, err));
	atomic_store(&file->is_shut_out, false);
	if ((r = check_file(file, fd, ret_status, err)) != 0) {
		(void)close(fd);
		return (r);
	}
	*ret_fd = fd;
	return (0);
}

/* ---- where the chain ends ---- */

struct tail {
	char *bytes; /* the last ones of the file; owned */
	size_t len;
	off_t from;  /* where they start */
	size_t good; /* behind the last whole line of ours */
	bool found;
	struct audit_chain chain; /* of that line */
};

static int
tail_read(
    const struct audit_file *file, int fd, off_t size, struct tail *tail, struct leased_err *err)
{
	ssize_t got;

	tail->from = size > TAIL_MAX ? size - TAIL_MAX : 0;
	if ((tail->bytes = malloc(TAIL_MAX)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read the audit file"));
	while (tail->from + (off_t)tail->len < size) {
		got = pread(fd, tail->bytes + tail->len, (size_t)(size - tail->from) - tail->len,
		    tail->from + (off_t)tail->len);
		if (got == 0 || (got < 0 && errno != EINTR))
			return (leased_err_set(err, LEASED_EIO, "cannot read %s: %s", file->path,
			    got == 0 ? "it became shorter" : strerror(errno)));
		tail->len += got > 0 ? (size_t)got : 0;
	}
	return (0);
}

/* From the end: the first line whose mac holds. One that lacks nothing but its newline is whole. */
static int
tail_find(struct tail *tail, struct seal *seal, struct leased_err *err)
{
	struct audit_line line;
	size_t end = tail->len, start, len;
	bool good = false;
	int r;

	while (end > 0 && !tail->found) {
		for (start = end - 1; start > 0 && tail->bytes[start - 1] != '\n'; start--)
			continue;
		len = end - start - (tail->bytes[end - 1] == '\n');
		if (audit_line_parse(tail->bytes + start, len, &line)) {
			r = audit_line_check(seal, tail->bytes + start, &line, &good, err);
			if (r != 0)
				return (r);
		}
		if (good) {
			tail->found = true;
			tail->good = end;
			tail->chain.seq = line.seq;
			memcpy(tail->chain.mac, line.mac, sizeof(line.mac));
		}
		end = start;
	}
	return (0);
}

/* Another program's file, or another store's, must not be written to. */
static int
tail_check(const struct audit_file *file, const struct tail *tail, struct leased_err *err)
{
	size_t known = sizeof(line_start) - 1;

	if (tail->found || tail->len == 0)
		return (0);
	if (tail->len < known)
		known = tail->len;
	if (tail->from == 0 && memchr(tail->bytes, '\n', tail->len) == NULL &&
	    memcmp(tail->bytes, line_start, known) == 0)
		return (0); /* the very first line was torn */
	return (leased_err_set(err, LEASED_EINVAL,
	    "%s holds something that is no audit of this store: move it away, or name another file",
	    file->path));
}

static int
note_resumed(struct audit_file *file, const struct tail *tail, const struct audit_chain *head,
    struct leased_err *err)
{
	size_t torn = tail->len - tail->good;
	char more[320] = "", part[160], mac[AUDIT_MAC_LEN + 1];
	int r;

	if (torn > 0) {
		r = audit_bytes_mac(file->seal, tail->bytes + tail->good, torn, mac, err);
		if (r != 0)
			return (r);
		(void)snprintf(
		    part, sizeof(part), ",\"torn_bytes\":%zu,\"torn_mac\":\"%s\"", torn, mac);
		(void)strlcat(more, part, sizeof(more));
		log_warn("the last line of the audit was torn, and is closed by a record",
		    LOG_S("path", file->path), LOG_I("bytes", torn));
	}
	if (tail->chain.seq < head->seq && tail->found) {
		(void)snprintf(part, sizeof(part),
		    ",\"missing_from\":%" PRId64 ",\"missing_to\":%" PRId64, tail->chain.seq + 1,
		    head->seq);
		(void)strlcat(more, part, sizeof(more));
		log_error("records are missing at the end of the audit: somebody has cut it, or an "
			  "older file was put back",
		    LOG_S("path", file->path), LOG_I("from", tail->chain.seq + 1),
		    LOG_I("to", head->seq));
	}
	return (audit_file_note(file, more[0] != '\0' ? "resumed" : "opened", more, err));
}

/* Takes fd over: behind what is in it, the chain goes on from chain. */
static int
adopt(struct audit_file *file, int fd, const struct stat *status, const struct audit_chain *chain,
    const struct audit_chain *head, struct leased_err *err)
{
	struct tail tail = {0};
	int r;

	if ((r = tail_read(file, fd, status->st_size, &tail, err)) != 0 ||
	    (r = tail_find(&tail, file->seal, err)) != 0 || (r = tail_check(file, &tail, err)) != 0)
		goto out;
	audit_file_close(file);
	file->fd = fd;
	file->dev = status->st_dev;
	file->ino = status->st_ino;
	fd = -1;
	if (chain != NULL)
		file->chain = *chain;
	else if (tail.found && tail.chain.seq >= head->seq)
		file->chain = tail.chain;
	else
		file->chain = *head;
	if (tail.len > 0 && tail.bytes[tail.len - 1] != '\n') {
		if (write(file->fd, "\n", 1) != 1) {
			r = leased_err_set(err, LEASED_EUNAVAIL,
			    "cannot close the torn line of %s: %s", file->path, strerror(errno));
			goto out;
		}
	}
	r = note_resumed(file, &tail, chain != NULL ? &tail.chain : head, err);
out:
	if (fd >= 0)
		(void)close(fd);
	if (r != 0)
		audit_file_close(file);
	free(tail.bytes);
	return (r);
}

int
audit_file_open(struct audit_file *file, const char *path, struct seal *seal, struct wclock *clock,
    const struct audit_chain *head, struct leased_err *err)
{
	char dir[PATH_MAX];
	struct stat home;

	*file = (struct audit_file){.fd = -1, .seal = seal, .clock = clock, .chain = *head};
	if ((file->path = strdup(path)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (find_home(path, dir, &home)) {
		file->home_dev = home.st_dev;
		file->home_ino = home.st_ino;
	}
	return (audit_file_follow(file, true, err));
}

void
audit_file_close(struct audit_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd);
	file->fd = -1;
}

/* ---- writing ---- */

static int
lines_make(const struct audit_file *file, const char *bodies, size_t len, struct jenc *out,
    struct audit_chain *chain, struct leased_err *err)
{
	const char *end = bodies + len, *stop;
	int r;

	while (bodies < end) {
		if ((stop = memchr(bodies, '\n', (size_t)(end - bodies))) == NULL)
			stop = end;
		r = audit_chain_add(chain, file->seal, bodies, (size_t)(stop - bodies), out, err);
		if (r != 0)
			return (r);
		bodies = stop + 1;
	}
	return (0);
}

static int
write_bytes(struct audit_file *file, const uint8_t *bytes, size_t len, struct leased_err *err)
{
	ssize_t sent;

	while (len > 0) {
		if ((sent = write(file->fd, bytes, len)) < 0) {
			if (errno == EINTR)
				continue;
			return (leased_err_set(err, LEASED_EUNAVAIL,
			    "cannot write to the audit file %s: %s", file->path, strerror(errno)));
		}
		bytes += sent;
		len -= (size_t)sent;
	}
	return (0);
}

static int
write_lines(struct audit_file *file, const struct jenc *lines, struct leased_err *err)
{
	size_t first = 0;
	int r;

	if ((r = FAILPOINT_ERROR(audit_device_before_write, err)) != 0)
		return (r);
#ifdef LEASED_FAILPOINTS
	/* Who dies there leaves half a line. */
	first = lines->len / 2;
	if ((r = write_bytes(file, lines->bytes, first, err)) != 0 ||
	    (r = FAILPOINT_ERROR(audit_device_in_line, err)) != 0)
		return (r);
#endif
	if ((r = write_bytes(file, lines->bytes + first, lines->len - first, err)) != 0)
		return (r);
	FAILPOINT(audit_device_after_write);
	return (0);
}

int
audit_file_write(struct audit_file *file, const char *bodies, size_t len, struct leased_err *err)
{
	struct audit_chain chain = file->chain;
	struct jenc lines = {0};
	off_t before;
	int r;

	if (file->fd < 0 && (r = audit_file_follow(file, true, err)) != 0)
		return (r);
	chain = file->chain;
	if ((r = lines_make(file, bodies, len, &lines, &chain, err)) != 0)
		goto out;
	/* Asked each time: whoever copies logs away may have cut it. */
	before = lseek(file->fd, 0, SEEK_END);
	if ((r = write_lines(file, &lines, err)) == 0) {
		file->chain = chain;
		goto out;
	}
	/* Half a line must not stay; where it cannot be taken back, the next open closes it. */
	if (before < 0 || ftruncate(file->fd, before) != 0)
		audit_file_close(file);
out:
	jenc_clear(&lines);
	return (r);
}

int
audit_file_sync(struct audit_file *file, struct leased_err *err)
{
	int r;

	if ((r = FAILPOINT_ERROR(audit_device_sync, err)) != 0)
		return (r);
	if (file->fd >= 0 && fdatasync(file->fd) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "cannot bring the audit file %s to disk: %s", file->path, strerror(errno)));
	return (0);
}

int
audit_file_note(struct audit_file *file, const char *type, const char *more, struct leased_err *err)
{
	char time[WCLOCK_RFC3339_SIZE], body[512];
	int len;

	wclock_format_rfc3339(file->clock->wall_us(file->clock), time);
	len =
	    snprintf(body, sizeof(body), "%s%s\",\"type\":\"%s\"%s}", line_start, time, type, more);
	if (len < 0 || (size_t)len >= sizeof(body))
		return (bug(err, "a note of the audit is too long"));
	return (audit_file_write(file, body, (size_t)len, err));
}

/* ---- renamed ---- */

/* Said again and again: what is written where nobody looks may be lost with its file system. */
static void
say_astray(struct audit_file *file, const struct leased_err *why)
{
	int64_t now_ms = wclock_boot_ms(file->clock);
	bool known = atomic_exchange(&file->is_astray, true);
	bool shut_out = atomic_load(&file->is_shut_out);

	if (known && shut_out == file->said_shut_out && now_ms - file->said_ms < SAY_AGAIN_MS)
		return;
	file->said_ms = now_ms;
	file->said_shut_out = shut_out;
	log_error("the audit goes on in the file that it has, to which its path does not lead any "
		  "more, since a new one does not open there",
	    LOG_S("path", file->path), LOG_ERR(why));
}

static void
say_at_home(struct audit_file *file)
{
	if (atomic_exchange(&file->is_astray, false))
		log_info("the audit goes on in the file that its path leads to",
		    LOG_S("path", file->path));
}

int
audit_file_follow(struct audit_file *file, bool always, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	struct audit_chain chain = file->chain;
	struct stat status;
	int fd = -1, r;
	bool was_open = file->fd >= 0;

	if (!always && was_open && stat(file->path, &status) == 0 && status.st_dev == file->dev &&
	    status.st_ino == file->ino) {
		atomic_store(&file->is_shut_out, false);
		say_at_home(file);
		return (0);
	}
	if ((r = open_file(file, &fd, &status, &why)) == 0 && was_open &&
	    status.st_dev == file->dev && status.st_ino == file->ino) {
		(void)close(fd);
		say_at_home(file);
		return (0);
	}
	/* What a failed write left of its batch may be whole lines: the file says where it ends. */
	if (r == 0)
		r = adopt(file, fd, &status, was_open ? &chain : NULL, &chain, &why);
	if (r == 0) {
		say_at_home(file);
		return (0);
	}
	if (file->fd >= 0 && fstat(file->fd, &status) == 0 && status.st_nlink > 0) {
		say_astray(file, &why);
		return (0);
	}
	audit_file_close(file);
	atomic_store(&file->is_astray, false);
	file->chain = chain;
	if (err != NULL)
		*err = why;
	return (r);
}
