/*
 * The bytes of JSON: blanks, lines and strings, eight at a time where nothing is special about
 * them. It builds no value. Called by jdec_read.c, and by jdec.c to say where a mistake is.
 */
#include <string.h>

#include "base/jdec.h"
#include "base/jdec_private.h"
#include "base/utf8.h"

/* ---- many bytes at a time: in each, the highest bit of a byte says that it is such a one ---- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t
load(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return (word);
}

/* Exact: no borrow goes from one byte to the next. */
static uint64_t
equal(uint64_t word, uint8_t byte)
{
	uint64_t differs = word ^ EACH(byte);

	return (~(((differs & EACH(0x7f)) + EACH(0x7f)) | differs) & EACH(0x80));
}

/* Is any byte a control, a quote, a backslash, or not ASCII? */
static bool
any_special(uint64_t word)
{
	uint64_t control = (word - EACH(0x20)) & ~word;

	return (((control | word | equal(word, '"') | equal(word, '\\')) & EACH(0x80)) != 0);
}

static bool
is_blank(uint8_t byte)
{
	return (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r');
}

size_t
jdec_blanks(const void *bytes, size_t len)
{
	const uint8_t *start = bytes, *at = start, *end = start + len;

	/* Most are none, or one. */
	for (; at != end && is_blank(*at); at++) {
		while (end - at > 8 &&
		       (equal(load(at), ' ') | equal(load(at), '\n') | equal(load(at), '\t') |
			   equal(load(at), '\r')) == EACH(0x80))
			at += 8;
		if (!is_blank(*at))
			break;
	}
	return ((size_t)(at - start));
}

void
jdec_locate(const uint8_t *bytes, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	const uint8_t *newline = at > 0 ? memrchr(bytes, '\n', at) : NULL;
	unsigned line = 1;
	size_t i = 0;

	for (; at - i >= 8; i += 8)
		line += (unsigned)__builtin_popcountll(equal(load(bytes + i), '\n'));
	for (; i < at; i++)
		line += bytes[i] == '\n';
	*ret_line = line;
	*ret_column = (unsigned)(newline != NULL ? bytes + at - newline : (ptrdiff_t)at + 1);
}

/* ---- strings ---- */

void
jdec_text_clear(struct jdec_text *text)
{
	leased_wipe(text->owned, text->owned_size);
	free(text->owned);
}

static bool
refuse_length(struct jdec_reader *in, const uint8_t *start)
{
	in->at = start;
	(void)leased_err_set(in->err, LEASED_ETOOBIG, "a JSON string is longer than %zu bytes",
	    in->limits->string_len);
	return (false);
}

/* How long the next character of a string is; 0: it is none, or the quote at the end. */
static size_t
character_len(const uint8_t *at, size_t left, bool *escapes)
{
	uint32_t rune;

	if (*at >= 0x80) {
		if (*at >= 0xc2 && *at <= 0xdf && left > 1 && (at[1] & 0xc0) == 0x80)
			return (2);
		return (utf8_decode(at, left, &rune));
	}
	if (*at == '\\') {
		*escapes = true;
		return (left > 1 ? 2 : 1);
	}
	return (*at < 0x20 || *at == '"' ? 0 : 1);
}

static bool
refuse_character(struct jdec_reader *in, const uint8_t *at)
{
	in->at = at;
	if (at == in->end || (*at > 0 && *at < 0x20))
		return (jdec_refuse_here(in));
	return (jdec_refuse(in, LEASED_EINVAL,
	    *at == 0 ? "a JSON string holds a NUL" : "the JSON is not valid UTF-8"));
}

/* Behind the quote, up to the closing one; *ret_escapes: bytes are not what they stand for. No more
 * is looked at than the longest string can take when all of it is escaped. */
static bool
find_end(struct jdec_reader *in, const uint8_t **ret_end, bool *ret_escapes)
{
	const uint8_t *start = in->at, *at = start;
	size_t longest = 6 * in->limits->string_len, len;

	*ret_escapes = false;
	while ((size_t)(at - start) <= longest) {
		while (
		    in->end - at >= 8 && !any_special(load(at)) && (size_t)(at - start) <= longest)
			at += 8;
		/* What is special seldom comes alone. */
		for (unsigned i = 0; i < 32; i++, at += len) {
			if (at != in->end &&
			    (len = character_len(at, (size_t)(in->end - at), ret_escapes)) != 0)
				continue;
			if (at == in->end || *at != '"')
				return (refuse_character(in, at));
			*ret_end = at;
			return (true);
		}
	}
	return (refuse_length(in, start));
}

static bool
take_hex(const uint8_t **at, const uint8_t *end, uint32_t *ret_unit)
{
	uint32_t unit = 0;

	if (end - *at < 4)
		return (false);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t c = *(*at)++, low = (uint8_t)(c | 0x20);

		if (c >= '0' && c <= '9')
			unit = unit << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			unit = unit << 4 | (uint32_t)(low - 'a' + 10);
		else
			return (false);
	}
	*ret_unit = unit;
	return (true);
}

/* Behind "\u"; the bytes written, 0: no character. Half a surrogate pair is none. */
static size_t
take_rune(const uint8_t **at, const uint8_t *end, char *to)
{
	uint32_t rune, low;

	if (!take_hex(at, end, &rune))
		return (0);
	if (rune >= 0xd800 && rune <= 0xdbff) {
		if (end - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u')
			return (0);
		*at += 2;
		if (!take_hex(at, end, &low) || low < 0xdc00 || low > 0xdfff)
			return (0);
		rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
	}
	return (rune == 0 ? 0 : utf8_encode(rune, to));
}

/* What stands for what, behind a backslash. */
static const char escaped[256] = {['"'] = '"',
    ['\\'] = '\\',
    ['/'] = '/',
    ['b'] = '\b',
    ['f'] = '\f',
    ['n'] = '\n',
    ['r'] = '\r',
    ['t'] = '\t'};

/* What the escapes between at and end stand for; never longer than they are. */
static bool
unescape(struct jdec_reader *in, const uint8_t *end, char *to, size_t *ret_len)
{
	const uint8_t *at = in->at;
	char *start = to;
	size_t len;

	while (at < end) {
		if (*at != '\\') {
			*to++ = (char)*at++;
			continue;
		}
		in->at = at++;
		if (escaped[*at] != '\0') {
			*to++ = escaped[*at++];
			continue;
		}
		if (*at++ != 'u')
			return (jdec_refuse_here(in));
		if ((len = take_rune(&at, end, to)) == 0)
			return (jdec_refuse(in, LEASED_EINVAL,
			    "a JSON string holds an escape that stands for no character, or a "
			    "NUL"));
		to += len;
	}
	*ret_len = (size_t)(to - start);
	return (true);
}

bool
jdec_text_read(struct jdec_reader *in, struct jdec_text *ret_text)
{
	const uint8_t *start = in->at, *end = NULL;
	struct jdec_text text = {.bytes = (const char *)start};
	bool escapes;

	if (!find_end(in, &end, &escapes))
		return (false);
	text.len = (size_t)(end - start);
	if (escapes) {
		text.owned_size = text.len + 1;
		if ((text.owned = malloc(text.owned_size)) == NULL)
			return (jdec_refuse_memory(in));
		if (!unescape(in, end, text.owned, &text.len)) {
			jdec_text_clear(&text);
			return (false);
		}
		text.bytes = text.owned;
	}
	if (text.len > in->limits->string_len) {
		jdec_text_clear(&text);
		return (refuse_length(in, start));
	}
	in->at = end + 1;
	*ret_text = text;
	return (true);
}
