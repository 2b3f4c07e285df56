/*
 * Errors, for the daemon and for plugins: a code that programs branch on and a text that a person
 * reads.
 *
 * Functions return 0 or one of these negative codes and fill a struct leased_err; the top of the
 * operation reports it once. A text says what failed, why, and what to do next. It never holds a
 * secret.
 */
#ifndef LEASED_ERROR_H
#define LEASED_ERROR_H

#include <stdarg.h>

#define LEASED_MUST_CHECK __attribute__((warn_unused_result))
#define LEASED_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum leased_code {
	LEASED_OK = 0,
	/* the caller's mistake: asking again unchanged cannot help */
	LEASED_EINVAL = -1,   /* malformed or refused input: 400 */
	LEASED_EDENIED = -2,  /* not allowed: 403 */
	LEASED_ENOENT = -3,   /* no such thing: 404 */
	LEASED_EEXIST = -4,   /* already there: 400 */
	LEASED_ELIMIT = -5,   /* a cap or a rate: 429 */
	LEASED_ETOOBIG = -6,  /* over a size limit: 413 */
	LEASED_EEXPIRED = -7, /* the lease or token has ended: 400 */
	/* outside failures: worth another try */
	LEASED_EUNAVAIL = -8,  /* the backend cannot be reached: 503 */
	LEASED_ETIMEDOUT = -9, /* the deadline passed; what was asked may still happen: 503 */
	/* the backend refused this account or statement, or lacks a grant for it: 502 (400 where a
	 * configuration or role is tried), or a lease's own back-off */
	LEASED_EREFUSED = -10,
	LEASED_EMOVED = -11, /* the backend is not the server that it was: nothing is touched */
	/* the worker died during the call; what was asked may still happen: 503 */
	LEASED_ECRASHED = -12,
	LEASED_EPROTO = -13,    /* the other side broke the protocol */
	LEASED_ESEALED = -14,   /* no root key yet: 503 */
	LEASED_ENOSPC = -15,    /* the disk is full or read-only: 507 */
	LEASED_EIO = -16,       /* the disk failed */
	LEASED_ECORRUPT = -17,  /* a record does not open or does not check */
	LEASED_ECONFLICT = -18, /* a version or an epoch has moved on: read again */
	LEASED_ECANCELED = -19, /* cancelled by our own side */
	LEASED_ENOMEM = -20,
	LEASED_EBUG = -21, /* cannot happen: 500, reported as a bug */
};

struct leased_err {
	int code;       /* enum leased_code */
	char text[512]; /* NUL-terminated UTF-8; cut with a visible mark, never silently */
};

/* clang-format off */
#define LEASED_ERR_INIT {0}
/* clang-format on */

/* Fills err (NULL is fine) and returns code, so that `return leased_err_set(err, LEASED_EINVAL,
 * ...)` reads as one step. */
int leased_err_set(struct leased_err *err, int code, const char *fmt, ...) LEASED_PRINTF(3, 4);

int leased_err_vset(struct leased_err *err, int code, const char *fmt, va_list args)
    LEASED_PRINTF(3, 0);

/* Puts "prefix: " before the text that is there; keeps the code and returns it. NULL is fine. */
int leased_err_prefix(struct leased_err *err, const char *fmt, ...) LEASED_PRINTF(2, 3);

/* The code's name on the wire ("refused", "unavailable", ...); "bug" for what is unknown.
 * PROTOCOL.md lists them. */
const char *leased_code_name(int code);

/* The code of a name; LEASED_EPROTO for a name that is unknown. */
int leased_code_from_name(const char *name);

#endif
