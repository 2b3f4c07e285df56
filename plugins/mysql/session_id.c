/*
 * Ids of sessions, as the daemon keeps them: "number:start of the server", and ":nonce" where the
 * session holds a lock by that name. Called by session.c and reap.c.
 */
#include "session_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_LEN (2 * MARIA_NONCE_LEN)

/* A number in decimal, without a sign or zeros in front; *ret_end is behind it. */
static bool
read_number(const char *text, unsigned long long *ret_number, const char **ret_end)
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 18 || text[0] == '0')
		return (false);
	*ret_number = strtoull(text, NULL, 10);
	*ret_end = text + len;
	return (true);
}

bool
maria_session_id_parse(const char *text, struct maria_session_id *ret_id)
{
	struct maria_session_id id = {0};
	unsigned long long start = 0;
	const char *at = text;

	if (!read_number(at, &id.number, &at) || *at++ != ':' || !read_number(at, &start, &at))
		return (false);
	id.start_s = (int64_t)start;
	if (*at == ':') {
		at++;
		if (strlen(at) != NONCE_LEN || strspn(at, "0123456789abcdef") != NONCE_LEN)
			return (false);
		(void)snprintf(id.lock, sizeof(id.lock), "leased %s", at);
	} else if (*at != '\0') {
		return (false);
	}
	*ret_id = id;
	return (true);
}

void
maria_session_id_format(unsigned long long number, int64_t start_s,
    const unsigned char nonce[MARIA_NONCE_LEN], char ret_text[MARIA_SESSION_ID_SIZE])
{
	int len =
	    snprintf(ret_text, MARIA_SESSION_ID_SIZE, "%llu:%lld:", number, (long long)start_s);

	for (int i = 0; i < MARIA_NONCE_LEN; i++)
		len +=
		    snprintf(ret_text + len, MARIA_SESSION_ID_SIZE - (size_t)len, "%02x", nonce[i]);
}
