/*
 * A secret: bytes in locked, undumped memory that are wiped when freed. Its members cannot be
 * named, so that no format string and no log call can print it; leased_secret_reveal() is the one
 * door, and a reviewer can grep for it.
 */
#ifndef LEASED_SECRET_H
#define LEASED_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include <leased/error.h>

struct leased_secret;

/* Sets up the locked heap (OpenSSL's secure heap) and the wiping allocators of OpenSSL-independent
 * libraries (jansson). Call once, before any thread. */
int leased_secret_setup(struct leased_err *err) LEASED_MUST_CHECK;

/*
 * How many allocations have failed on this thread in those wiping allocators. jansson leaves out
 * characters of a string, in silence, when it has no memory: who parses compares before and after.
 */
unsigned long leased_secret_alloc_failures(void);

/* A copy of len bytes; a NUL is kept behind them and not counted. NULL: out of memory. The caller
 * wipes its own copy. */
struct leased_secret *leased_secret_new(const void *bytes, size_t len);

/* len zero bytes, for the caller to fill through leased_secret_reveal_mutable(). */
struct leased_secret *leased_secret_new_empty(size_t len);

struct leased_secret *leased_secret_copy(const struct leased_secret *secret);

/* Wipes and frees. NULL is fine. */
void leased_secret_free(struct leased_secret *secret);

size_t leased_secret_len(const struct leased_secret *secret);

/* The bytes, NUL-terminated, borrowed until the secret is freed. Never store, log or print them. */
const char *leased_secret_reveal(const struct leased_secret *secret);
char *leased_secret_reveal_mutable(struct leased_secret *secret);

/* Constant-time in the content; lengths are not secret. */
bool leased_secret_equal(const struct leased_secret *a, const struct leased_secret *b);

/* Wipes memory in a way that the compiler keeps. */
void leased_wipe(void *bytes, size_t len);

/*
 * For copies that a library keeps, which gives no way to its state and has them from strdup():
 * those that this thread makes of just this text from now on are remembered while they are there.
 * text is borrowed; NULL ends it.
 */
void leased_secret_watch_copies(const char *text);
/* Wipes those that are there still, and ends it: nobody may want them any more. */
void leased_secret_wipe_copies(void);

#endif
