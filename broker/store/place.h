/*
 * The directory of a store, before there is one.
 */
#ifndef STORE_PLACE_H
#define STORE_PLACE_H

#include <leased/error.h>

/* Makes it where it is missing, and refuses one of somebody else's or open to others: for what is
 * made beside the store, and must not be left behind where that is refused. store_open() asks the
 * same. */
int store_place_check(const char *dir, struct leased_err *err) LEASED_MUST_CHECK;

#endif
