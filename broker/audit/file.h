/*
 * The device: a file of lines. It belongs to the audit thread once that runs. Private to audit/.
 */
#ifndef AUDIT_FILE_H
#define AUDIT_FILE_H

#include <sys/types.h>

#include "audit/chain.h"
#include "base/wclock.h"

struct audit_file {
	char *path;
	int fd; /* -1: not open */
	dev_t dev;
	ino_t ino;
	bool complained; /* that another file does not open */
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
