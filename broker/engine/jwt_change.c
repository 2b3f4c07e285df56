/*
 * Every change of a named key: made, set, rotated, deleted. A rotation is one write: the pair that
 * was published becomes the one that signs, the one that signed stays published, and a pair that
 * was made before (and that nobody has heard of) is published as the next. So a crash at any step
 * leaves the key as it was, or rotated; what a lost step leaves behind is a pair that nobody knows.
 * A rotation with a verification_ttl of 0 is for a key that somebody else may have: whoever has the
 * pair that signs has the next one and those before, which lay beside it, so both are made anew and
 * nothing else stays published.
 *
 * Memory and workers follow the store: nothing is signed with what is not on disk.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/jwt.h"

#define CHANGE_TAG 0x6a776368u /* "jwch" */

enum jwt_state {
	JWT_BEGUN,
	JWT_GENERATE_CURRENT, /* a pair is being made */
	JWT_GENERATE_NEXT,
	JWT_WRITE,
	JWT_ENDED,
};

struct jwt_change {
	struct store_op op; /* first */
	unsigned tag;
	LIST_ENTRY(jwt_change) link;
	struct engine_jwt *jwt;
	enum jwt_state state;
	enum jwt_aim aim;
	char *name;
	int64_t mount, id; /* id 0: the key is new */
	json_t *settings;
	int64_t verification_ttl_s, now_ms;
	int64_t ready_ms;       /* the next pair may sign from then on */
	json_t *current, *next; /* pairs that were made: {"kid", "private", "public"} */
	struct store_doc *doc;  /* what was written */
	engine_changed done;
	void *arg;
};

static void enter(struct jwt_change *change, enum jwt_state to);

static struct jwt_change *
change_from(void *arg)
{
	struct jwt_change *change = arg;

	if (change->tag != CHANGE_TAG)
		abort();
	return (change);
}

static void
change_free(struct jwt_change *change)
{
	json_decref(change->settings);
	json_decref(change->current);
	json_decref(change->next);
	store_doc_free(change->doc);
	free(change->name);
	change->tag = 0;
	free(change);
}

/* The only way one ends. */
static void
change_end(struct jwt_change *change, int code, const struct leased_err *err)
{
	struct jwt_key *key = engine_jwt_key_find(change->jwt, change->name);
	struct engines *engines = change->jwt->engines;
	struct leased_err own = LEASED_ERR_INIT;
	engine_changed done = change->done;
	void *arg = change->arg;

	if (err != NULL)
		own = *err;
	if (key != NULL)
		key->busy = false;
	change->state = JWT_ENDED;
	LIST_REMOVE(change, link);
	change_free(change);
	done(arg, code, &own);
	engines_release(engines);
}

/* ---- what is written ---- */

/* The roles that sign with it, at most a few names of them. */
static int
check_unreferenced(const struct jwt_change *change, struct store_txn *txn, struct leased_err *err)
{
	char prefix[ENGINE_DOC_NAME_SIZE], after[ENGINE_DOC_NAME_SIZE] = "";
	struct store_doc **docs = NULL;
	const char *key;
	size_t count = 0;
	int r;

	engine_doc_name(change->mount, "", prefix);
	do {
		r = store_doc_list(store_txn_db(txn), "oidc-role", prefix,
		    after[0] != '\0' ? after : NULL, 64, &docs, &count, err);
		for (size_t i = 0; r == 0 && i < count; i++) {
			key = json_string_value(json_object_get(docs[i]->data, "key"));
			(void)strlcpy(after, docs[i]->name, sizeof(after));
			if (key != NULL && strcmp(key, change->name) == 0)
				r = leased_err_set(err, LEASED_EINVAL,
				    "unable to delete key \"%s\" because it is currently "
				    "referenced by these roles: %s",
				    change->name, docs[i]->name + strlen(prefix));
		}
		for (size_t i = 0; docs != NULL && i < count; i++)
			store_doc_free(docs[i]);
		free(docs);
		docs = NULL;
	} while (r == 0 && count == 64);
	return (r);
}

static int64_t
number(const json_t *object, const char *name)
{
	return (json_integer_value(json_object_get(object, name)));
}

