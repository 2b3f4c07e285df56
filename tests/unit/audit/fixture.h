/*
 * An audit on an inline store with a file in a fresh directory, and the verifier over what it left.
 */
#ifndef UNIT_AUDIT_FIXTURE_H
#define UNIT_AUDIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "audit/audit_private.h"
#include "audit/verify.h"

struct fixture {
	struct wclock_fake clock;
	struct seal_root *root;
	struct store *store;
	struct audit *audit;
	char dir[64], path[96];
	char faults[4096]; /* of the last look, a line each */
	struct audit_report report;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
int fixture_audit(struct fixture *f); /* opens one */
void fixture_audit_end(struct fixture *f);
/* The file's bytes (the caller frees), and back. */
char *fixture_read(struct fixture *f, size_t *ret_len);
void fixture_write(struct fixture *f, const char *bytes, size_t len);
/* Faults of these bytes; of the file. */
int64_t fixture_verify_bytes(struct fixture *f, const char *bytes, size_t len);
int64_t fixture_verify(struct fixture *f);
/* A request and its answer, whatever becomes of them: the code. */
int fixture_record(struct fixture *f, enum audit_what what, const char *path);

#endif
