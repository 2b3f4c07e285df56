/*
 * Reads lines of ACL LIST. No name has a blank in it, so that words end at blanks. Called by
 * inventory.c.
 */
#include "listing.h"

#include <string.h>

/* The next word; its length is 0 at the end. */
static size_t
next_word(const char **line, const char *end, const char **ret_word)
{
	const char *blank;

	while (*line < end && **line == ' ')
		(*line)++;
	*ret_word = *line;
	blank = memchr(*line, ' ', (size_t)(end - *line));
	*line = blank != NULL ? blank : end;
	return ((size_t)(*line - *ret_word));
}

static bool
is_word(const char *word, size_t len, const char *text)
{
	return (len == strlen(text) && memcmp(word, text, len) == 0);
}

bool
redis_listed_read(const char *line, size_t len, struct redis_listed *ret_user)
{
	struct redis_listed user = {0};
	const char *end = line + len, *word;
	bool is_on = false, has_password = false;
	size_t word_len = next_word(&line, end, &word);

	if (!is_word(word, word_len, "user"))
		return (false);
	word_len = next_word(&line, end, &word);
	if (word_len == 0 || word_len >= sizeof(user.name) || memchr(word, '\0', word_len) != NULL)
		return (false);
	memcpy(user.name, word, word_len);
	while ((word_len = next_word(&line, end, &word)) > 0 && word[0] != '(') {
		is_on |= is_word(word, word_len, "on");
		has_password |= word[0] == '#' || is_word(word, word_len, "nopass");
	}
	user.is_armed = is_on && has_password;
	*ret_user = user;
	return (true);
}
