/*
 * Finds what looks like a JWT in a text that must not hold one (audit/, api/).
 */
#ifndef BASE_JWS_H
#define BASE_JWS_H

#include <stdbool.h>

/* A header that is a JSON object, a payload and a signature, in base64url with dots in between. */
bool jws_is_in(const char *text);

#endif
