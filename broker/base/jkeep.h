/*
 * A JSON value with secrets in it that is kept for long: as text in locked memory, and as a json_t
 * only while somebody reads it.
 */
#ifndef BASE_JKEEP_H
#define BASE_JKEEP_H

#include <jansson.h>
#include <stdbool.h>

#include <leased/secret.h>

struct jkeep {
	struct leased_secret *text; /* owned; NULL: there is none, or plain has it */
	json_t *plain;              /* owned; while there was no memory for the text */
};

/* Takes value, which may be NULL, in the place of what was there. Cannot fail. */
void jkeep_set(struct jkeep *keep, json_t *value);
bool jkeep_is_set(const struct jkeep *keep);
/* The caller's to json_decref(). NULL: nothing is kept, or there is no memory now. */
json_t *jkeep_get(const struct jkeep *keep);

#endif
