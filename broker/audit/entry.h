/*
 * Records as text, and what of values from outside may stand in them. Private to audit/.
 */
#ifndef AUDIT_ENTRY_H
#define AUDIT_ENTRY_H

#include "audit/audit.h"

/* ---- mask.c ---- */
/* "hmac-sha256:..", NULL: out of memory. */
json_t *audit_hash_json(struct seal *seal, const char *text);
/* What may be shown of a request's or an answer's data; NULL: out of memory. */
json_t *audit_mask(struct seal *seal, const json_t *object);
/* Does text hold a string of value that is long enough to be a secret? */
bool audit_text_holds(const char *text, const json_t *value);
/* Sets what is not NULL; 0, or -1 when memory runs out. value is taken. */
int audit_set(json_t *object, const char *key, json_t *value);
int audit_set_text(json_t *object, const char *key, const char *text); /* NULL, "": left out */

/* ---- entry.c ---- */
/* The lines of event, as audit_submit() takes them. */
int audit_entry_make(struct audit *audit, const struct audit_event *event, char **ret_bodies,
    size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
/* JSON of object (taken) on one line; the caller frees. */
int audit_entry_text(json_t *object, char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;

#endif
