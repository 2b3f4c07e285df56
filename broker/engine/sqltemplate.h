/*
 * SQL statement templates (contract 0.8): cut lexically into statements and into parts, once, when
 * a role or a connection is written. No other code of the broker reads SQL; the worker quotes the
 * slots and joins the parts.
 *
 * A slot {{name}} (or {{username}}), {{password}}, {{expiration}} stands alone, or fills its quotes
 * whole: in double quotes (MySQL: backticks) it is an identifier, in single quotes a literal. A
 * bare {{name}} is an identifier, the other two are literals. A slot anywhere else is refused with
 * the reason and the position.
 */
#ifndef ENGINE_SQLTEMPLATE_H
#define ENGINE_SQLTEMPLATE_H

#include <jansson.h>
#include <stddef.h>

#include <leased/error.h>

#include "base/jdec.h"

enum engine_sqltemplate_dialect {
	ENGINE_SQLTEMPLATE_POSTGRESQL,
	ENGINE_SQLTEMPLATE_MYSQL,
};

/* The slots, as bits: which a list of statements may use, and which it does use. */
enum engine_sqltemplate_slot {
	ENGINE_SQLTEMPLATE_NAME = 1,
	ENGINE_SQLTEMPLATE_PASSWORD = 2,
	ENGINE_SQLTEMPLATE_EXPIRATION = 4,
};

#define ENGINE_SQLTEMPLATE_ELEMENTS_MAX 64u       /* elements in a list */
#define ENGINE_SQLTEMPLATE_ELEMENT_LEN_MAX 65536u /* bytes in an element */
#define ENGINE_SQLTEMPLATE_LIST_LEN_MAX 262144u   /* bytes in all elements of a list */
#define ENGINE_SQLTEMPLATE_PARTS_MAX 4096u        /* parts in an element */

/*
 * Cuts one element. *ret_statements: an array of statements, each an array of parts {"sql": TEXT},
 * {"identifier": "name"} or {"literal": "name"|"password"|"expiration"}; the caller's to
 * json_decref. Statements that hold only blanks and comments are dropped; an element with the word
 * END outside quotes, dollar quotes and comments is one statement. ret_used (may be NULL) gets the
 * bits of the slots that occur. LEASED_EINVAL says line, column and reason; LEASED_ETOOBIG which
 * limit.
 */
int engine_sqltemplate_element(const char *text, size_t len,
    enum engine_sqltemplate_dialect dialect, unsigned allowed, json_t **ret_statements,
    unsigned *ret_used, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * Cuts a list of elements; field ("creation_statements") stands in front of the errors.
 * *ret_elements: an array with one array of statements an element, as PROTOCOL.md ("Statements")
 * has it. An element without a statement is refused.
 */
int engine_sqltemplate_list(const char *field, const struct jdec_list *list,
    enum engine_sqltemplate_dialect dialect, unsigned allowed, json_t **ret_elements,
    unsigned *ret_used, struct leased_err *err) LEASED_MUST_CHECK;

#endif
