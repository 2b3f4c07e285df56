/*
 * The log: one line an event, to stderr, as text or JSON, with fields. Never a secret. Safe from
 * any thread.
 *
 * The top of an operation logs, once; who returns an error does not log it. Lines of one call site
 * that repeat are rate-limited by log_limited(): at most one a second, with the count of those left
 * out.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Fields of a line: log_info("lease revoked", LOG_S("lease", id), LOG_I("late_ms", n)). Keys are
 * literals; values are borrowed for the call. */
struct log_field {
	const char *key;
	const char *text; /* NULL: number holds */
	int64_t number;
};
#define LOG_S(k, v) ((struct log_field){.key = (k), .text = (v) != NULL ? (v) : ""})
#define LOG_I(k, v) ((struct log_field){.key = (k), .number = (int64_t)(v)})
#define LOG_ERR(e) ((struct log_field){.key = "error", .text = (e)->text})

void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
void log_write(
    enum log_level level, const char *message, const struct log_field *fields, unsigned count);

/* The empty field at the end is not counted: it makes a line without fields valid C11. */
#define LOG_LINE_(level, message, ...)                                                             \
	log_write(level, message, (const struct log_field[]){__VA_ARGS__}, LOG_COUNT_(__VA_ARGS__))
#define LOG_COUNT_(...)                                                                            \
	((unsigned)(sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)) - 1)
#define log_debug(...) LOG_LINE_(LOG_LEVEL_DEBUG, __VA_ARGS__, {0})
#define log_info(...) LOG_LINE_(LOG_LEVEL_INFO, __VA_ARGS__, {0})
#define log_warn(...) LOG_LINE_(LOG_LEVEL_WARN, __VA_ARGS__, {0})
#define log_error(...) LOG_LINE_(LOG_LEVEL_ERROR, __VA_ARGS__, {0})

/* True at most once a second for the state behind it; *ret_left_out counts the calls refused since
 * the last true one. */
struct log_limit {
	int64_t last_boot_us;
	uint64_t left_out;
};
bool log_limited(struct log_limit *limit, uint64_t *ret_left_out);

/* Our own bug: logs and, in builds with assertions for debugging (LEASED_DEBUG), aborts; in a
 * release it returns LEASED_EBUG and marks the process unhealthy. */
int log_bug(struct leased_err *err, const char *file, int line, const char *fmt, ...)
    LEASED_PRINTF(4, 5);
#define bug(err, ...) log_bug((err), __FILE__, __LINE__, __VA_ARGS__)
bool log_bug_seen(void);

/* Start-up, or lost memory safety: logs and exits with status 1. */
_Noreturn void log_fatal(const char *fmt, ...) LEASED_PRINTF(1, 2);

#endif
