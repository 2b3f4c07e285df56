/*
 * One request to leased whose answer is no JSON: a list of revoked keys, a signature, public keys.
 */
#ifndef CLI_CLIENT_RAW_H
#define CLI_CLIENT_RAW_H

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

struct cli_raw {
	char *bytes; /* NUL behind them; owned, free() */
	size_t len;
	char etag[64]; /* "" without one */
	bool unchanged;
};
/* GET of what is no JSON. if_none_match: NULL, or the ETag of what we have; then *ret_raw may come
 * back unchanged and empty. ret_reply as of cli_request(). */
void cli_request_raw(const char *path, const char *query, const char *if_none_match,
    struct cli_raw *ret_raw, struct cli_reply *ret_reply);
void cli_raw_clear(struct cli_raw *raw);

#endif
