/*
 * UTF-8 by the table of RFC 3629, section 4: decoding, encoding, and which characters names may
 * hold, and how texts for people are cut. It knows no locale. Called by path.c, hcl.c and whoever
 * puts what others wrote into a text; JSON text is checked by jansson itself.
 */
#include <string.h>

#include "base/utf8.h"

static bool
is_continuation(uint8_t byte)
{
	return ((byte & 0xc0) == 0x80);
}

size_t
utf8_decode(const void *bytes, size_t len, uint32_t *ret_rune)
{
	const uint8_t *b = bytes;
	uint32_t rune;
	size_t count;

	if (len == 0)
		return (0);
	if (b[0] < 0x80) {
		*ret_rune = b[0];
		return (1);
	}
	if (b[0] >= 0xc2 && b[0] <= 0xdf)
		count = 2;
	else if ((b[0] & 0xf0) == 0xe0)
		count = 3;
	else if (b[0] >= 0xf0 && b[0] <= 0xf4)
		count = 4;
	else
		return (0);
	if (len < count)
		return (0);
	rune = b[0] & (0xffu >> (count + 1));
	for (size_t i = 1; i < count; i++) {
		if (!is_continuation(b[i]))
			return (0);
		rune = rune << 6 | (b[i] & 0x3fu);
	}
	/* What the first byte alone does not rule out: overlong forms, surrogates, and beyond the
	 * last plane. */
	if ((count == 3 && rune < 0x800) || (count == 4 && rune < 0x10000) || rune > 0x10ffff ||
	    (rune >= 0xd800 && rune <= 0xdfff))
		return (0);
	*ret_rune = rune;
	return (count);
}

size_t
utf8_encode(uint32_t rune, char ret_bytes[4])
{
	if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return (0);
	if (rune < 0x80) {
		ret_bytes[0] = (char)rune;
		return (1);
	}
	if (rune < 0x800) {
		ret_bytes[0] = (char)(0xc0 | rune >> 6);
		ret_bytes[1] = (char)(0x80 | (rune & 0x3f));
		return (2);
	}
	if (rune < 0x10000) {
		ret_bytes[0] = (char)(0xe0 | rune >> 12);
		ret_bytes[1] = (char)(0x80 | (rune >> 6 & 0x3f));
		ret_bytes[2] = (char)(0x80 | (rune & 0x3f));
		return (3);
	}
	ret_bytes[0] = (char)(0xf0 | rune >> 18);
	ret_bytes[1] = (char)(0x80 | (rune >> 12 & 0x3f));
	ret_bytes[2] = (char)(0x80 | (rune >> 6 & 0x3f));
	ret_bytes[3] = (char)(0x80 | (rune & 0x3f));
	return (4);
}

bool
utf8_is_valid(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	while (len > 0) {
		uint32_t rune;
		size_t n = utf8_decode(b, len, &rune);

		if (n == 0)
			return (false);
		b += n;
		len -= n;
	}
	return (true);
}

bool
utf8_is_printable(uint32_t rune)
{
	/* Control, invisible and direction-changing characters, private noncharacters. */
	static const struct {
		uint32_t first, last;
	} refused[] = {
	    {0x0000, 0x001f},
	    {0x007f, 0x009f},
	    {0x00ad, 0x00ad},
	    {0x061c, 0x061c},
	    {0x180e, 0x180e},
	    {0x200b, 0x200f},
	    {0x2028, 0x202e},
	    {0x2060, 0x206f},
	    {0xfdd0, 0xfdef},
	    {0xfeff, 0xfeff},
	    {0xfff0, 0xfffb},
	    {0xe0000, 0xe0fff},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (rune >= refused[i].first && rune <= refused[i].last)
			return (false);
	return ((rune & 0xfffe) != 0xfffe);
}

/* ---- texts for people ---- */

static const char cut_mark[] = " [cut]", middle_mark[] = "[..]";

void
utf8_mend(char *text)
{
	size_t len = strlen(text), n;
	uint32_t rune;

	for (size_t at = 0; at < len; at += n) {
		if ((n = utf8_decode(text + at, len - at, &rune)) != 0)
			continue;
		text[at] = '?';
		n = 1;
	}
}

void
utf8_mend_shown(char *text)
{
	size_t len = strlen(text), n;
	uint32_t rune;

	for (size_t at = 0; at < len; at += n) {
		n = utf8_decode(text + at, len - at, &rune);
		if (n != 0 && utf8_is_printable(rune))
			continue;
		n = n != 0 ? n : 1;
		memset(text + at, '?', n);
	}
}

/* The last place at or before at where a character begins. */
static size_t
character_start(const char *text, size_t at)
{
	while (at > 0 && is_continuation((uint8_t)text[at]))
		at--;
	return (at);
}

void
utf8_mark_cut(char *text, size_t size, int wanted_len)
{
	if (wanted_len < 0 || (size_t)wanted_len >= size) {
		size_t at = size > sizeof(cut_mark) ? size - sizeof(cut_mark) : 0;

		if (size >= sizeof(cut_mark))
			memcpy(text + character_start(text, at), cut_mark, sizeof(cut_mark));
	}
	utf8_mend(text);
}

const char *
utf8_shorten(const char *text, size_t max_len, struct utf8_short *room)
{
	size_t len, head, tail;

	if (text == NULL)
		return ("");
	len = strlen(text);
	if (max_len > UTF8_SHORT_MAX)
		max_len = UTF8_SHORT_MAX;
	if (len <= max_len)
		return (text);
	head = max_len < sizeof(middle_mark) ? 0 : (max_len - (sizeof(middle_mark) - 1)) * 2 / 3;
	tail = max_len < sizeof(middle_mark) ? 0 : max_len - (sizeof(middle_mark) - 1) - head;
	head = character_start(text, head);
	tail = len - tail;
	while (is_continuation((uint8_t)text[tail]))
		tail++;
	memcpy(room->text, text, head);
	memcpy(room->text + head, middle_mark, sizeof(middle_mark));
	memcpy(room->text + head + sizeof(middle_mark) - 1, text + tail, len - tail + 1);
	return (room->text);
}
