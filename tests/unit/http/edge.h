/*
 * A whole edge with clients in one process: server, loop and sockets are real, only the handler is
 * the test's.
 */
#ifndef TESTS_HTTP_EDGE_H
#define TESTS_HTTP_EDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "http/http.h"

#define EDGE_HELD 64

struct edge {
	struct event_base *loop;
	struct http_limits limits; /* set before edge_start() */
	struct http_server *server;
	char directory[64];
	char path[128]; /* of the Unix socket */
	unsigned port;  /* of TCP on the loopback */

	/* The handler: what it does, and what it saw. */
	bool hold;        /* keep requests, for edge_answer() */
	bool watch;       /* ask what became of replies */
	size_t reply_len; /* of the reply's body */
	struct http_request *held[EDGE_HELD];
	unsigned held_count;
	unsigned handled, answered;
	char last_path[256];
	char last_body[256];
	unsigned last_marks;
	unsigned delivered, lost;
	unsigned done; /* calls of the stop's callback */
};

/* Fixtures for cmocka: an edge that is not started yet, in *state. */
int edge_setup(void **state);
int edge_teardown(void **state);

void edge_start(struct edge *edge);
void edge_stop(struct edge *edge, unsigned timeout_ms);

/* Answers the oldest held request. */
void edge_answer(struct edge *edge);

int edge_connect(struct edge *edge);
int edge_connect_tcp(struct edge *edge);
/* The same for a socket that the caller made; it must not block. */
void edge_connect_fd(struct edge *edge, int fd);
/* text must fit the socket's buffer. */
void edge_send(int fd, const char *text);
/* Lets the loop run while it does not. */
void edge_send_all(struct edge *edge, int fd, const char *text);

/* Lets the loop run for so long. */
void edge_run(struct edge *edge, unsigned ms);

/* Lets it run until *counter reaches value; fails the test after 5 s. */
void edge_until(struct edge *edge, const unsigned *counter, unsigned value);

/* Lets it run until count replies have come (or the end of the stream), at most ms; the text read
 * is static. */
const char *edge_read(struct edge *edge, int fd, unsigned count, unsigned ms);

/* Reads on until the end of the stream comes; false when none came within ms. */
bool edge_read_end(struct edge *edge, int fd, unsigned ms);

/* The replies in text that are whole, as far as this fixture's own go; 100 is one of its own. */
unsigned edge_whole_replies(const char *text);

/* How often needle is in text. */
unsigned edge_count(const char *text, const char *needle);

long long edge_now_ms(void);

#endif
