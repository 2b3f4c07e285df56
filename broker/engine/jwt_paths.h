/*
 * The handlers of identity/ and of the JWTs of a mount of type token.
 */
#ifndef ENGINE_JWT_PATHS_H
#define ENGINE_JWT_PATHS_H

#include "engine/type.h"

void engine_jwt_key_read(struct engine_request_copy *request);
void engine_jwt_key_write(struct engine_request_copy *request);
void engine_jwt_key_delete(struct engine_request_copy *request);
void engine_jwt_role_read(struct engine_request_copy *request);
void engine_jwt_role_write(struct engine_request_copy *request);
void engine_jwt_role_delete(struct engine_request_copy *request);
void engine_jwt_token(struct engine_request_copy *request);
void engine_jwt_token_alias(struct engine_request_copy *request); /* of a mount of type token */
void engine_entity_read(struct engine_request_copy *request);
void engine_entity_read_name(struct engine_request_copy *request);
void engine_entity_list(struct engine_request_copy *request);
void engine_entity_lookup(struct engine_request_copy *request);

#endif
