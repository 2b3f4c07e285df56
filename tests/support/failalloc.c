/*
 * The linker's --wrap sends every allocation of our objects through here (tests/CMakeLists.txt
 * holds the list of names); the armed one gives NULL.
 *
 * Shared libraries' own calls of malloc are not seen. Used by unit tests only.
 */
#include "support/failalloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <leased/error.h>

static atomic_ulong left; /* allocations until the one that fails; 0: none will */
static atomic_bool is_failed;
static unsigned long paused;

static bool
is_to_fail(void)
{
	unsigned long before = atomic_load(&left);

	do {
		if (before == 0)
			return (false);
	} while (!atomic_compare_exchange_weak(&left, &before, before - 1));
	if (before != 1)
		return (false);
	atomic_store(&is_failed, true);
	errno = ENOMEM;
	return (true);
}

void
failalloc_arm(unsigned long n)
{
	atomic_store(&is_failed, false);
	atomic_store(&left, n);
}

void
failalloc_pause(void)
{
	paused = atomic_exchange(&left, 0);
}

void
failalloc_resume(void)
{
	atomic_store(&left, paused);
}

bool
failalloc_disarm(void)
{
	atomic_store(&left, 0);
	return (atomic_load(&is_failed));
}

unsigned long
failalloc_each(int (*attempt)(void *arg), void *arg)
{
	unsigned long n;
	bool failed;
	int r;

	for (n = 1; n <= 100000; n++) {
		failalloc_arm(n);
		r = attempt(arg);
		failed = failalloc_disarm();
		if (!failed) {
			assert_int_equal(r, 0);
			return (n - 1);
		}
		if (r != 0 && r != LEASED_ENOMEM)
			fail_msg(
			    "allocation %lu failed and the result is %s, neither ok nor no_memory",
			    n, leased_code_name(r));
	}
	fail_msg("still allocating after 100000 failures");
	return (n);
}

/* WRAP(result, name, (parameters), (arguments)): name fails with NULL when its turn has come. */
#define WRAP(result, name, parameters, arguments)                                                  \
	result __real_##name parameters;                                                           \
	result __wrap_##name parameters;                                                           \
	result __wrap_##name parameters                                                            \
	{                                                                                          \
		return (is_to_fail() ? NULL : __real_##name arguments);                            \
	}

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size))
WRAP(void *, recallocarray, (void *old, size_t old_count, size_t count, size_t size),
    (old, old_count, count, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t len), (text, len))
WRAP(void *, CRYPTO_malloc, (size_t size, const char *file, int line), (size, file, line))
WRAP(void *, CRYPTO_zalloc, (size_t size, const char *file, int line), (size, file, line))
WRAP(void *, CRYPTO_secure_malloc, (size_t size, const char *file, int line), (size, file, line))
WRAP(void *, CRYPTO_secure_zalloc, (size_t size, const char *file, int line), (size, file, line))

int __real_vasprintf(char **ret_text, const char *fmt, va_list args);
int __wrap_vasprintf(char **ret_text, const char *fmt, va_list args) LEASED_PRINTF(2, 0);
int __wrap_asprintf(char **ret_text, const char *fmt, ...) LEASED_PRINTF(2, 3);
int __wrap___vasprintf_chk(char **ret_text, int flag, const char *fmt, va_list args)
    LEASED_PRINTF(3, 0);
int __wrap___asprintf_chk(char **ret_text, int flag, const char *fmt, ...) LEASED_PRINTF(3, 4);

int
__wrap_vasprintf(char **ret_text, const char *fmt, va_list args)
{
	return (is_to_fail() ? -1 : __real_vasprintf(ret_text, fmt, args));
}

int
__wrap_asprintf(char **ret_text, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = __wrap_vasprintf(ret_text, fmt, args);
	va_end(args);
	return (len);
}

/* What the two become with _FORTIFY_SOURCE. */
int
__wrap___vasprintf_chk(char **ret_text, int flag, const char *fmt, va_list args)
{
	(void)flag;
	return (__wrap_vasprintf(ret_text, fmt, args));
}

int
__wrap___asprintf_chk(char **ret_text, int flag, const char *fmt, ...)
{
	va_list args;
	int len;

	(void)flag;
	va_start(args, fmt);
	len = __wrap_vasprintf(ret_text, fmt, args);
	va_end(args);
	return (len);
}
