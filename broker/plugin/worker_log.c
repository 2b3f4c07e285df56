/*
 * A worker's stdout and stderr as lines of the daemon's log. Cut at 1 KiB; a worker that floods is
 * read slower, so that it waits and not the daemon. Owns the pipe. worker.c makes and frees it.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/worker.h"

#define WORKER_LOG_TAG 0x9c3077e3u
#define LINE_MAX_LEN 1024
#define READ_SIZE 4096
/* In a second: what is read, and how many lines of it are written. */
#define BYTES_PER_S (64 * 1024)
#define LINES_PER_S 20

struct worker_log {
	unsigned tag;
	int fd;
	struct event *readable, *next_second;
	char program[64], id[SPAWNER_ID_SIZE];
	char line[LINE_MAX_LEN + 1];
	size_t len;
	bool cut; /* the rest of this line is left out */
	size_t bytes_left;
	unsigned lines_left, left_out;
};

static struct worker_log *
worker_log_from(void *arg)
{
	struct worker_log *log = arg;

	if (log->tag != WORKER_LOG_TAG)
		abort();
	return (log);
}

static void
write_line(struct worker_log *log)
{
	log->line[log->len] = '\0';
	if (log->len == 0 && !log->cut)
		return;
	if (log->lines_left == 0) {
		log->left_out++;
	} else {
		log->lines_left--;
		log_info(log->cut ? "plugin (line cut)" : "plugin", LOG_S("plugin", log->program),
		    LOG_S("worker", log->id), LOG_S("text", log->line));
	}
	log->len = 0;
	log->cut = false;
}

static void
take(struct worker_log *log, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n')
			write_line(log);
		else if (log->len < LINE_MAX_LEN)
			log->line[log->len++] = bytes[i];
		else
			log->cut = true;
	}
}

static void
on_log_readable(evutil_socket_t fd, short what, void *arg)
{
	struct worker_log *log = worker_log_from(arg);
	char bytes[READ_SIZE];
	ssize_t len;

	(void)what;
	len = read(fd, bytes, sizeof(bytes));
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0) {
		event_del(
		    log->readable); /* its end, or nothing: the worker's death is told elsewhere */
		return;
	}
	take(log, bytes, (size_t)len);
	log->bytes_left -= (size_t)len < log->bytes_left ? (size_t)len : log->bytes_left;
	if (log->bytes_left == 0)
		event_del(log->readable);
	if (!event_pending(log->next_second, EV_TIMEOUT, NULL))
		event_add(log->next_second, &(struct timeval){1, 0});
}

static void
on_next_second(evutil_socket_t fd, short what, void *arg)
{
	struct worker_log *log = worker_log_from(arg);

	(void)fd;
	(void)what;
	if (log->left_out > 0)
		log_warn("lines of a plugin left out", LOG_S("plugin", log->program),
		    LOG_S("worker", log->id), LOG_I("lines", log->left_out));
	log->left_out = 0;
	log->lines_left = LINES_PER_S;
	log->bytes_left = BYTES_PER_S;
	event_add(log->readable, NULL);
}

struct worker_log *
plugin_worker_log_new(struct event_base *loop, int fd, const char *program, const char *id)
{
	struct worker_log *log = calloc(1, sizeof(*log));

	if (log == NULL) {
		close(fd);
		return (NULL);
	}
	log->tag = WORKER_LOG_TAG;
	log->fd = fd;
	snprintf(log->program, sizeof(log->program), "%s", program);
	snprintf(log->id, sizeof(log->id), "%s", id);
	log->lines_left = LINES_PER_S;
	log->bytes_left = BYTES_PER_S;
	log->readable = event_new(loop, fd, EV_READ | EV_PERSIST, on_log_readable, log);
	log->next_second = evtimer_new(loop, on_next_second, log);
	if (evutil_make_socket_nonblocking(fd) != 0 || log->readable == NULL ||
	    log->next_second == NULL || event_add(log->readable, NULL) != 0) {
		plugin_worker_log_free(log);
		return (NULL);
	}
	return (log);
}

/* A dying worker's last words are often the reason: one more look, within the limits. */
void
plugin_worker_log_free(struct worker_log *log)
{
	char bytes[READ_SIZE];
	ssize_t len;

	if (log == NULL)
		return;
	while (log->bytes_left > 0 && (len = read(log->fd, bytes, sizeof(bytes))) > 0) {
		take(log, bytes, (size_t)len);
		log->bytes_left -= (size_t)len < log->bytes_left ? (size_t)len : log->bytes_left;
	}
	write_line(log);
	if (log->readable != NULL)
		event_free(log->readable);
	if (log->next_second != NULL)
		event_free(log->next_second);
	close(log->fd);
	log->tag = 0;
	free(log);
}
