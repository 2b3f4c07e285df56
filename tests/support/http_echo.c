/*
 * The HTTP edge alone, with a fixed handler, for tests and as the yardstick of benchmarks: says
 * what it was asked, and does nothing else.
 *
 * http_echo PATH serves a Unix socket, http_echo IP:PORT plain TCP, until SIGTERM or SIGINT.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http.h"

static void
on_request(struct http_request *request, void *arg)
{
	struct http_reply reply = {.status = 200};
	int len;

	(void)arg;
	len = asprintf(&reply.body, "{\"method\":\"%s\",\"body_bytes\":%zu}\n",
	    http_method_name(request->method), request->body_len);
	if (len < 0)
		exit(1);
	reply.body_len = (size_t)len;
	http_reply_send(request, &reply);
}

static void
on_done(void *arg)
{
	(void)event_base_loopbreak(arg);
}

struct echo {
	struct event_base *loop;
	struct http_server *server;
};

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	struct echo *echo = arg;

	(void)number;
	(void)what;
	http_server_stop(echo->server, 10000, on_done, echo->loop);
}

int
main(int argc, char **argv)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct event *terminate = NULL, *interrupt = NULL;
	struct echo echo = {0};
	int r;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: http_echo PATH | IP:PORT\n");
		return (2);
	}
	echo.loop = event_base_new();
	echo.server = http_server_new(echo.loop, &http_default_limits, on_request, NULL);
	if (strchr(argv[1], '/') != NULL)
		r = http_server_listen_unix(echo.server, argv[1], 0660, NULL, &err);
	else
		r = http_server_listen_tcp(echo.server, argv[1], NULL, &err);
	if (r != 0) {
		(void)fprintf(stderr, "http_echo: %s\n", err.text);
		return (1);
	}
	terminate = evsignal_new(echo.loop, SIGTERM, on_signal, &echo);
	interrupt = evsignal_new(echo.loop, SIGINT, on_signal, &echo);
	(void)event_add(terminate, NULL);
	(void)event_add(interrupt, NULL);
	(void)printf("ready\n");
	(void)fflush(stdout);
	(void)event_base_dispatch(echo.loop);
	http_server_free(echo.server);
	event_free(terminate);
	event_free(interrupt);
	event_base_free(echo.loop);
	return (0);
}
