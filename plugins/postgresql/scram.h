/* The verifier that is sent in the place of a password; see scram.c. */
#ifndef POSTGRESQL_SCRAM_H
#define POSTGRESQL_SCRAM_H

#include <libpq-fe.h>
#include <stdbool.h>

#include <leased/error.h>
#include <leased/secret.h>

#define POSTGRESQL_SCRAM_SIZE 256

/*
 * Writes "SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>". The caller wipes it. A
 * password that is not printable ASCII gets libpq's own iterations (4096); connection is for that,
 * and nothing is sent on it.
 */
int postgresql_scram_verifier(PGconn *connection, const char *password, int iterations,
    char ret_verifier[POSTGRESQL_SCRAM_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

/* Is it one, rather than a password in clear text? */
bool postgresql_is_verifier(const char *text);

#endif
