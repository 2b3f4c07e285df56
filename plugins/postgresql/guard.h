/*
 * The login without TLS on this machine (guard.c): whoever listens there may ask for the password
 * in clear, and libpq 15 would tell it.
 */
#ifndef POSTGRESQL_GUARD_H
#define POSTGRESQL_GUARD_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <leased/error.h>

struct postgresql_guard {
	bool is_on, is_over; /* between libpq and the server; the login is through */
	int server_fd;       /* what libpq connected */
	int ours_fd;         /* the other end of what libpq has instead */
	ino_t inode;         /* of what libpq has */
};

/* Before PQconnectPoll(): does its waiting, for at most timeout_ms, and lets one message pass.
 * LEASED_EDENIED when that asks for the password in clear or as md5. */
int postgresql_guard_wait(struct postgresql_guard *guard, PGconn *connection,
    PostgresPollingStatusType step, int timeout_ms, struct leased_err *err) LEASED_MUST_CHECK;
/* After it: what libpq wants to send goes; libpq has its connection again once it is through. */
int postgresql_guard_after(
    struct postgresql_guard *guard, PGconn *connection, struct leased_err *err) LEASED_MUST_CHECK;
/* One message of the server, looked at and handed on; at its end, so is that. until_ms:
 * CLOCK_MONOTONIC. For guard.c and its fuzz target. */
int postgresql_guard_hand_on(
    struct postgresql_guard *guard, int64_t until_ms, struct leased_err *err) LEASED_MUST_CHECK;
void postgresql_guard_clear(struct postgresql_guard *guard);

#endif
