/*
 * Clients that do anything in any order, and a handler that answers when it likes: each reply gets
 * one verdict, no connection stays, and the sanitizers have nothing to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/id.h"
#include "edge.h"

#define CLIENTS 8
#define STEPS 600
#define SEEDS 4

static const char *const sayings[] = {
    "GET /v1/x HTTP/1.1\r\nHost: leased\r\n\r\n",
    "GET /v1/x HTTP/1.1\r\nHost: leased\r\n\r\nGET /v1//y HTTP/1.1\r\nHost: leased\r\n\r\n",
    "GET /v1/x HTTP/1.1\r\nHost: leased\r\nConnection: close\r\n\r\n",
    "POST /v1/x HTTP/1.1\r\nHost: leased\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    "POST /v1/x HTTP/1.1\r\nHost: leased\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "{}",
    "GET /v1/x HT",
    "nonsense\r\n",
};

struct world {
	struct edge *edge;
	struct id_source_seeded random;
	int fds[CLIENTS];
};

static unsigned
pick(struct world *world, unsigned below)
{
	uint32_t value;

	world->random.source.fill(&world->random.source, &value, sizeof(value));
	return (value % below);
}

static void
hang_up(struct world *world, unsigned i)
{
	const struct linger now = {1, 0};

	if (pick(world, 3) == 0)
		(void)setsockopt(world->fds[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(world->fds[i]);
	world->fds[i] = -1;
}

static void
act(struct world *world)
{
	struct edge *edge = world->edge;
	unsigned i = pick(world, CLIENTS);
	char bytes[4096];

	if (world->fds[i] < 0) {
		world->fds[i] = pick(world, 2) == 0 ? edge_connect(edge) : edge_connect_tcp(edge);
		return;
	}
	switch (pick(world, 8)) {
	case 0:
	case 1:
	case 2:
		edge_send(
		    world->fds[i], sayings[pick(world, sizeof(sayings) / sizeof(sayings[0]))]);
		break;
	case 3:
	case 4:
		(void)recv(world->fds[i], bytes, 1 + pick(world, sizeof(bytes)), MSG_DONTWAIT);
		break;
	case 5:
		(void)shutdown(world->fds[i], SHUT_WR);
		break;
	case 6:
		hang_up(world, i);
		break;
	default:
		edge_run(edge, 1);
		break;
	}
	if (edge->held_count > 0 && pick(world, 2) == 0) {
		edge->reply_len = pick(world, 10) == 0 ? 400000 : 10;
		edge_answer(edge);
	}
}

static void
live(struct edge *edge, uint64_t seed)
{
	struct world world = {.edge = edge};
	unsigned i;

	id_source_seeded_init(&world.random, seed);
	for (i = 0; i < CLIENTS; i++)
		world.fds[i] = -1;
	edge->hold = edge->watch = true;
	edge->limits.delivery_ms = 60;
	edge->limits.header_ms = edge->limits.body_ms = 50;
	edge->limits.idle_ms = 80;
	edge->limits.connections = 6;
	edge->limits.connections_reserved = 2;
	edge_start(edge);
	for (i = 0; i < STEPS; i++)
		act(&world);
	if (seed % 3 == 0)
		edge_stop(edge, 20);
	if (seed % 2 == 0) {
		http_server_free(edge->server);
		edge->server = NULL;
	}
	while (edge->held_count > 0)
		edge_answer(edge);
	edge->hold = false;
	for (i = 0; i < CLIENTS; i++) {
		if (world.fds[i] >= 0)
			hang_up(&world, i);
	}
	edge_run(edge, 150);
	assert_int_equal(edge->delivered + edge->lost, edge->answered);
	assert_true(edge->answered > 0);
	if (edge->server != NULL)
		assert_int_equal(http_server_connection_count(edge->server), 0);
}

static void
every_reply_gets_one_verdict_whatever_clients_do(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= SEEDS; seed++) {
		void *edge = NULL;

		assert_int_equal(edge_setup(&edge), 0);
		print_message("seed %llu\n", (unsigned long long)seed);
		live(edge, seed);
		assert_int_equal(edge_teardown(&edge), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply_gets_one_verdict_whatever_clients_do),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