/* While it signs, a pair covers tokens of the longest verification_ttl that held meanwhile. */
static int
cover(json_t *data)
{
	json_t *current = json_object_get(data, "current");
	int64_t ttl_s = number(data, "verification_ttl"), had_s = number(current, "cover_s");

	return (
	    json_object_set_new(current, "cover_s", json_integer(ttl_s > had_s ? ttl_s : had_s)));
}

/* Those that are over go; nobody publishes them any more. */
static json_t *
old_kept(const json_t *old, int64_t now_ms)
{
	json_t *kept = json_array(), *one;
	size_t i;

	json_array_foreach(old, i, one)
	{
		if (number(one, "until_ms") > now_ms && json_array_append(kept, one) != 0) {
			json_decref(kept);
			return (NULL);
		}
	}
	return (kept);
}

static bool
withdraws(const struct jwt_change *change)
{
	return (change->aim == JWT_ROTATE && change->verification_ttl_s == 0);
}

/* Nothing of what was published stays. */
static int
withdraw(struct jwt_change *change, json_t *data, struct leased_err *err)
{
	int64_t due_ms = change->now_ms + number(data, "rotation_period") * 1000;
	int r = json_object_set(data, "current", change->current) |
		json_object_set(data, "next", change->next) |
		json_object_set_new(data, "old", json_array());

	r |= json_object_set_new(
	    json_object_get(data, "next"), "ready_ms", json_integer(change->ready_ms));
	r |= cover(data) | json_object_set_new(data, "next_rotation_ms", json_integer(due_ms));
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* current > old, next > current, the new pair > next. */
static int
rotate(struct jwt_change *change, json_t *data, struct leased_err *err)
{
	const json_t *current = json_object_get(data, "current");
	json_t *old = old_kept(json_object_get(data, "old"), change->now_ms), *gone;
	int64_t keep_s = change->verification_ttl_s >= 0 ? change->verification_ttl_s
							 : number(current, "cover_s");
	int64_t period_s = number(data, "rotation_period");
	int r;

	if (json_array_size(old) >= JWT_OLD_MAX) {
		json_decref(old);
		return (leased_err_set(err, LEASED_ELIMIT,
		    "%d keys that signed before are still published: rotate again when the first "
		    "of them is over, or with a verification_ttl of 0, which withdraws them all",
		    JWT_OLD_MAX));
	}
	gone = json_pack("{s:O,s:O,s:I}", "kid", json_object_get(current, "kid"), "public",
	    json_object_get(current, "public"), "until_ms",
	    (json_int_t)(change->now_ms + keep_s * 1000));
	r = json_array_append_new(old, gone) | json_object_set_new(data, "old", old);
	r |= json_object_set(data, "current", json_object_get(data, "next"));
	r |= json_object_del(json_object_get(data, "current"), "ready_ms");
	r |= json_object_set_new(json_object_get(data, "current"), "cover_s", json_integer(0));
	r |= cover(data);
	r |= json_object_set(data, "next", change->next);
	r |= json_object_set_new(
	    json_object_get(data, "next"), "ready_ms", json_integer(change->ready_ms));
	r |= json_object_set_new(
	    data, "next_rotation_ms", json_integer((json_int_t)(change->now_ms + period_s * 1000)));
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
settings_put(struct jwt_change *change, json_t *data, struct leased_err *err)
{
	int64_t due_ms = change->now_ms + number(change->settings, "rotation_period") * 1000;
	bool made = change->aim == JWT_MAKE;
	int r = json_object_update(data, change->settings);

	if (made)
		r |= json_object_set(data, "current", change->current) |
		     json_object_set(data, "next", change->next) |
		     json_object_set_new(data, "old", json_array()) |
		     json_object_set_new(
			 json_object_get(data, "next"), "ready_ms", json_integer(change->ready_ms));
	/* A shorter period holds at once; a longer one from the next rotation on. */
	if (json_object_get(change->settings, "rotation_period") != NULL &&
	    (made || due_ms < number(data, "next_rotation_ms")))
		r |= json_object_set_new(data, "next_rotation_ms", json_integer(due_ms));
	r |= cover(data);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* The document as it is in this transaction; a new one for MAKE. */
static int
doc_load(struct jwt_change *change, struct store_txn *txn, struct leased_err *err)
{
	char full[ENGINE_DOC_NAME_SIZE];
	int r;

	store_doc_free(change->doc);
	change->doc = NULL;
	if (change->aim == JWT_MAKE) {
		change->doc =
		    engine_doc_new("oidc-key", change->mount, change->name, json_object());
		return (
		    change->doc != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	engine_doc_name(change->mount, change->name, full);
	r = store_doc_get(store_txn_db(txn), "oidc-key", full, &change->doc, err);
	if (r == LEASED_ENOENT)
		(void)leased_err_set(err, r, "key %s was deleted meanwhile", change->name);
	return (r);
}

static int
write_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct jwt_change *change = (struct jwt_change *)op;
	int r;

	if ((r = doc_load(change, txn, err)) != 0)
		return (r);
	switch (change->aim) {
	case JWT_DELETE:
		if ((r = check_unreferenced(change, txn, err)) != 0)
			return (r);
		return (store_doc_delete(txn, change->doc->id, change->doc->version, err));
	case JWT_ROTATE:
		r = withdraws(change) ? withdraw(change, change->doc->data, err)
				      : rotate(change, change->doc->data, err);
		break;
	case JWT_MAKE:
	case JWT_SET:
		r = settings_put(change, change->doc->data, err);
		break;
	}
	if (r != 0 || (r = store_doc_put(txn, change->doc, err)) != 0)
		return (r);
	return (FAILPOINT_ERROR(engine_jwt_write, err));
}

/* On disk: memory follows, then the workers. Both in this turn of the loop. */
static void
follow(struct jwt_change *change)
{
	struct engine_jwt *jwt = change->jwt;
	struct leased_err err = LEASED_ERR_INIT;
	struct jwt_key *key;

	if (change->aim == JWT_DELETE)
		engine_jwt_key_forget(jwt, change->doc->id);
	else if (engine_jwt_key_remember(jwt, change->doc) != 0)
		log_error("a key of JWTs was changed, and the change is not used before the next "
			  "start: out of memory",
		    LOG_S("key", change->name));
	if (change->aim != JWT_SET && engine_jwt_open(jwt, true, &err) != 0)
		log_error("the workers that sign JWTs have not been given the new keys; the next "
			  "token tries again",
		    LOG_ERR(&err));
	if (change->aim == JWT_ROTATE || change->aim == JWT_MAKE)
		log_info(change->aim == JWT_MAKE ? "a key of JWTs was made"
						 : "a key of JWTs was rotated",
		    LOG_S("key", change->name),
		    LOG_S("kid", json_string_value(json_object_get(
				     json_object_get(change->doc->data, "current"), "kid"))));
	/* Until now lists without the new pair were handed out, however long the disk took. */
	if ((key = engine_jwt_key_find(jwt, change->name)) != NULL && change->aim != JWT_SET)
		key->known_ms =
		    engine_jwt_known_ms(jwt->engines, leases_now_ms(jwt->engines->leases));
	engine_jwt_timer_wake(jwt);
}

static void
write_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct jwt_change *change = change_from(op);

	if (result == 0) {
		FAILPOINT(engine_jwt_after_write);
		if (!change->jwt->engines->stopping)
			follow(change);
	}
	change_end(change, result, err);
}

/* ---- the way ---- */

static void
on_generated(void *arg, const struct plugin_outcome *outcome)
{
	struct jwt_change *change = change_from(arg);
	const json_t *jwk = json_object_get(outcome->result, "public");
	struct leased_err err = LEASED_ERR_INIT;
	json_t *pair = NULL, **to;

	if (outcome->code != 0) {
		change_end(change, outcome->code == LEASED_EINVAL ? LEASED_EINVAL : LEASED_EUNAVAIL,
		    &outcome->err);
		return;
	}
	pair = json_pack("{s:O,s:O,s:O}", "kid", json_object_get(jwk, "kid"), "private",
	    json_object_get(outcome->result, "private"), "public", jwk);
	to = change->state == JWT_GENERATE_CURRENT ? &change->current : &change->next;
	*to = pair;
	if (pair == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		change_end(change, err.code, &err);
		return;
	}
	FAILPOINT(engine_jwt_after_generate);
	enter(change, to == &change->current ? JWT_GENERATE_NEXT : JWT_WRITE);
}

static void
generate(struct jwt_change *change)
{
	struct engine_jwt *jwt = change->jwt;
	struct jwt_key *key = engine_jwt_key_find(jwt, change->name);
	struct leased_err err = LEASED_ERR_INIT;
	const char *algorithm;
	int r;

	algorithm = json_string_value(json_object_get(change->settings, "algorithm"));
	if (algorithm == NULL && key != NULL)
		algorithm = engine_jwt_text(key, NULL, "algorithm");
	r = engine_jwt_open(jwt, false, &err);
	if (r == 0 &&
	    plugin_call_start(jwt->port, PLUGIN_OP_GENERATE,
		json_pack("{s:s}", "algorithm", algorithm), 0, on_generated, change) == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r != 0)
		change_end(change, r, &err);
}

/* THE function that changes its state. */
static void
enter(struct jwt_change *change, enum jwt_state to)
{
	struct engine_jwt *jwt = change->jwt;
	struct leased_err err = LEASED_ERR_INIT;

	if (to <= change->state)
		(void)bug(NULL, "a change of a key of JWTs goes from %d to %d", change->state, to);
	change->state = to;
	if (jwt->engines->stopping) {
		(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
		change_end(change, err.code, &err);
		return;
	}
	switch (to) {
	case JWT_GENERATE_CURRENT:
	case JWT_GENERATE_NEXT:
		FAILPOINT(engine_jwt_before_generate);
		generate(change);
		break;
	case JWT_WRITE:
		FAILPOINT(engine_jwt_before_write);
		change->now_ms = leases_now_ms(jwt->engines->leases);
		change->ready_ms = engine_jwt_known_ms(jwt->engines, change->now_ms);
		change->op.run = write_run;
		change->op.done = write_done;
		store_submit(jwt->engines->config.store, &change->op);
		break;
	case JWT_BEGUN:
	case JWT_ENDED:
		break;
	}
}

static int
begin_check(struct engine_jwt *jwt, const struct jwt_order *order, const struct jwt_key *key,
    struct leased_err *err)
{
	const struct jwt_change *under_way;
	const struct jwt_key *each;
	unsigned count = 0;
	int r;

	if ((r = engine_jwt_ready(jwt, err)) != 0)
		return (r);
	LIST_FOREACH (each, &jwt->keys, link)
		count++;
	LIST_FOREACH (under_way, &jwt->changes, link)
		count += under_way->aim == JWT_MAKE;
	if (order->aim == JWT_MAKE && count >= JWT_KEYS_MAX)
		return (leased_err_set(err, LEASED_ELIMIT,
		    "there are %d keys already, and each is published: delete one first",
		    JWT_KEYS_MAX));
	if (key != NULL && key->busy)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "key %s is being changed at this moment; ask again", order->name));
	return (0);
}

void
engine_jwt_change(
    struct engine_jwt *jwt, const struct jwt_order *order, engine_changed done, void *arg)
{
	struct jwt_key *key = engine_jwt_key_find(jwt, order->name);
	struct jwt_change *change = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if ((r = begin_check(jwt, order, key, &err)) == 0 &&
	    ((change = calloc(1, sizeof(*change))) == NULL ||
		(change->name = strdup(order->name)) == NULL))
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r != 0) {
		free(change);
		json_decref(order->settings);
		done(arg, r, &err);
		return;
	}
	change->tag = CHANGE_TAG;
	change->jwt = jwt;
	change->aim = order->aim;
	change->settings = order->settings;
	change->verification_ttl_s = order->verification_ttl_s;
	change->mount = engine_jwt_mount(jwt->engines)->id;
	change->now_ms = leases_now_ms(jwt->engines->leases);
	change->done = done;
	change->arg = arg;
	if (key != NULL)
		key->busy = true;
	LIST_INSERT_HEAD(&jwt->changes, change, link);
	engines_hold(jwt->engines);
	enter(change, order->aim == JWT_MAKE || withdraws(change) ? JWT_GENERATE_CURRENT
		      : order->aim == JWT_ROTATE                  ? JWT_GENERATE_NEXT
								  : JWT_WRITE);
}
