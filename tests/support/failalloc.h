/*
 * Makes the n-th allocation fail, for tests that walk through every place where memory can run out.
 *
 * Covers what our own objects ask of libc, libbsd and OpenSSL's heaps, and jansson and libevent
 * once leased_secret_setup() has given them our allocators. Linked into every unit test; without
 * failalloc_arm() it only counts.
 */
#ifndef SUPPORT_FAILALLOC_H
#define SUPPORT_FAILALLOC_H

#include <stdbool.h>

/* The n-th allocation from now on, of any thread, fails once; n = 1 is the next. */
void failalloc_arm(unsigned long n);

/* Between them nothing fails and nothing is counted: for what belongs to the test itself. */
void failalloc_pause(void);
void failalloc_resume(void);

/* Ends that; true when the failure has happened. */
bool failalloc_disarm(void);

/*
 * Runs attempt(arg) with the first allocation failing, then the second, and so on, until one run
 * allocates all that it wants and nothing failed. Every run must return 0 or LEASED_ENOMEM and the
 * last one 0; leaks are the sanitizer's to find. Returns how many failures were met (cmocka
 * assertions fail the test, also after 100 000).
 */
unsigned long failalloc_each(int (*attempt)(void *arg), void *arg);

#endif
