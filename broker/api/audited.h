/*
 * Where requests and answers wait for their records (audit/). Without an audit both go on at once.
 */
#ifndef API_AUDITED_H
#define API_AUDITED_H

#include <stdbool.h>

#include "http/request.h"

struct api_request;
typedef void (*api_act)(struct api_request *request);
typedef void (*api_send)(struct api_request *request, struct http_reply *reply);

struct api_audited {     /* in a request */
	bool recorded;   /* what was asked is */
	char mount[160]; /* its path, for the answer's record */
	api_act act;     /* waits for the record of what was asked .. */
	api_send send;   /* .. and this for that of the answer */
	struct http_reply reply;
};

/* Calls act once it is on the device what is asked; else the request is answered, with 503. */
void api_audit_request(struct api_request *request, api_act act);
/* Calls send with reply (taken) once it is on the device what is answered; body: the JSON in reply,
 * or NULL. Else with a 503 in its place, and what the answer carried is lost. */
void api_audit_reply(
    struct api_request *request, struct http_reply *reply, const json_t *body, api_send send);

#endif
