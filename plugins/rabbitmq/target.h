/*
 * Paths of the management API: names of users and virtual hosts hold anything, and stand in a path
 * escaped.
 */
#ifndef RABBITMQ_TARGET_H
#define RABBITMQ_TARGET_H

#include <stddef.h>

/* "/api" and each element behind a '/', escaped, and "?query" (NULL: none); the caller's to free().
 * NULL: out of memory. */
char *rabbitmq_target(const char *const *elements, size_t count, const char *query);

#endif
