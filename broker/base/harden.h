/*
 * What every process of ours does at its start (reliability: process start). Call after fork and
 * after any change of user.
 */
#ifndef BASE_HARDEN_H
#define BASE_HARDEN_H

#include <sys/types.h>

#include <leased/error.h>

/* umask 077, no core, not dumpable, no new privileges, SIGPIPE ignored; environment cut to a short
 * list. Test builds honour LEASED_TEST_DUMPABLE. */
int harden_process(struct leased_err *err) LEASED_MUST_CHECK;

/* For a worker: dies with its parent. parent: the pid that must still be our parent afterwards
 * (else exits at once). */
int harden_die_with_parent(pid_t parent, struct leased_err *err) LEASED_MUST_CHECK;

/* Closes every descriptor from lowest on, except those in keep (ascending). */
int harden_close_from(
    int lowest, const int *keep, unsigned count, struct leased_err *err) LEASED_MUST_CHECK;

#endif
