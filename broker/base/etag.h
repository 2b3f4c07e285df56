/*
 * The mark by which whoever keeps a text finds out whether it has changed (RFC 9110, section
 * 8.8.3): a strong one, of its bytes.
 */
#ifndef BASE_ETAG_H
#define BASE_ETAG_H

#include <stddef.h>

#include <leased/error.h>

#define ETAG_SIZE 35 /* 32 hexadecimal digits in quotes */

int etag_of(const void *bytes, size_t len, char ret_etag[ETAG_SIZE]) LEASED_MUST_CHECK;

#endif
