/*
 * The chain of lines, and the shape of one: a JSON object whose last members are "seq", "prev" (the
 * mac of the line before) and "mac", over all bytes of the line before it. Private to audit/.
 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "base/jenc.h"
#include "seal/seal.h"

#define AUDIT_MAC_LEN (2 * SEAL_HMAC_SIZE) /* in hex */
#define AUDIT_BODY_MAX (64u * 1024)
#define AUDIT_LINE_MAX (AUDIT_BODY_MAX + 512)

/* Where it ends: the last line's number and mac. Before the first: 0 and zeros. */
struct audit_chain {
	int64_t seq;
	char mac[AUDIT_MAC_LEN + 1];
};
void audit_chain_init(struct audit_chain *chain);

/* Appends body (a JSON object, not empty) to out as the next line, with its newline. chain is
 * untouched on failure. */
int audit_chain_add(struct audit_chain *chain, struct seal *seal, const char *body, size_t len,
    struct jenc *out, struct leased_err *err) LEASED_MUST_CHECK;

struct audit_line {
	int64_t seq;
	char prev[AUDIT_MAC_LEN + 1], mac[AUDIT_MAC_LEN + 1];
	size_t covered; /* bytes that mac covers */
};
/* By its shape alone; line is without its newline. */
bool audit_line_parse(const char *line, size_t len, struct audit_line *ret_line);
/* *ret_good: does its mac hold? */
int audit_line_check(struct seal *seal, const char *line, const struct audit_line *parsed,
    bool *ret_good, struct leased_err *err) LEASED_MUST_CHECK;

/* Of bytes that are no line: what a crash left. */
int audit_bytes_mac(struct seal *seal, const void *bytes, size_t len,
    char ret_mac[AUDIT_MAC_LEN + 1], struct leased_err *err) LEASED_MUST_CHECK;

#endif
