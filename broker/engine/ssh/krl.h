/*
 * The list of revoked certificates: reading it (krl.c), making it (krl_build.c), when it could not
 * be made (krl_failure.c), waiting for the next one (krl_wait.c).
 */
#ifndef ENGINE_SSH_KRL_H
#define ENGINE_SSH_KRL_H

#include "engine/ssh/ssh.h"

#define SSH_KRL_DOC "krl"
#define SSH_WAIT_MAX_S 60
#define SSH_ETAG_SIZE 24
#define SSH_WAITERS_MAX 2048 /* of all mounts; each has one of the server's 4096 connections */
#define SSH_CROWDED_WAIT_MS 5000

struct ssh_waiter {
	struct ssh_waiter *next;
	struct engine_request_copy *request;
	bool signature;
	int64_t version, until_ms; /* of who waits for another one */
};

void engine_ssh_krl_etag(int64_t version, char ret_etag[SSH_ETAG_SIZE]);
/*
 * request has version: it is answered when there is another, or after wait_ms. Beyond so many who
 * wait it waits but SSH_CROWDED_WAIT_MS, and beyond half as many again not at all.
 */
unsigned engine_ssh_waiters_max(void);
void engine_ssh_krl_wait(struct ssh_mount *mount, struct engine_request_copy *request,
    bool signature, int64_t version, int64_t wait_ms);

/* A list could not be made. LEASED_EUNAVAIL while none is to be tried. */
void engine_ssh_krl_failed(struct ssh_mount *mount, const struct leased_err *why);
int engine_ssh_krl_may_try(const struct ssh_mount *mount, struct leased_err *err) LEASED_MUST_CHECK;

/* On the writer thread, in the transaction of whatever the list tells: its version goes on. */
int engine_ssh_krl_bump(
    struct store_txn *txn, int64_t mount, int64_t wall_s, struct leased_err *err) LEASED_MUST_CHECK;
/* 0 where none was ever written. _in: from the store; the other: read only where it has changed. */
int engine_ssh_krl_version(
    struct ssh_mount *mount, int64_t *ret_version, struct leased_err *err) LEASED_MUST_CHECK;
int engine_ssh_krl_version_in(struct store_db *db, int64_t mount, int64_t *ret_version,
    struct leased_err *err) LEASED_MUST_CHECK;
int engine_ssh_ended(struct store_txn *txn, const struct lease_plain_ended *ended,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Has the list of now made, where it is not being made already: mount->list. */
int engine_ssh_krl_make(struct ssh_mount *mount, struct leased_err *err) LEASED_MUST_CHECK;
void engine_ssh_krl_read(struct engine_request_copy *request);
void engine_ssh_krl_signature(struct engine_request_copy *request);
/* Answers with the list (or its signature) as it is, made anew where it is an older one. */
void engine_ssh_krl_tell(
    struct ssh_mount *mount, struct engine_request_copy *request, bool signature);
void engine_ssh_krl_forget(struct ssh_mount *mount, const char *why); /* ends who waits */
void engine_ssh_krl_made(struct ssh_mount *mount); /* nothing stands in the way any more */

#endif
