/*
 * RESP: makes commands, reads replies. A reply is measured before it is read, so that nothing is
 * allocated for what is not there or is too much. Called by node.c; knows nothing of what is asked.
 */
#include "resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <leased/secret.h>

/* ---- commands ---- */

static void
append(struct redis_command *command, const char *bytes, size_t len)
{
	size_t size;
	char *grown;

	if (command->failed)
		return;
	if (len > command->size - command->len) {
		size = (command->len + len) * 2;
		if ((grown = malloc(size)) == NULL) {
			command->failed = true;
			return;
		}
		if (command->len > 0) {
			memcpy(grown, command->bytes, command->len);
			leased_wipe(command->bytes, command->len);
		}
		free(command->bytes);
		command->bytes = grown;
		command->size = size;
	}
	memcpy(command->bytes + command->len, bytes, len);
	command->len += len;
}

void
redis_command_add_bytes(struct redis_command *command, const char *bytes, size_t len)
{
	char head[32];

	append(command, head, (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len));
	append(command, bytes, len);
	append(command, "\r\n", 2);
	command->count++;
}

void
redis_command_add(struct redis_command *command, const char *word)
{
	redis_command_add_bytes(command, word, strlen(word));
}

static void
name_verb(struct redis_command *command, const char *first, const char *second)
{
	bool is_group = strcmp(first, "ACL") == 0 || strcmp(first, "CLIENT") == 0;

	(void)snprintf(command->verb, sizeof(command->verb), "%s%s%s", first,
	    is_group && second != NULL ? "|" : "", is_group && second != NULL ? second : "");
	for (char *c = command->verb; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
}

void
redis_command_begin(struct redis_command *command, ...)
{
	const char *word, *first = NULL;
	va_list words;

	va_start(words, command);
	while ((word = va_arg(words, const char *)) != NULL) {
		if (first == NULL)
			name_verb(command, first = word, NULL);
		else if (command->count == 1)
			name_verb(command, first, word);
		redis_command_add(command, word);
	}
	va_end(words);
}

void
redis_command_header(const struct redis_command *command, char ret_text[REDIS_HEADER_SIZE])
{
	(void)snprintf(ret_text, REDIS_HEADER_SIZE, "*%zu\r\n", command->count);
}

void
redis_command_clear(struct redis_command *command)
{
	if (command->bytes != NULL)
		leased_wipe(command->bytes, command->len);
	free(command->bytes);
	memset(command, 0, sizeof(*command));
}

/* ---- replies ---- */

struct reader {
	const char *bytes;
	size_t len, at;
	size_t items; /* seen so far */
};

static int
broken(struct leased_err *err, const char *what)
{
	return (leased_err_set(
	    err, LEASED_EPROTO, "the server does not speak as Redis does: %s", what));
}

/* The line at the reader's place, without its end; false: it is not whole yet. *ret_r tells of one
 * that is too long. */
static bool
next_line(struct reader *reader, const char **ret_line, size_t *ret_len, int *ret_r,
    struct leased_err *err)
{
	const char *line = reader->bytes + reader->at;
	size_t left = reader->len - reader->at;
	size_t look = left < REDIS_LINE_MAX ? left : REDIS_LINE_MAX;
	const char *end = memchr(line, '\r', look);

	if (end == NULL || (size_t)(end - line) + 1 >= left) {
		if (end == NULL && left >= REDIS_LINE_MAX)
			*ret_r = broken(err, "a line without an end");
		return (false);
	}
	if (end[1] != '\n') {
		*ret_r = broken(err, "a line that ends in the middle");
		return (false);
	}
	*ret_line = line;
	*ret_len = (size_t)(end - line);
	reader->at += *ret_len + 2;
	return (true);
}

static int
read_number(const char *text, size_t len, int64_t *ret_number, struct leased_err *err)
{
	char copy[24];
	char *end;
	size_t digits = len > 0 && text[0] == '-' ? len - 1 : len;

	if (digits == 0 || len >= sizeof(copy))
		return (broken(err, "a number of no sensible length"));
	for (size_t i = len - digits; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return (broken(err, "a number with other characters in it"));
	if (digits > 18)
		return (broken(err, "a number that is too large"));
	memcpy(copy, text, len);
	copy[len] = '\0';
	*ret_number = strtoll(copy, &end, 10);
	return (0);
}

/* A value's first line. */
struct head {
	char type;
	const char *text;
	size_t len;
	int64_t number; /* of : $ * */
};

/* 1: there is one; 0: more is needed. */
static int
next_head(struct reader *reader, struct head *ret_head, struct leased_err *err)
{
	struct head head = {0};
	const char *line;
	size_t len;
	int r = 0;

	if (!next_line(reader, &line, &len, &r, err))
		return (r);
	if (len == 0)
		return (broken(err, "an empty line"));
	head.type = line[0];
	head.text = line + 1;
	head.len = len - 1;
	if (memchr("+-:$*", head.type, 5) == NULL)
		return (broken(err, "a value of an unknown kind"));
	if (strchr(":$*", head.type) != NULL &&
	    (r = read_number(head.text, head.len, &head.number, err)) != 0)
		return (r);
	if (strchr("$*", head.type) != NULL && head.number < -1)
		return (broken(err, "a length below zero"));
	if (++reader->items > REDIS_ITEMS_MAX ||
	    (head.type == '*' && head.number > (int64_t)(REDIS_ITEMS_MAX - reader->items)) ||
	    (head.type == '$' && head.number > (int64_t)REDIS_REPLY_MAX))
		return (broken(err, "an answer that is too large"));
	*ret_head = head;
	return (1);
}

/* The text behind a head of '$'. 1: it is whole. */
static int
next_text(struct reader *reader, size_t text_len, const char **ret_text, struct leased_err *err)
{
	if (reader->len - reader->at < text_len + 2)
		return (0);
	*ret_text = reader->bytes + reader->at;
	reader->at += text_len + 2;
	if (memcmp(*ret_text + text_len, "\r\n", 2) != 0)
		return (broken(err, "a text that is longer than it says"));
	return (1);
}

int
redis_reply_measure(const char *bytes, size_t len, size_t *ret_len, struct leased_err *err)
{
	struct reader reader = {.bytes = bytes, .len = len};
	int64_t left[REDIS_DEPTH_MAX] = {1}; /* values still to come, by depth */
	unsigned depth = 0;
	const char *text;
	struct head head;
	int r;

	for (;;) {
		if ((r = next_head(&reader, &head, err)) != 1)
			goto out;
		left[depth]--;
		if (head.type == '$' && head.number >= 0 &&
		    (r = next_text(&reader, (size_t)head.number, &text, err)) != 1)
			goto out;
		if (head.type == '*' && head.number > 0) {
			if (++depth == REDIS_DEPTH_MAX)
				return (broken(err, "an answer that is too deep"));
			left[depth] = head.number;
		}
		while (depth > 0 && left[depth] == 0)
			depth--;
		if (depth == 0 && left[0] == 0)
			break;
	}
	*ret_len = reader.at;
	return (0);
out:
	if (r == 0 && len > REDIS_REPLY_MAX)
		return (broken(err, "an answer that is too large"));
	if (r == 0)
		*ret_len = 0;
	return (r);
}

static int
read_value(struct reader *reader, struct redis_reply *reply, unsigned depth, struct leased_err *err)
{
	struct head head;
	int r;

	if ((r = next_head(reader, &head, err)) != 1 || depth == REDIS_DEPTH_MAX)
		return (r < 0 ? r : broken(err, "an answer that was not measured"));
	reply->text = head.text;
	reply->len = head.len;
	reply->integer = head.number;
	if (head.type == '+' || head.type == '-') {
		reply->kind = head.type == '+' ? REDIS_STATUS : REDIS_ERROR;
		return (0);
	}
	if (head.type == ':' || head.number < 0) {
		reply->kind = head.type == ':' ? REDIS_INTEGER : REDIS_NIL;
		reply->len = 0;
		return (0);
	}
	reply->len = (size_t)head.number;
	if (head.type == '$') {
		reply->kind = REDIS_TEXT;
		r = next_text(reader, reply->len, &reply->text, err);
		return (r == 1 ? 0 : r < 0 ? r : broken(err, "an answer that was not measured"));
	}
	reply->kind = REDIS_LIST;
	if (reply->len == 0)
		return (0);
	if ((reply->items = calloc(reply->len, sizeof(reply->items[0]))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = 0;
	for (size_t i = 0; r == 0 && i < reply->len; i++)
		r = read_value(reader, &reply->items[i], depth + 1, err);
	return (r);
}

int
redis_reply_read(
    const char *bytes, size_t len, struct redis_reply *ret_reply, struct leased_err *err)
{
	struct reader reader = {.bytes = bytes, .len = len};
	struct redis_reply reply = {0};
	int r;

	if ((r = read_value(&reader, &reply, 0, err)) != 0) {
		redis_reply_clear(&reply);
		return (r);
	}
	*ret_reply = reply;
	return (0);
}

void
redis_reply_clear(struct redis_reply *reply)
{
	for (size_t i = 0; reply->kind == REDIS_LIST && reply->items != NULL && i < reply->len; i++)
		redis_reply_clear(&reply->items[i]);
	free(reply->items);
	memset(reply, 0, sizeof(*reply));
}

bool
redis_reply_is(const struct redis_reply *reply, enum redis_kind kind, const char *text)
{
	return (reply->kind == kind && reply->text != NULL && reply->len == strlen(text) &&
		memcmp(reply->text, text, reply->len) == 0);
}

bool
redis_reply_is_error(const struct redis_reply *reply, const char *beginning)
{
	return (reply->kind == REDIS_ERROR && reply->len >= strlen(beginning) &&
		memcmp(reply->text, beginning, strlen(beginning)) == 0);
}
