/*
 * An edge and an engine for the dispatcher under test: a request is a struct, its answer is kept;
 * the engine says what it was told to say. They stand in for http/ and engine/ by name, so nothing
 * of those is linked.
 */
#ifndef API_EDGE_H
#define API_EDGE_H

#include "unit/auth/fixture.h"

#include "api/api.h"
#include "api/api_private.h"

struct edge {
	struct fix *fix;
	struct api *api;
};

struct ask {
	enum http_method method;
	const char *path; /* with /v1/ */
	const char *query, *body;
	const char *token; /* NULL: the peer */
	uid_t uid;         /* of the peer; 0 is root */
	bool tcp;
	unsigned marks;                    /* of its listener */
	const char *header, *header_value; /* one more */
	bool lost;                         /* the answer is */
};

struct answer {
	struct http_request request; /* first */
	const struct ask *ask;
	unsigned count;
	int status;
	json_t *body; /* NULL: none */
	char *text;
	const char *type; /* of its content; NULL: JSON */
	bool watched;
};

/* What the engine does with the next requests. */
struct fake_engine {
	struct engine_reply reply;
	unsigned handled;
	int exists;
	char path[128];
	struct engine_caller caller;
	bool loading;
};
extern struct fake_engine fake_engine;

int edge_setup(void **state);
int edge_teardown(void **state);
struct answer edge_ask(struct edge *edge, const struct ask *ask);
void answer_clear(struct answer *answer);
/* Only the status; for the short questions. */
int edge_status(struct edge *edge, enum http_method method, const char *path, const char *body,
    const char *token);

#endif
