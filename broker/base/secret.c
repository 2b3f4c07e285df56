/*
 * struct leased_secret on OpenSSL's secure heap (locked, not dumped, guard pages), and the wiping
 * allocators of jansson and libevent, which copy what passes through them.
 *
 * Where locked memory is not to be had, or runs out, secrets live in the ordinary heap, still
 * wiped, and one warning says so. Set up once by every process of ours, before any thread; the rest
 * is safe from any thread.
 */
#include <leased/secret.h>

#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"

/* Pages are locked as they are first touched, so that a large heap costs nothing until it is used.
 */
#define HEAP_MAX ((size_t)4 * 1024 * 1024)
#define HEAP_MIN ((size_t)64 * 1024)
#define HEAP_SMALLEST_BLOCK ((size_t)32)

/* A program without an event loop (a plugin) does not link libevent; there is nothing to wipe there
 * then. */
#pragma weak event_set_mem_functions

struct leased_secret {
	size_t len;
	char bytes[];
};

/* Stands before every block of the wiping allocators. */
union block_header {
	size_t size;
	max_align_t align;
};

static atomic_bool is_set_up;
static atomic_bool is_warned;
static _Thread_local unsigned long alloc_failures;

static void
warn_once(const char *reason)
{
	if (!atomic_exchange(&is_warned, true))
		log_warn("secrets are kept in ordinary memory, which may be swapped to disk: raise "
			 "the limit of locked memory "
			 "(LimitMEMLOCK= or ulimit -l)",
		    LOG_S("reason", reason));
}

static void *
wiping_malloc(size_t size)
{
	union block_header *header;

	if (size > SIZE_MAX - sizeof(*header) ||
	    (header = malloc(sizeof(*header) + size)) == NULL) {
		alloc_failures++;
		return (NULL);
	}
	header->size = size;
	return (header + 1);
}

static void
wiping_free(void *block)
{
	union block_header *header;

	if (block == NULL)
		return;
	header = (union block_header *)block - 1;
	leased_wipe(header, sizeof(*header) + header->size);
	free(header);
}

/* realloc(3) would leave a copy behind where it moves the block. */
static void *
wiping_realloc(void *block, size_t size)
{
	size_t old_size;
	void *moved;

	if (block == NULL)
		return (wiping_malloc(size));
	if ((moved = wiping_malloc(size)) == NULL)
		return (NULL);
	old_size = ((union block_header *)block - 1)->size;
	memcpy(moved, block, old_size < size ? old_size : size);
	wiping_free(block);
	return (moved);
}

unsigned long
leased_secret_alloc_failures(void)
{
	return (alloc_failures);
}

/* The largest power of two that takes at most half of what may be locked; 0 when that is not worth
 * it. */
static size_t
heap_size(void)
{
	struct rlimit limit;
	size_t size;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return (0);
	for (size = HEAP_MAX; size >= HEAP_MIN; size /= 2) {
		if (limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur / 2)
			return (size);
	}
	return (0);
}

int
leased_secret_setup(struct leased_err *err)
{
	size_t size;
	int result;

	if (atomic_exchange(&is_set_up, true))
		return (leased_err_set(
		    err, LEASED_EBUG, "the secret heap is set up twice; this is a bug"));
	json_set_alloc_funcs(wiping_malloc, wiping_free);
	/* Opens /dev/urandom: now, before a sandbox forbids it and before a second thread could
	 * race for it. */
	json_object_seed(0);
	if (event_set_mem_functions != NULL)
		event_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free);

	if ((size = heap_size()) == 0) {
		warn_once("the limit of locked memory is below 128 KiB");
		return (0);
	}
	/* 1: locked. 2: made, but the kernel refused the lock or the guard pages. 0: not made. */
	result = CRYPTO_secure_malloc_init(size, HEAP_SMALLEST_BLOCK);
	if (result != 1)
		warn_once(result == 2 ? "the kernel refused to lock it"
				      : "the locked heap could not be made");
	return (0);
}

struct leased_secret *
leased_secret_new_empty(size_t len)
{
	struct leased_secret *secret;
	size_t size;

	if (len > SIZE_MAX - sizeof(*secret) - 1)
		return (NULL);
	size = sizeof(*secret) + len + 1;
	if ((secret = OPENSSL_secure_zalloc(size)) == NULL) {
		if ((secret = OPENSSL_zalloc(size)) == NULL)
			return (NULL);
		warn_once("locked memory has run out");
	}
	secret->len = len;
	return (secret);
}

struct leased_secret *
leased_secret_new(const void *bytes, size_t len)
{
	struct leased_secret *secret;

	if ((secret = leased_secret_new_empty(len)) == NULL)
		return (NULL);
	if (len > 0)
		memcpy(secret->bytes, bytes, len);
	return (secret);
}

struct leased_secret *
leased_secret_copy(const struct leased_secret *secret)
{
	return (leased_secret_new(secret->bytes, secret->len));
}

void
leased_secret_free(struct leased_secret *secret)
{
	if (secret == NULL)
		return;
	/* Wipes and frees a block of either heap. */
	OPENSSL_secure_clear_free(secret, sizeof(*secret) + secret->len + 1);
}

size_t
leased_secret_len(const struct leased_secret *secret)
{
	return (secret->len);
}

const char *
leased_secret_reveal(const struct leased_secret *secret)
{
	return (secret->bytes);
}

char *
leased_secret_reveal_mutable(struct leased_secret *secret)
{
	return (secret->bytes);
}

bool
leased_secret_equal(const struct leased_secret *a, const struct leased_secret *b)
{
	return (a->len == b->len && CRYPTO_memcmp(a->bytes, b->bytes, a->len) == 0);
}

void
leased_wipe(void *bytes, size_t len)
{
	if (bytes != NULL && len > 0)
		OPENSSL_cleanse(bytes, len);
}
