/*
 * free(), realloc() and strdup() of the whole process, its libraries included, which wipe what is
 * given back: libpq, TLS and the C library keep passwords in the ordinary heap and free them as
 * they are. Linked into every program of ours by the linker, since these stand before the C
 * library's own, to which they leave the rest.
 *
 * Not in a sanitized build, whose own functions these are.
 */
#include <leased/secret.h>

#ifndef LEASED_SANITIZED

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>

/* The C library's own, which it exports for this. */
extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);

/* What the linker knows as free, realloc and strdup. */
void heap_free(void *block) __asm__("free");
void *heap_realloc(void *block, size_t size) __asm__("realloc");
char *heap_strdup(const char *text) __asm__("strdup");

#define COPIES_MAX 8

/* Of one thread: who watches is a plugin, which has no other. */
static _Thread_local const char *watched;
static _Thread_local char *copies[COPIES_MAX];
static _Thread_local unsigned copy_count;

static void
forget_copy(const void *block)
{
	for (unsigned i = 0; i < copy_count; i++)
		if (copies[i] == block)
			copies[i] = copies[--copy_count];
}

void
heap_free(void *block)
{
	int e = errno;

	if (block == NULL)
		return;
	forget_copy(block);
	explicit_bzero(block, malloc_usable_size(block));
	__libc_free(block);
	errno = e;
}

/* The C library's would leave a copy behind where it moves the block. */
void *
heap_realloc(void *block, size_t size)
{
	size_t usable;
	void *moved;

	if (block == NULL)
		return (__libc_malloc(size));
	if (size == 0) {
		heap_free(block);
		return (NULL);
	}
	usable = malloc_usable_size(block);
	if (size <= usable && size >= usable / 2)
		return (block);
	if ((moved = __libc_malloc(size)) == NULL)
		return (NULL);
	memcpy(moved, block, size < usable ? size : usable);
	heap_free(block);
	return (moved);
}

char *
heap_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = __libc_malloc(size);

	if (copy == NULL)
		return (NULL);
	memcpy(copy, text, size);
	if (watched != NULL && copy_count < COPIES_MAX && strcmp(watched, text) == 0)
		copies[copy_count++] = copy;
	return (copy);
}

void
leased_secret_watch_copies(const char *text)
{
	watched = text;
	copy_count = 0;
}

void
leased_secret_wipe_copies(void)
{
	while (copy_count > 0) {
		copy_count--;
		explicit_bzero(copies[copy_count], strlen(copies[copy_count]));
	}
	watched = NULL;
}

#else

void
leased_secret_watch_copies(const char *text)
{
	(void)text;
}

void
leased_secret_wipe_copies(void)
{
}

#endif
