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

/*
 * For texts that people read. Texts are cut where a character ends and never without a mark, since
 * half a character makes JSON of the whole impossible.
 */

/* Puts '?' for each byte that belongs to no character. */
void utf8_mend(char *text);
/* And for each of a character that utf8_is_printable() refuses: what a terminal may be shown. */
void utf8_mend_shown(char *text);

/* text was filled by a printf into size bytes that wanted wanted_len: if that was more, it ends
 * with " [cut]" now. Mends it, too. */
void utf8_mark_cut(char *text, size_t size, int wanted_len);

/* text itself when it has at most max_len bytes (and max_len is at most UTF8_SHORT_MAX), else its
 * beginning and its end with "[..]" between, in room. NULL: "". */
#define UTF8_SHORT_MAX 512
struct utf8_short {
	char text[UTF8_SHORT_MAX + 1];
};
const char *utf8_shorten(const char *text, size_t max_len, struct utf8_short *room);
/* The same within one expression: the arguments of a printf. */
#define UTF8_SHORT(text, max_len) utf8_shorten((text), (max_len), &(struct utf8_short){{0}})

/* May rune stand in a path or a name? Control and invisible formatting characters may not: they
 * make two names look alike and disturb logs. */
bool utf8_is_printable(uint32_t rune);

#endif
