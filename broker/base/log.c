/*
 * The log: builds one line in a buffer of its own and hands it to stderr with a single write, so
 * that lines of several threads and processes do not mix and nothing is allocated.
 *
 * Does not rotate, filter secrets or know a file: stderr is the journal's or the terminal's. Called
 * by everyone.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/wclock.h"

/* A pipe takes up to this many bytes (PIPE_BUF) as one; a longer line is cut, visibly. */
#define LINE_SIZE 4096
/* Kept free for the mark of a cut value and what closes the line. */
#define LINE_RESERVE 64

struct line {
	char bytes[LINE_SIZE];
	size_t len;
	bool is_cut;
};

static _Atomic(enum log_level) threshold = LOG_LEVEL_INFO;
static _Atomic(enum log_format) line_format = LOG_FORMAT_TEXT;
static atomic_ullong lost_lines;
static atomic_bool is_bug_seen;
static pthread_mutex_t limit_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t write_mutex = PTHREAD_MUTEX_INITIALIZER;

void
log_setup(enum log_level level, enum log_format format)
{
	atomic_store(&threshold, level);
	atomic_store(&line_format, format);
}

bool
log_enabled(enum log_level level)
{
	return (level >= atomic_load_explicit(&threshold, memory_order_relaxed));
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return ("debug");
	case LOG_LEVEL_INFO:
		return ("info");
	case LOG_LEVEL_WARN:
		return ("warn");
	case LOG_LEVEL_ERROR:
		return ("error");
	}
	return ("error");
}

/* Appends what certainly fits: punctuation and the ends of what was begun. */
static void
line_put(struct line *line, const char *text)
{
	size_t len = strlen(text);

	if (len >= sizeof(line->bytes) - line->len)
		return;
	memcpy(line->bytes + line->len, text, len + 1);
	line->len += len;
}

