/*
 * The device: a file of lines. It belongs to the audit thread once that runs. Private to audit/.
 */
#ifndef AUDIT_FILE_H
#define AUDIT_FILE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "audit/chain.h"
#include "base/wclock.h"

struct audit_file {
	char *path;
	int fd; /* -1: not open */
	dev_t dev;
	ino_t ino;
	dev_t home_dev; /* its directory when this was made; 0: none was there */
	ino_t home_ino;
	/* Read by any thread. Records go to a file that path does not lead to, since another does
	 * not open; said_ms: when that was last said. path's directory is another than home, and
	 * the sandbox lets nobody open a file in it. */
	_Atomic bool is_astray, is_shut_out;
	int64_t said_ms;
	bool said_shut_out;
	struct seal *seal;
	struct wclock *clock;
	struct audit_chain chain;
};

/* head: how far the chain had come by what the store knows; seq 0: it knows nothing. On a failure
 * (LEASED_EINVAL: the path is a mistake) the next write tries again; path is to be freed. */
int audit_file_open(struct audit_file *file, const char *path, struct seal *seal,
    struct wclock *clock, const struct audit_chain *head, struct leased_err *err) LEASED_MUST_CHECK;
void audit_file_close(struct audit_file *file);

/*
 * Writes lines: bodies (JSON objects) with a newline between them. On a failure none of them is in
 * the file, or the file is closed and the next call finds out what is.
 */
int audit_file_write(struct audit_file *file, const char *bodies, size_t len,
    struct leased_err *err) LEASED_MUST_CHECK;
int audit_file_sync(struct audit_file *file, struct leased_err *err) LEASED_MUST_CHECK;

/* Is another file, or none, at the path by now, or (always) asked for? Then goes on in a new one;
 * where that does not open, in the old one as long as it has a name. */
int audit_file_follow(
    struct audit_file *file, bool always, struct leased_err *err) LEASED_MUST_CHECK;

/* A record of the audit itself: {"time":..,"type":type,<more>}; more is "" or starts with ','. */
int audit_file_note(struct audit_file *file, const char *type, const char *more,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
