/*
 * The raw limit that minting on MariaDB is compared with: a C loop on one connection that makes the
 * hash of a password and runs the statements that the plugin runs, and nothing else (more
 * connections are slower there: accounts are changed one at a time). mysql_raw HOST PORT USER
 * SCHEMA COUNT PREFIX, the password in MYSQL_RAW_PASSWORD: prints
 * {"count":..,"per_s":..,"p50_us":..,"p99_us":..}. Run by tests/bench/run.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mysql.h>

#include "base/id.h"
#include "mysql/hash.h"

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void
run(MYSQL *connection, const char *sql)
{
	if (mysql_query(connection, sql) == 0)
		return;
	(void)fprintf(stderr, "mysql_raw: %s\n", mysql_error(connection));
	exit(1);
}

static void
make_account(MYSQL *connection, const char *prefix, int number, const char *schema)
{
	struct leased_secret *password = id_password(id_source_system(), ID_PASSWORD_LEN);
	char hash[MARIA_HASH_SIZE], sql[512];
	struct leased_err err = LEASED_ERR_INIT;

	if (password == NULL || maria_hash_native(leased_secret_reveal(password), hash, &err) != 0)
		exit(1);
	(void)snprintf(sql, sizeof(sql),
	    "CREATE USER `%s%d`@`%%` IDENTIFIED VIA mysql_native_password USING '%s'", prefix,
	    number, hash);
	run(connection, sql);
	(void)snprintf(sql, sizeof(sql), "GRANT SELECT, SHOW VIEW ON `%s`.* TO `%s%d`@`%%`", schema,
	    prefix, number);
	run(connection, sql);
	leased_secret_free(password);
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
	struct leased_err err = LEASED_ERR_INIT;
	unsigned protocol = MYSQL_PROTOCOL_TCP;
	int64_t *each_us, started_us, took_us;
	MYSQL *connection;
	int i, count;

	if (argc != 7 || (count = (int)strtonum(argv[5], 1, 10000000, NULL)) == 0 ||
	    leased_secret_setup(&err) != 0)
		return (2);
	if ((each_us = calloc((size_t)count, sizeof(*each_us))) == NULL ||
	    (connection = mysql_init(NULL)) == NULL ||
	    mysql_optionsv(connection, MYSQL_OPT_PROTOCOL, &protocol) != 0)
		return (1);
	if (mysql_real_connect(connection, argv[1], argv[3], getenv("MYSQL_RAW_PASSWORD"), NULL,
		(unsigned)strtonum(argv[2], 1, 65535, NULL), NULL, 0) == NULL) {
		(void)fprintf(stderr, "mysql_raw: %s\n", mysql_error(connection));
		return (1);
	}
	took_us = now_us();
	for (i = 0; i < count; i++) {
		started_us = now_us();
		make_account(connection, argv[6], i, argv[4]);
		each_us[i] = now_us() - started_us;
	}
	took_us = now_us() - took_us;
	mysql_close(connection);
	qsort(each_us, (size_t)count, sizeof(*each_us), by_size);
	(void)printf("{\"count\": %d, \"per_s\": %.1f, \"p50_us\": %lld, \"p99_us\": %lld}\n",
	    count, count * 1e6 / (double)took_us, (long long)each_us[count / 2],
	    (long long)each_us[(size_t)count * 99 / 100]);
	free(each_us);
	return (0);
}
