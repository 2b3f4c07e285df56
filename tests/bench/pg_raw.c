/*
 * The raw limit that minting is compared with: a C loop on N connections that makes the SCRAM
 * verifier and runs the statements that the plugin runs, and nothing else. pg_raw CONNINFO GROUP
 * THREADS COUNT ITERATIONS PREFIX: prints {"count":..,"per_s":..,"p50_us":..,"p99_us":..}. Run by
 * tests/bench/run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "base/id.h"
#include "postgresql/scram.h"

struct run {
	const char *conninfo, *group, *prefix;
	int count, iterations;
	atomic_int next;
	int64_t *took_us;
};

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void
make_role(PGconn *connection, const struct run *run, int number)
{
	char verifier[POSTGRESQL_SCRAM_SIZE], sql[1024];
	struct leased_secret *password = id_password(id_source_system(), ID_PASSWORD_LEN);
	PGresult *result;

	if (password == NULL ||
	    postgresql_scram_verifier(
		connection, leased_secret_reveal(password), run->iterations, verifier, NULL) != 0)
		exit(1);
	(void)snprintf(sql, sizeof(sql),
	    "BEGIN;CREATE ROLE \"%s%d\" LOGIN PASSWORD '%s' VALID UNTIL '2099-01-01 00:00:00+0000' "
	    "IN ROLE \"%s\";SELECT oid FROM pg_catalog.pg_roles WHERE rolname = '%s%d';COMMIT",
	    run->prefix, number, verifier, run->group, run->prefix, number);
	result = PQexec(connection, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		(void)fprintf(stderr, "pg_raw: %s", PQerrorMessage(connection));
		exit(1);
	}
	PQclear(result);
	leased_secret_free(password);
}

static void *
work(void *arg)
{
	struct run *run = arg;
	PGconn *connection = PQconnectdb(run->conninfo);
	int64_t started_us;
	int number;

	if (PQstatus(connection) != CONNECTION_OK) {
		(void)fprintf(stderr, "pg_raw: %s", PQerrorMessage(connection));
		exit(1);
	}
	while ((number = atomic_fetch_add(&run->next, 1)) < run->count) {
		started_us = now_us();
		make_role(connection, run, number);
		run->took_us[number] = now_us() - started_us;
	}
	PQfinish(connection);
	return (NULL);
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return ((x > y) - (x < y));
}

int
main(int argc, char **argv)
{
	struct run run = {0};
	struct leased_err err = LEASED_ERR_INIT;
	pthread_t threads[64];
	int64_t took_us;
	int i, count;

	if (argc != 7 || (count = (int)strtonum(argv[3], 1, 64, NULL)) == 0 ||
	    (run.count = (int)strtonum(argv[4], 1, 10000000, NULL)) == 0 ||
	    (run.iterations = (int)strtonum(argv[5], 1, 1000000, NULL)) == 0 ||
	    leased_secret_setup(&err) != 0)
		return (2);
	run.conninfo = argv[1];
	run.group = argv[2];
	run.prefix = argv[6];
	if ((run.took_us = calloc((size_t)run.count, sizeof(*run.took_us))) == NULL)
		return (1);
	took_us = now_us();
	for (i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, &run) != 0)
			return (1);
	for (i = 0; i < count; i++)
		(void)pthread_join(threads[i], NULL);
	took_us = now_us() - took_us;
	qsort(run.took_us, (size_t)run.count, sizeof(*run.took_us), by_size);
	(void)printf("{\"count\": %d, \"per_s\": %.1f, \"p50_us\": %lld, \"p99_us\": %lld}\n",
	    run.count, run.count * 1e6 / (double)took_us, (long long)run.took_us[run.count / 2],
	    (long long)run.took_us[(size_t)run.count * 99 / 100]);
	free(run.took_us);
	return (0);
}
