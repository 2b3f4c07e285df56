/*
 * Claims templates of JWTs: JSON in which {{slots}} stand for values of the caller's identity. A
 * slot is a whole value, never a part of a string, so that no value can become anything else than
 * one value.
 */
#ifndef ENGINE_CLAIMS_H
#define ENGINE_CLAIMS_H

#include <jansson.h>
#include <stdint.h>

#include <leased/error.h>

#define CLAIMS_TEMPLATE_MAX 8192

struct claims_source {
	const char *entity;        /* its id */
	const json_t *entity_data; /* its document: name, aliases, metadata; NULL: none */
	int64_t now_s;             /* wall time */
};

/* The template without base64, if it is wrapped in it: a new text. LEASED_EINVAL says what is wrong
 * and where; what claims_make() makes of what passes here is an object without reserved claims. */
int engine_claims_read(
    const char *text, char **ret_template, struct leased_err *err) LEASED_MUST_CHECK;
/* A new object. What the identity lacks is "" (of metadata as a whole: {}, of groups: []). */
int engine_claims_make(const char *template, const struct claims_source *source,
    json_t **ret_claims, struct leased_err *err) LEASED_MUST_CHECK;

#endif
