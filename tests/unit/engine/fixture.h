/*
 * An engine under test: an inline store, a fake clock, seeded ids, real leases, and a fake port for
 * each one that engine/ opens. The host of a configuration says what its backend is like: see
 * on_port_open(). Nothing happens by itself: settle() turns the wheels until they stand still.
 */
#ifndef UNIT_ENGINE_FIXTURE_H
#define UNIT_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "engine/database.h"
#include "engine/name.h"
#include "engine/rotation.h"
#include "support/failalloc.h"
#include "support/fake_port.h"

#define PORTS_MAX 4096

struct fix {
	struct wclock_fake clock;
	struct id_source_seeded ids;
	struct seal_root *root;
	struct store *store;
	struct leases *leases;
	struct engines *engines;
	struct fake_port *ports[PORTS_MAX]; /* in the order in which they were opened */
	json_t *configs[PORTS_MAX];         /* what each got; NULL: it is to describe its plugin */
	unsigned port_count;
	struct fake_port *spare;       /* the next */
	const char *describes, *opens; /* members of what each port says that is opened now */
};

/* What a request was answered. */
struct answer {
	unsigned count; /* must end up as 1 */
	int code, status;
	struct leased_err err;
	json_t *data, *warnings; /* owned; answer_clear() */
	char lease_id[LEASE_ID_MAX];
	int64_t row, duration_s;
	bool raw;
	char *page, etag[64]; /* of an answer that is no JSON; owned */
	size_t page_len;
};

int fix_setup(void **state);
int fix_teardown(void **state);
/* What the daemon does at a stop, or a crash, and at the next start. */
void fix_close(struct fix *f);
void fix_open(struct fix *f);

unsigned turn(struct fix *f);
void settle(struct fix *f);
void later(struct fix *f, int64_t s);
struct fake_port *last_port(struct fix *f);

/* Starts a request below `below` ("database/"); body is JSON text or NULL. */
void start(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    struct answer *answer);
/* The same, to its end. The answer before is cleared. */
struct answer *ask(
    struct fix *f, enum engine_operation operation, const char *path, const char *body);
/* ask(), which must succeed; and which must fail with code and a text that has part. */
struct answer *must(
    struct fix *f, enum engine_operation operation, const char *path, const char *body);
struct answer *refused(struct fix *f, enum engine_operation operation, const char *path,
    const char *body, int code, const char *part);
void answer_clear(struct answer *answer);
bool warned(const struct answer *answer, const char *part);

void mount_ask(struct fix *f, const char *path, const char *body, struct answer *answer);
void unmount_ask(struct fix *f, const char *path, struct answer *answer);
void revoke(struct fix *f, int64_t row);
/* Documents of a kind, and lease rows. */
unsigned docs(struct fix *f, const char *kind);
unsigned rows(struct fix *f);

/* If-None-Match and Prefer of the next requests; NULL: none. */
extern const char *if_none_match, *prefer;
/* Who asks; tests change it. */
extern struct engine_caller caller;
extern const char *below;

#endif
