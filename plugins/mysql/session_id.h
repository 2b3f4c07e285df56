/*
 * Ids of sessions (session_id.c).
 */
#ifndef MYSQL_SESSION_ID_H
#define MYSQL_SESSION_ID_H

#include <stdbool.h>
#include <stdint.h>

#define MARIA_NONCE_LEN 8
#define MARIA_SESSION_ID_SIZE 64

struct maria_session_id {
	unsigned long long number; /* of the connection */
	int64_t start_s;           /* when the server's life began */
	char lock[32];             /* the lock that it holds as long as it lives, "": none */
};

/* False: no id of ours. */
bool maria_session_id_parse(const char *text, struct maria_session_id *ret_id);
void maria_session_id_format(unsigned long long number, int64_t start_s,
    const unsigned char nonce[MARIA_NONCE_LEN], char ret_text[MARIA_SESSION_ID_SIZE]);

#endif
