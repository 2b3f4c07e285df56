/*
 * What the files of api/ share: a request on its way, the table's rows, the answers. Nobody else
 * includes it.
 */
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H

#include "api/api.h"
#include "api/audited.h"
#include "api/stats.h"
#include "auth/token.h"
#include "base/jdec.h"

#define API_TAG 0x61706921u         /* "api!" */
#define API_REQUEST_TAG 0x72717374u /* "rqst" */
#define API_CAPTURES 2
#define API_OPEN_BODY_MAX (64u * 1024) /* of a caller without identity, where none is needed */

struct api {
	unsigned tag;
	struct api_config config;
	unsigned in_flight;
	bool stopping;
	struct api_stats stats;
};

/* What is asked for, whatever the method was called (contract 1.1). Bits, for the table. */
enum api_operation {
	API_READ = 1,
	API_LIST = 2,
	API_WRITE = 4,
	API_PATCH = 8,
	API_DELETE = 16,
};

enum api_flag {
	API_OPEN = 1,   /* needs no token: pinned by a test */
	API_SUDO = 2,   /* needs sudo beside the operation's capability */
	API_CALLER = 8, /* open, and the handler asks who the caller is if that can be told */
	/* Asked many times a minute, also while the audit fails: not recorded there, unless it is
	 * refused. Open where the listener's mark says so. */
	API_STATE = 16,
	API_INJECT = 4, /* keys of data stand at the top level, too (contract 1.5) */
};

struct api_request;
typedef void (*api_handler)(struct api_request *request);

/* pattern: segments; ":x" stands for one, "*" at the end for one or more. The first row that
 * matches is taken. */
struct api_route {
	const char *pattern;
	unsigned operations, flags;
	api_handler handler;
	const char *mount_type;
};
extern const struct api_route api_routes[];
extern const size_t api_route_count;

struct api_request {
	unsigned tag;
	struct api *api;
	struct http_request *http;
	char id[ID_UUID_SIZE];
	char *path;  /* below "v1/", no leading slash; a list's ends in one */
	char *match; /* the same without the slash at the end: what routes are matched with */
	enum api_operation operation;
	bool head;
	json_t *body;                  /* object or NULL */
	const struct api_route *route; /* NULL: below a mount */
	char *captures[API_CAPTURES];  /* of the pattern, owned */
	const struct engine_mount
	    *mount; /* NULL: a row of the table; valid within one turn of the loop */
	const char *mount_rest;
	char mount_type[32];            /* the mount's, kept for the answer */
	struct auth_identity *identity; /* NULL on an open path */
	json_t *warnings;               /* array, or NULL while there are none */
	const char *token;              /* as presented; borrowed from http or basic */
	char *basic;                    /* owned; NULL: it did not come by HTTP Basic */
	struct api_audited audited;
};

/* ---- request.c ---- */
struct api_request *api_request_from(void *arg);             /* checks the tag */
bool api_request_is_open(const struct api_request *request); /* its row, and needs no token */
/* Sudo on the request's own path. */
bool api_request_has_sudo(const struct api_request *request);
/* .. or on that path with the lease's id behind it, as it may be written: the policy `default`
 * names the paths of leases for everybody, and an exact rule hides a "*" of whoever may do
 * everything. */
bool api_request_has_sudo_over(const struct api_request *request, const char *lease_id);
/* Whose request it is, for what it ends; borrowed from its identity. */
struct lease_actor api_request_actor(const struct api_request *request);
void api_request_warn(struct api_request *request, const char *fmt, ...) LEASED_PRINTF(2, 3);
/*
 * Decodes the body; unknown fields become a warning that names the nearest. On a failure the
 * request is answered, target is cleared and false returned.
 */
bool api_request_decode(struct api_request *request, const struct jdec_field *fields, void *target);
void api_request_warn_unknown(
    struct api_request *request, const json_t *unknown, const struct jdec_field *fields);

/* ---- authorize.c ---- */
#define API_ALSO_SIZE 320 /* of engine_also_reads()'s path: a name has at most 255 bytes */
/* 0, or LEASED_EDENIED with a text that says what was missing. */
int api_authorize(const struct api_request *request, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- router.c ---- */
/* Fills route and captures, or mount. LEASED_ENOENT: no such path; LEASED_EINVAL: not this
 * operation on it. */
int api_route_find(struct api_request *request, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- names.c ---- */
/* Answers with the names of all documents of kind (reader thread), and those in builtin (taken),
 * sorted. */
void api_list_documents(
    struct api_request *request, const char *kind, json_t *builtin, bool with_policies);

#endif
