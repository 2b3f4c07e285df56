/*
 * UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first character of bytes: its length in bytes (1 to 4), or 0 when it is invalid or len is 0.
 */
size_t utf8_decode(const void *bytes, size_t len, uint32_t *ret_rune);

/* Writes rune into ret_bytes and returns its length; 0 for a surrogate or what is above U+10FFFF.
 */
size_t utf8_encode(uint32_t rune, char ret_bytes[4]);

bool utf8_is_valid(const void *bytes, size_t len);

/* May rune stand in a path or a name? Control and invisible formatting characters may not: they
 * make two names look alike and disturb logs. */
bool utf8_is_printable(uint32_t rune);

#endif
