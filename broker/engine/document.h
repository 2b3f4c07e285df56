/*
 * Documents of connections and roles that may not open: reading them with a word on what mends
 * them, and writing over them.
 */
#ifndef ENGINE_DOCUMENT_H
#define ENGINE_DOCUMENT_H

#include "engine/private.h"

/* Says so, and what mends it. kind: connection, role. mount_path: NULL when it is gone. */
void engine_doc_damaged(
    const char *kind, const char *mount_path, const char *name, struct leased_err *err);
/* The text of LEASED_ECORRUPT is that. */
int engine_doc_get(struct engines *engines, const char *kind, int64_t mount, const char *name,
    struct store_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;
/* The same for who only reads: data is shared, and nobody writes to it. For documents without a
 * secret. */
int engine_doc_look(struct engines *engines, const char *kind, int64_t mount, const char *name,
    struct store_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;
/* .. by its whole name, as store_doc_get(). */
int engine_doc_recall(struct engines *engines, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;
void engine_docs_forget(struct engines *engines);
/* For who replaces or deletes it. NULL when there is none. With empty data, and *ret_damaged, when
 * it does not open: under its id and name a new one can be put. */
int engine_doc_get_any(struct engines *engines, const char *kind, int64_t mount, const char *name,
    struct store_doc **ret_doc, bool *ret_damaged, struct leased_err *err) LEASED_MUST_CHECK;
/* What whoever writes over a damaged one must know: the warning, or what is added to err. */
void engine_doc_tell_replaced(
    struct engine_request_copy *request, int code, struct leased_err *err);
/* The connection also when it has no port. */
struct engine_connection *engine_connection_find_any(struct engines *engines, int64_t id);

#endif
