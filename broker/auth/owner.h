/*
 * Whose a lease is. Separate from auth.h, as only who shows or ends leases asks.
 */
#ifndef AUTH_OWNER_H
#define AUTH_OWNER_H

#include "auth/auth.h"

/*
 * Does a lease (its row) belong to the identity? To a token belongs what it or a descendant of it
 * made, and what its entity owns; to a peer without one, all that carries its entity. Two tokens of
 * one entity are strangers: an operator hands them to different applications.
 */
bool auth_identity_owns(
    struct auth *auth, const struct auth_identity *identity, const struct store_lease *row);
/* The same of a lease that has ended; entity may be NULL. */
bool auth_identity_is_owner(
    struct auth *auth, const struct auth_identity *identity, const char *owner, const char *entity);

#endif
