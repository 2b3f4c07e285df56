/*
 * What became of a reply: DELIVERED or LOST (DESIGN.md, "The life of a credential"). A lease whose
 * reply is lost is revoked at once, so this errs on neither side lightly.
 *
 * Reads the socket's error and its unread bytes; never reads data. On a Unix socket SIOCOUTQ counts
 * what the client's process has not read, on TCP what its kernel has not acknowledged: there an
 * end, or a later request, is what shows that the process was alive to read. Called by connection.c
 * and reply.c.
 */
#include <linux/sockios.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/wclock.h"
#include "http/server.h"

/* The first look at a reply that nothing else settles; then twice as long each time. */
#define POLL_FIRST_MS 20u
#define POLL_LAST_MS 640u

struct connection_watch *
http_delivery_slot(struct http_connection *connection)
{
	unsigned i;

	for (i = 0; i < CONNECTION_WATCHES; i++) {
		if (connection->watches[i].on_delivery == NULL)
			return (&connection->watches[i]);
	}
	return (NULL);
}

static bool
is_open(const struct connection_watch *watch)
{
	return (watch->on_delivery != NULL && !watch->decided);
}

bool
http_delivery_pending(const struct http_connection *connection)
{
	unsigned i;

	for (i = 0; i < CONNECTION_WATCHES; i++) {
		if (connection->watches[i].on_delivery != NULL)
			return (true);
	}
	return (false);
}

static bool
any_open(const struct http_connection *connection, int64_t *ret_due_us)
{
	bool found = false;
	unsigned i;

	for (i = 0; i < CONNECTION_WATCHES; i++) {
		const struct connection_watch *watch = &connection->watches[i];

		if (!is_open(watch) || (found && watch->due_us >= *ret_due_us))
			continue;
		*ret_due_us = watch->due_us;
		found = true;
	}
	return (found);
}

static void
decide(
    struct http_connection *connection, struct connection_watch *watch, enum http_delivery verdict)
{
	watch->decided = true;
	watch->verdict = verdict;
	http_connection_turn(connection);
}

void
http_delivery_lose(struct http_connection *connection)
{
	unsigned i;

	for (i = 0; i < CONNECTION_WATCHES; i++) {
		if (is_open(&connection->watches[i]))
			decide(connection, &connection->watches[i], HTTP_LOST);
	}
}

/* SO_ERROR clears when it is read, so what it says is kept. */
static void
take_error(struct http_connection *connection)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
		connection->has_failed = true;
}

/*
 * Bytes the client has not taken. A reset empties the queue, so that 0 means nothing without the
 * error; it is asked for before, as it may be there already, and after, as it may have come
 * between.
 */
static uint64_t
take_unread(struct http_connection *connection)
{
	int unread = 0;

	take_error(connection);
	if (ioctl(connection->fd, SIOCOUTQ, &unread) != 0)
		connection->has_failed = true;
	take_error(connection);
	return (unread > 0 ? (uint64_t)unread : 0);
}

/* LOST and DELIVERED leave the watch decided; neither leaves it open. */
static void
judge(struct http_connection *connection, struct connection_watch *watch, uint64_t unread,
    bool fresh, int64_t now_us)
{
	bool is_unix = connection->peer.kind == HTTP_PEER_UNIX;
	bool is_due = now_us >= watch->due_us;
	bool is_taken = false;

	/* On TCP the count is exact; on a Unix socket it holds the kernel's overhead, and only 0
	 * says something. */
	if (watch->written)
		is_taken = is_unix ? unread == 0 : connection->written - watch->end >= unread;
	if (!is_taken && is_due)
		decide(connection, watch, HTTP_LOST);
	else if (is_taken && (is_unix || is_due || connection->hung_up || (fresh && watch->quiet)))
		decide(connection, watch, HTTP_DELIVERED);
}

static void
arm_timer(struct http_connection *connection, int64_t now_us)
{
	int64_t due_us = 0, wait_us;
	struct timeval wait;

	if (connection->state == CONNECTION_CLOSED || !any_open(connection, &due_us)) {
		(void)event_del(&connection->delivery);
		return;
	}
	wait_us = (int64_t)connection->poll_ms * 1000;
	if (wait_us > due_us - now_us)
		wait_us = due_us > now_us ? due_us - now_us : 0;
	wait.tv_sec = (time_t)(wait_us / 1000000);
	wait.tv_usec = (suseconds_t)(wait_us % 1000000);
	(void)event_add(&connection->delivery, &wait);
}

void
http_delivery_check(struct http_connection *connection, bool fresh)
{
	struct wclock *clock = wclock_system();
	int64_t now_us, due_us;
	uint64_t unread;
	bool lost = false;
	unsigned i;

	if (connection->state == CONNECTION_CLOSED || !any_open(connection, &due_us))
		return;
	now_us = clock->boot_us(clock);
	unread = take_unread(connection);
	for (i = 0; i < CONNECTION_WATCHES && !connection->has_failed; i++) {
		struct connection_watch *watch = &connection->watches[i];

		if (!is_open(watch))
			continue;
		judge(connection, watch, unread, fresh, now_us);
		lost = lost || (watch->decided && watch->verdict == HTTP_LOST);
	}
	/* Closing makes LOST what is open. A client that did not read in time is not given the
	 * rest: what it would get ends now. */
	if (connection->has_failed || lost)
		http_connection_close(connection);
	else
		arm_timer(connection, now_us);
}

void
http_delivery_begin(struct http_connection *connection, struct connection_watch *watch,
    void (*on_delivery)(void *arg, enum http_delivery delivery), void *arg)
{
	struct wclock *clock = wclock_system();
	int64_t now_us = clock->boot_us(clock);
	unsigned delivery_ms = http_default_limits.delivery_ms;

	if (connection->server != NULL)
		delivery_ms = connection->server->limits.delivery_ms;
	*watch = (struct connection_watch){
	    .on_delivery = on_delivery, .arg = arg, .due_us = now_us + (int64_t)delivery_ms * 1000};
	if (connection->state == CONNECTION_CLOSED) {
		decide(connection, watch, HTTP_LOST);
		return;
	}
	connection->poll_ms = POLL_FIRST_MS;
	arm_timer(connection, now_us);
}

void
http_delivery_written(struct http_connection *connection)
{
	unsigned i;

	for (i = 0; i < CONNECTION_WATCHES; i++) {
		struct connection_watch *watch = &connection->watches[i];

		if (!is_open(watch) || watch->written)
			continue;
		watch->written = true;
		watch->end = connection->written;
		watch->quiet = !connection->more && !http_stream_has_more(connection);
	}
}

void
http_delivery_report(struct http_connection *connection)
{
	unsigned i;

	for (i = 0; i < CONNECTION_WATCHES; i++) {
		struct connection_watch *watch = &connection->watches[i];
		struct connection_watch decided = *watch;

		if (watch->on_delivery == NULL || !watch->decided)
			continue;
		*watch = (struct connection_watch){0};
		decided.on_delivery(decided.arg, decided.verdict);
	}
}

void
http_delivery_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = http_connection_from(arg);

	(void)fd;
	(void)what;
	if (connection->poll_ms < POLL_LAST_MS)
		connection->poll_ms *= 2;
	http_delivery_check(connection, false);
}
