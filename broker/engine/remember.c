/*
 * Documents that were read lately and are only read: a role that a thousand requests ask for is
 * opened and parsed once. One is good only while the store says that no document has changed since
 * it was read, so that nothing has to be taken out of here. None that holds a secret comes here.
 * Called by the handlers, on the loop; transactions read for themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/document.h"

static struct engine_remembered *
slot_of(struct engines *engines, const char *kind, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *kind != '\0'; kind++)
		hash = (hash ^ (unsigned char)*kind) * 16777619u;
	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return (&engines->remembered[hash % ENGINE_REMEMBERED_MAX]);
}

/* What is in data is shared. */
static struct store_doc *
doc_share(const struct store_doc *doc)
{
	struct store_doc *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return (NULL);
	*copy = *doc;
	copy->kind = strdup(doc->kind);
	copy->name = strdup(doc->name);
	copy->data = json_incref(doc->data);
	if (copy->kind != NULL && copy->name != NULL)
		return (copy);
	store_doc_free(copy);
	return (NULL);
}

static void
slot_clear(struct engine_remembered *slot)
{
	store_doc_free(slot->doc);
	*slot = (struct engine_remembered){0};
}

int
engine_doc_recall(struct engines *engines, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err)
{
	struct engine_remembered *slot = slot_of(engines, kind, name);
	uint64_t changes = store_doc_changes(engines->config.store);
	struct store_doc *doc = NULL;
	int r;

	if (slot->doc != NULL && slot->changes == changes && strcmp(slot->doc->name, name) == 0 &&
	    strcmp(slot->doc->kind, kind) == 0 && (doc = doc_share(slot->doc)) != NULL) {
		*ret_doc = doc;
		return (0);
	}
	if ((r = store_doc_get(store_db(engines->config.store), kind, name, &doc, err)) != 0)
		return (r);
	*ret_doc = doc;
	slot_clear(slot);
	/* Odd: one is being changed, and what was read may be over the next moment. */
	if (changes % 2 == 0 && (slot->doc = doc_share(doc)) != NULL)
		slot->changes = changes;
	return (0);
}

void
engine_docs_forget(struct engines *engines)
{
	for (unsigned i = 0; i < ENGINE_REMEMBERED_MAX; i++)
		slot_clear(&engines->remembered[i]);
}