/* How many bytes the character at text has, 0 when it is not UTF-8 or a control character. */
static size_t
printable_len(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t len, i;

	if (c[0] < 0x80)
		return (c[0] >= 0x20 && c[0] != 0x7f ? 1 : 0);
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return (0);
	len = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	for (i = 1; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return (0);
	}
	if ((c[0] == 0xc2 && c[1] < 0xa0) || (c[0] == 0xe0 && c[1] < 0xa0) ||
	    (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
	    (c[0] == 0xf4 && c[1] > 0x8f))
		return (0);
	return (len);
}

/* Appends what stands for itself, which nearly all is; how much of text that was. */
static size_t
line_put_plain(struct line *line, const char *text)
{
	size_t most = sizeof(line->bytes) - LINE_RESERVE + 1 - line->len, len = 0;

	while (len < most && text[len] >= ' ' && text[len] != 0x7f && text[len] != '"' &&
	       text[len] != '\\') {
		line->bytes[line->len + len] = text[len];
		len++;
	}
	line->len += len;
	line->bytes[line->len] = '\0';
	return (len);
}

/* Appends text with everything escaped that could end the string, break the line or steer a
 * terminal; cuts at the reserve. */
static void
line_put_escaped(struct line *line, const char *text, enum log_format format)
{
	char escaped[8];
	size_t len;

	for (;; text += len != 0 ? len : 1) {
		if (line->len <= sizeof(line->bytes) - LINE_RESERVE)
			text += line_put_plain(line, text);
		if (*text == '\0')
			return;
		if (line->len > sizeof(line->bytes) - LINE_RESERVE) {
			line_put(line, "[cut]");
			line->is_cut = true;
			return;
		}
		len = printable_len(text);
		if (*text == '"' || *text == '\\')
			snprintf(escaped, sizeof(escaped), "\\%c", *text);
		else if (*text == '\n')
			snprintf(escaped, sizeof(escaped), "\\n");
		else if (len != 0)
			snprintf(escaped, sizeof(escaped), "%.*s", (int)len, text);
		else if (format == LOG_FORMAT_JSON && (unsigned char)*text >= 0x80)
			snprintf(escaped, sizeof(escaped), "\\ufffd");
		else if (format == LOG_FORMAT_JSON)
			snprintf(
			    escaped, sizeof(escaped), "\\u%04x", (unsigned)(unsigned char)*text);
		else
			snprintf(
			    escaped, sizeof(escaped), "\\x%02x", (unsigned)(unsigned char)*text);
		line_put(line, escaped);
	}
}

/* May text stand in a text line without quotes? */
static bool
is_bare(const char *text)
{
	static const char bare[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@+,";

	return (text[0] != '\0' && text[strspn(text, bare)] == '\0');
}

static void
line_put_field(struct line *line, const struct log_field *field, enum log_format format)
{
	bool is_json = format == LOG_FORMAT_JSON;
	char number[32];

	/* The key and the shortest value must fit, or the field is left out whole. */
	if (line->is_cut ||
	    strlen(field->key) + LINE_RESERVE > sizeof(line->bytes) - LINE_RESERVE - line->len) {
		line->is_cut = true;
		return;
	}
	line_put(line, is_json ? ",\"" : " ");
	line_put(line, field->key);
	line_put(line, is_json ? "\":" : "=");
	if (field->text == NULL) {
		snprintf(number, sizeof(number), "%" PRId64, field->number);
		line_put(line, number);
	} else if (!is_json && is_bare(field->text)) {
		line_put_escaped(line, field->text, format);
	} else {
		line_put(line, "\"");
		line_put_escaped(line, field->text, format);
		line_put(line, "\"");
	}
}

static void
line_put_head(struct line *line, enum log_level level, const char *message, enum log_format format)
{
	char time[WCLOCK_RFC3339_SIZE];
	struct wclock *clock = wclock_system();

	wclock_format_rfc3339(clock->wall_us(clock), time);
	if (format == LOG_FORMAT_JSON) {
		line_put(line, "{\"time\":\"");
		line_put(line, time);
		line_put(line, "\",\"level\":\"");
		line_put(line, level_name(level));
		line_put(line, "\",\"message\":\"");
		line_put_escaped(line, message, format);
		line_put(line, "\"");
		return;
	}
	/* Milliseconds are enough for a person's eyes. */
	time[sizeof("2026-11-23T02:43:50.123") - 1] = '\0';
	line_put(line, time);
	line_put(line, "Z ");
	line_put(line, level_name(level));
	line_put(line, ": ");
	line_put_escaped(line, message, format);
}

/*
 * One write. A line that stderr does not take at once (a pipe whose reader stands still, a terminal
 * that was stopped) is counted; the next one tells the count, and lost is what this one tells.
 * O_NONBLOCK would belong to everybody who has the same stderr, so that stderr is asked first,
 * under a mutex: between the answer and the write no other thread may take the room.
 */
static void
line_write(const struct line *line, uint64_t lost)
{
	struct pollfd stderr_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t written = -1;

	pthread_mutex_lock(&write_mutex);
	if (poll(&stderr_fd, 1, 0) > 0) {
		do {
			written = write(STDERR_FILENO, line->bytes, line->len);
		} while (written < 0 && errno == EINTR);
	}
	pthread_mutex_unlock(&write_mutex);
	if (written < 0)
		atomic_fetch_add(&lost_lines, lost + 1);
}

void
log_write(enum log_level level, const char *message, const struct log_field *fields, unsigned count)
{
	enum log_format format = atomic_load_explicit(&line_format, memory_order_relaxed);
	int saved_errno = errno;
	struct line line;
	uint64_t lost;
	unsigned i;

	if (!log_enabled(level))
		return;
	line.len = 0;
	line.is_cut = false;
	line_put_head(&line, level, message, format);
	if ((lost = atomic_exchange(&lost_lines, 0)) > 0)
		line_put_field(&line, &LOG_I("lost_lines", lost), format);
	for (i = 0; i < count; i++)
		line_put_field(&line, &fields[i], format);
	if (line.is_cut)
		line_put(&line, format == LOG_FORMAT_JSON ? ",\"cut\":true" : " [cut]");
	line_put(&line, format == LOG_FORMAT_JSON ? "}\n" : "\n");
	line_write(&line, lost);
	errno = saved_errno;
}

bool
log_limited(struct log_limit *limit, uint64_t *ret_left_out)
{
	struct wclock *clock = wclock_system();
	int64_t now_us = clock->boot_us(clock);
	bool is_due;

	pthread_mutex_lock(&limit_mutex);
	is_due = limit->last_boot_us == 0 || now_us - limit->last_boot_us >= 1000000;
	if (is_due) {
		*ret_left_out = limit->left_out;
		limit->left_out = 0;
		limit->last_boot_us = now_us;
	} else {
		limit->left_out++;
	}
	pthread_mutex_unlock(&limit_mutex);
	return (is_due);
}

int
log_bug(struct leased_err *err, const char *file, int line, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	atomic_store(&is_bug_seen, true);
	log_error("bug", LOG_S("what", text), LOG_S("file", file), LOG_I("line", line));
#ifdef LEASED_DEBUG
	abort();
#endif
	return (leased_err_set(err, LEASED_EBUG,
	    "internal error (%s:%d: %s); this is a bug in leased, please report it with this text",
	    file, line, text));
}

bool
log_bug_seen(void)
{
	return (atomic_load(&is_bug_seen));
}

void
log_fatal(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_write(LOG_LEVEL_ERROR, text, NULL, 0);
	/* Not exit(3): another thread may be in the middle of what its handlers would tear down. */
	_exit(1);
}
