/*
 * SQL statement templates: checks the limits of elements and lists and runs the lexer
 * (sqltemplate_lex.c) over them. Quotes nothing and sends nothing: that is the worker's. Called by
 * the database engine when a role or a connection is written, and by tests/fuzz/sqltemplate_fuzz.c.
 */
#include "base/utf8.h"
#include "engine/sqltemplate_lex.h"

int
engine_sqltemplate_element(const char *text, size_t len, enum engine_sqltemplate_dialect dialect,
    unsigned allowed, json_t **ret_statements, unsigned *ret_used, struct leased_err *err)
{
	const struct engine_sqltemplate_lexer fresh = {
	    .text = text, .len = len, .dialect = dialect, .allowed = allowed, .err = err};
	struct engine_sqltemplate_lexer lexer = fresh;
	int r;

	if (len > ENGINE_SQLTEMPLATE_ELEMENT_LEN_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG, "longer than %u bytes",
		    ENGINE_SQLTEMPLATE_ELEMENT_LEN_MAX));
	if (memchr(text, '\0', len) != NULL || !utf8_is_valid(text, len))
		return (leased_err_set(err, LEASED_EINVAL, "not UTF-8 text without NUL bytes"));
	r = engine_sqltemplate_lex_text(&lexer);
	if (r == 0 && lexer.has_end && json_array_size(lexer.statements) > 1) {
		json_decref(lexer.statements);
		json_decref(lexer.parts);
		lexer = fresh;
		lexer.whole = true;
		r = engine_sqltemplate_lex_text(&lexer);
	}
	if (r == 0) {
		*ret_statements = json_incref(lexer.statements);
		if (ret_used != NULL)
			*ret_used = lexer.used;
	}
	json_decref(lexer.statements);
	json_decref(lexer.parts);
	return (r);
}

int
engine_sqltemplate_list(const char *field, const struct jdec_list *list,
    enum engine_sqltemplate_dialect dialect, unsigned allowed, json_t **ret_elements,
    unsigned *ret_used, struct leased_err *err)
{
	json_t *elements = json_array(), *statements = NULL;
	size_t i, total_len = 0;
	unsigned used = 0, used_all = 0;
	int r = 0;

	if (elements == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	for (i = 0; i < list->count; i++)
		total_len += strlen(list->items[i]);
	if (list->count > ENGINE_SQLTEMPLATE_ELEMENTS_MAX ||
	    total_len > ENGINE_SQLTEMPLATE_LIST_LEN_MAX) {
		r = leased_err_set(err, LEASED_ETOOBIG, "%s: more than %u elements or %u bytes",
		    field, ENGINE_SQLTEMPLATE_ELEMENTS_MAX, ENGINE_SQLTEMPLATE_LIST_LEN_MAX);
		goto out;
	}
	for (i = 0; i < list->count; i++) {
		r = engine_sqltemplate_element(list->items[i], strlen(list->items[i]), dialect,
		    allowed, &statements, &used, err);
		if (r == 0 && json_array_size(statements) == 0) {
			json_decref(statements);
			r = leased_err_set(err, LEASED_EINVAL, "it holds no statement");
		}
		if (r != 0) {
			r = leased_err_prefix(err, "%s, element %zu", field, i + 1);
			goto out;
		}
		used_all |= used;
		if (json_array_append_new(elements, statements) != 0) {
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			goto out;
		}
	}
	*ret_elements = json_incref(elements);
	if (ret_used != NULL)
		*ret_used = used_all;
out:
	json_decref(elements);
	return (r);
}
