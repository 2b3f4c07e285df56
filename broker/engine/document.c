/*
 * Documents of connections and roles that may not open: what is said of such a one, and what stands
 * for it where it is replaced or deleted. Called by the handlers (database_*.c) and by
 * connection.c.
 */
#include <string.h>

#include "base/utf8.h"
#include "engine/document.h"

void
engine_doc_damaged(
    const char *kind, const char *mount_path, const char *name, struct leased_err *err)
{
	(void)leased_err_set(err, LEASED_ECORRUPT,
	    "the record of %s %s is damaged and does not open: write %s%s/%s again, with all that "
	    "it is to say, and it is replaced",
	    kind, UTF8_SHORT(name, 100), mount_path != NULL ? mount_path : "",
	    strcmp(kind, "connection") == 0 ? "config" : "roles", UTF8_SHORT(name, 100));
}

int
engine_doc_get(struct engines *engines, const char *kind, int64_t mount, const char *name,
    struct store_doc **ret_doc, struct leased_err *err)
{
	char full[ENGINE_DOC_NAME_SIZE];
	int r;

	engine_doc_name(mount, name, full);
	r = store_doc_get(store_db(engines->config.store), kind, full, ret_doc, err);
	if (r == LEASED_ECORRUPT)
		engine_doc_damaged(kind, engines_mount_path(engines, mount), name, err);
	return (r);
}

int
engine_doc_look(struct engines *engines, const char *kind, int64_t mount, const char *name,
    struct store_doc **ret_doc, struct leased_err *err)
{
	char full[ENGINE_DOC_NAME_SIZE];
	int r;

	engine_doc_name(mount, name, full);
	r = engine_doc_recall(engines, kind, full, ret_doc, err);
	if (r == LEASED_ECORRUPT)
		engine_doc_damaged(kind, engines_mount_path(engines, mount), name, err);
	return (r);
}

int
engine_doc_get_any(struct engines *engines, const char *kind, int64_t mount, const char *name,
    struct store_doc **ret_doc, bool *ret_damaged, struct leased_err *err)
{
	char full[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc = NULL;
	bool damaged;
	int r;

	r = engine_doc_get(engines, kind, mount, name, &doc, err);
	if ((damaged = r == LEASED_ECORRUPT)) {
		engine_doc_name(mount, name, full);
		r = store_doc_columns(store_db(engines->config.store), kind, full, &doc, err);
	}
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	if (doc != NULL && doc->data == NULL && (doc->data = json_object()) == NULL) {
		store_doc_free(doc);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	*ret_doc = doc;
	*ret_damaged = damaged;
	return (0);
}

void
engine_doc_tell_replaced(struct engine_request_copy *request, int code, struct leased_err *err)
{
	if (code == LEASED_EINVAL)
		leased_err_prefix(err, "the record that is there is damaged, so that nothing of it "
				       "can be kept and all must be written");
	else if (code == 0)
		engine_warn(request, "the record of before was damaged and is replaced: what this "
				     "write leaves out has its default now");
}
