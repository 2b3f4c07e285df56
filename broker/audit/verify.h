/*
 * Checking what was written: files of an audit, read as anybody could have changed them.
 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include <stdint.h>
#include <stdio.h>

#include <leased/error.h>

#include "seal/seal.h"

struct audit_report {
	int64_t lines, faults;
	int64_t first_seq, last_seq;
	int64_t torn;     /* tails that a crash tore and a record closed */
	int64_t overlaps; /* files that begin before the end of the one before them */
};
struct audit_verifier;
/* fault: in words; line counts from 1. */
typedef void (*audit_on_fault)(void *arg, const char *name, int64_t line, const char *fault);
/* NULL: out of memory. */
struct audit_verifier *audit_verifier_new(struct seal *seal, audit_on_fault on_fault, void *arg);
/* The next file of the chain, oldest first. An error is one of reading, not a fault. */
int audit_verify(struct audit_verifier *verifier, FILE *stream, const char *name,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The end of the last file, and what was found. */
void audit_verifier_end(struct audit_verifier *verifier, struct audit_report *ret_report);
void audit_verifier_free(struct audit_verifier *verifier);

#endif
