/*
 * RESP, the protocol of Redis, in its second version: commands as bytes, and bytes as replies.
 * Opens nothing.
 */
#ifndef REDIS_RESP_H
#define REDIS_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

/* ---- commands ---- */

/* An array of words; any bytes may be in one. Zero-initialise. What fails is remembered. */
struct redis_command {
	char *bytes; /* owned, wiped: without the array's header */
	size_t len, size, count;
	bool failed;   /* out of memory */
	char verb[48]; /* "acl|setuser", as rights name it */
};

void redis_command_add(struct redis_command *command, const char *word);
void redis_command_add_bytes(struct redis_command *command, const char *bytes, size_t len);
/* Begins with these words, of which the first (for ACL, CLIENT and CONFIG the first two) name it;
 * NULL at the end. */
void redis_command_begin(struct redis_command *command, ...) __attribute__((sentinel));
/* What stands before bytes. */
#define REDIS_HEADER_SIZE 32
void redis_command_header(const struct redis_command *command, char ret_text[REDIS_HEADER_SIZE]);
void redis_command_clear(struct redis_command *command);

/* ---- replies ---- */

#define REDIS_REPLY_MAX ((size_t)16 * 1024 * 1024) /* bytes */
#define REDIS_ITEMS_MAX 262144                     /* values, lists included */
#define REDIS_DEPTH_MAX 8
#define REDIS_LINE_MAX 65536

enum redis_kind { REDIS_NIL, REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_TEXT, REDIS_LIST };

struct redis_reply {
	enum redis_kind kind;
	int64_t integer;
	const char *text; /* of STATUS, ERROR, TEXT; within the bytes, not NUL-terminated */
	size_t len;       /* of text; of items */
	struct redis_reply *items;
};

/* How many of the first bytes are one reply: 0 while more are needed. LEASED_EPROTO: they are none,
 * or it is over a limit. */
int redis_reply_measure(
    const char *bytes, size_t len, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
/* Reads what was measured. Borrows bytes for its life. */
int redis_reply_read(const char *bytes, size_t len, struct redis_reply *ret_reply,
    struct leased_err *err) LEASED_MUST_CHECK;
void redis_reply_clear(struct redis_reply *reply);

/* Is it of this kind and text? */
bool redis_reply_is(const struct redis_reply *reply, enum redis_kind kind, const char *text);
/* Is it an error that begins so? */
bool redis_reply_is_error(const struct redis_reply *reply, const char *beginning);

#endif
