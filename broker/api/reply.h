/*
 * The answers of the API. Every function here ends its request, but api_status_of().
 */
#ifndef API_REPLY_H
#define API_REPLY_H

#include "api/api_private.h"

struct api_answer {
	int status; /* 0: 200, or what an empty answer of the operation gets (contract 1.5) */
	json_t *data, *auth;  /* taken */
	const char *lease_id; /* NULL: "" */
	bool renewable;
	int64_t lease_duration_s;
	const char *mount_type; /* NULL: the route's */
	bool envelope;          /* an envelope though there is neither data nor auth */
	int64_t lease_row;      /* watched: revoked when the answer is lost */
	int64_t token;          /* the same */
};
void api_reply(struct api_request *request, struct api_answer *answer);
/* data is taken; NULL is an error of ours (out of memory). */
void api_reply_data(struct api_request *request, json_t *data);
/* {"keys": [..]}: keys is taken; none is 404. */
void api_reply_keys(struct api_request *request, json_t *keys);
void api_reply_done(struct api_request *request);
/* The body as it is, no envelope; taken. */
void api_reply_raw(struct api_request *request, int status, json_t *body);
/*
 * The same, with an ETag, for who may keep it: 304 without a body where the client has it already.
 * cache_control: borrowed.
 */
void api_reply_cached(struct api_request *request, const char *cache_control, json_t *body);
/* The same with JSON that is written already, and its mark; both borrowed. */
void api_reply_cached_text(struct api_request *request, const char *cache_control, const char *etag,
    const char *text, size_t len);
/* An engine's, as it is; borrowed. */
void api_reply_page(struct api_request *request, const struct engine_page *page);
/* text is taken; type is a literal. */
void api_reply_text(struct api_request *request, const char *type, char *text, size_t len);
/* err's code decides the status, unless status is given. */
void api_reply_error(struct api_request *request, int status, const struct leased_err *err);
void api_reply_refuse(struct api_request *request, int code, const char *fmt, ...)
    LEASED_PRINTF(3, 4);
/* text as it is, without the request id: where clients compare the whole. */
void api_reply_exact(struct api_request *request, int status, const char *text);
/* errors is empty, as clients expect it where nothing is. */
void api_reply_empty_errors(struct api_request *request, int status);
int api_status_of(int code);

/* For auth_write_done: 204, or the error. arg is the request. */
void api_on_written(void *arg, int code, const struct leased_err *err);

#endif
