/*
 * One line of ACL LIST, "user NAME on #hash ~keys +commands": who it is and whether it can log in.
 */
#ifndef REDIS_LISTING_H
#define REDIS_LISTING_H

#include <stdbool.h>
#include <stddef.h>

struct redis_listed {
	char name[256];
	bool is_armed; /* on, with a password or without need of one */
};

/* False: it is no such line, or its name is longer than any of ours. */
bool redis_listed_read(const char *line, size_t len, struct redis_listed *ret_user);

#endif
