/*
 * Lists of documents by name: any number of them, so the reader thread pages through and the loop
 * only answers. Bounded; what does not fit is said, never dropped in silence.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/reply.h"

#define NAMES_PAGE 256
#define NAMES_MAX 10000

struct names_read {
	struct store_read read; /* first */
	struct api_request *request;
	const char *kind; /* a literal */
	bool with_policies, cut;
	char *after; /* the last name that was read; NULL: none yet */
	json_t *names;
};

static int
names_page(struct names_read *names, struct store_db *db, bool *ret_more, struct leased_err *err)
{
	struct store_doc **docs = NULL;
	size_t count = 0;
	int r;

	r = store_doc_list(db, names->kind, "", names->after, NAMES_PAGE, &docs, &count, err);
	if (r != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(names->names, json_string(docs[i]->name)) != 0)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		if (i == count - 1) {
			free(names->after);
			names->after = strdup(docs[i]->name);
			if (names->after == NULL)
				r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		}
		store_doc_free(docs[i]);
	}
	free(docs);
	*ret_more = count == NAMES_PAGE;
	return (r);
}

static int
names_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct names_read *names = (struct names_read *)read;
	bool more = true;
	int r;

	for (;;) {
		if ((r = names_page(names, db, &more, err)) != 0 || !more)
			return (r);
		if (json_array_size(names->names) >= NAMES_MAX) {
			names->cut = true;
			return (0);
		}
		if (store_read_is_long(db))
			return (STORE_READ_AGAIN);
	}
}

static void
on_names_read(struct store_read *read, int result, const struct leased_err *err)
{
	struct names_read *names = (struct names_read *)read;
	struct api_request *request = api_request_from(names->request);
	json_t *keys;

	if (result != 0) {
		api_reply_error(request, 0, err);
	} else {
		if (names->cut)
			api_request_warn(
			    request, "there are more than the first %d names", NAMES_MAX);
		keys = auth_names_sort(names->names);
		if (names->with_policies)
			api_reply_data(
			    request, json_pack("{s:O, s:o}", "policies", keys, "keys", keys));
		else
			api_reply_keys(request, keys);
	}
	json_decref(names->names);
	free(names->after);
	free(names);
}

void
api_list_documents(
    struct api_request *request, const char *kind, json_t *builtin, bool with_policies)
{
	struct names_read *names = calloc(1, sizeof(*names));

	if (names == NULL || builtin == NULL) {
		free(names);
		json_decref(builtin);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	names->read.run = names_run;
	names->read.done = on_names_read;
	names->request = request;
	names->kind = kind;
	names->with_policies = with_policies;
	names->names = builtin;
	store_submit_read(request->api->config.store, &names->read);
}
