/*
 * What the dispatcher counts of requests, and whether the daemon is ready to serve more of them.
 */
#ifndef API_STATS_H
#define API_STATS_H

#include <jansson.h>
#include <stdint.h>

struct api;
struct api_request;

/* What is asked for, coarsely: bounds how many lines the counts have. */
enum api_class {
	API_CLASS_STATE,       /* health and the like */
	API_CLASS_METRICS,     /* these */
	API_CLASS_CREDENTIALS, /* a credential */
	API_CLASS_MOUNTED,     /* anything else below a mount */
	API_CLASS_LEASES,
	API_CLASS_AUTH,
	API_CLASS_SYSTEM, /* the rest of sys/ */
	API_CLASS_NONE,   /* no such path */
	API_CLASS_COUNT
};

#define API_STATUS_CLASSES 5 /* 1xx .. 5xx */
struct api_stats {
	int64_t started_wall_ms;
	uint64_t requests[API_CLASS_COUNT][API_STATUS_CLASSES];
};

/* request is answered with status. */
void api_stats_count(const struct api_request *request, int status);

/*
 * Why nobody should be sent here now, in words, each a reason of its own: an empty array when it is
 * ready. A backend that is down is none: one dead backend hurts nobody else. NULL: out of memory.
 */
json_t *api_not_ready(struct api *api);

#endif
