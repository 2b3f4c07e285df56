/*
 * The fixture of the engine tests, see fixture.h.
 */
#include "unit/engine/fixture.h"

#include "engine/ssh/mount.h"

#define START_US (INT64_C(1790000000) * 1000000)

struct engine_caller caller;
const char *below = "database/";
const char *if_none_match, *prefer;

/* host "down": nobody answers; "refuse..": its mints are refused; else it is the server's name. */
static struct plugin_port *
on_port_open(struct plugin_host *host, const struct plugin_catalog_row *row, json_t *config,
    unsigned pool, int64_t connection)
{
	struct fix *f = (struct fix *)host;
	struct fake_port *port = f->spare;
	const char *name;

	(void)row;
	(void)pool;
	failalloc_pause();
	name = json_string_value(json_object_get(config, "host"));
	assert_true(f->port_count < PORTS_MAX);
	f->configs[f->port_count] = config;
	f->ports[f->port_count++] = port;
	f->spare = fake_port_new(0);
	fake_port_port(port)->connection = connection;
	fake_port_set_server(port, name != NULL ? name : "nowhere");
	if (f->describes != NULL)
		fake_port_describes(port, f->describes);
	if (f->opens != NULL)
		fake_port_opens(port, f->opens);
	if (name != NULL && strcmp(name, "down") == 0)
		fake_port_set_down(port, true);
	if (name != NULL && strncmp(name, "refuse", 6) == 0)
		fake_port_fault(port, PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, LEASED_EREFUSED,
		    "permission denied to create role; GRANT CREATEROLE");
	failalloc_resume();
	return (fake_port_port(port));
}

void
fix_open(struct fix *f)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct engines_config config = {
	    .store = f->store,
	    .host = (struct plugin_host *)f,
	    .clock = &f->clock.clock,
	    .ids = &f->ids.source,
	    .default_ttl_s = 3600,
	    .max_ttl_s = 86400,
	    .port_open = on_port_open,
	};
	struct leases_config leases = {
	    .store = f->store,
	    .clock = &f->clock.clock,
	    .ids = &f->ids.source,
	    .port_for = engines_port_for,
	    .plain_ended = engine_lease_ended,
	    .mount_path = engines_mount_path,
	    .server_of = engines_server_of,
	    .absent_why = engines_absent_why,
	};

	if (engines_new(&config, &f->engines, &err) != 0)
		fail_msg("%s", err.text);
	leases.arg = f->engines;
	if (leases_new(&leases, &f->leases, &err) != 0)
		fail_msg("%s", err.text);
	engines_start(f->engines, f->leases);
	settle(f);
}

void
fix_close(struct fix *f)
{
	engines_stop(f->engines);
	leases_free(f->leases);
	engines_free(f->engines);
	f->leases = NULL;
	f->engines = NULL;
	while (store_pump(f->store) > 0)
		;
}

int
fix_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = {.inline_mode = true};

	assert_non_null(f);
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	caller =
	    (struct engine_caller){.entity = "e1", .token_left_s = -1, .display_name = "uid-1001"};
	wclock_fake_init(&f->clock, START_US);
	id_source_seeded_init(&f->ids, 1);
	f->root = seal_root_new_random();
	f->spare = fake_port_new(0);
	config.root = f->root;
	config.clock = &f->clock.clock;
	config.ids = &f->ids.source;
	if (store_open(&config, &f->store, &err) != 0)
		fail_msg("%s", err.text);
	fix_open(f);
	*state = f;
	return (0);
}

int
fix_teardown(void **state)
{
	struct fix *f = *state;
	unsigned i;

	(void)ask(f, ENGINE_READ, "none", NULL); /* frees the answer before it */
	fix_close(f);
	store_close(f->store);
	for (i = 0; i < f->port_count; i++) {
		fake_port_free(f->ports[i]);
		json_decref(f->configs[i]);
	}
	fake_port_free(f->spare);
	seal_root_free(f->root);
	free(f);
	return (0);
}

unsigned
turn(struct fix *f)
{
	unsigned did = leases_tick(f->leases) == 0, i;

	(void)engine_rotations_tick(f->engines);
	(void)engine_ssh_tick(f->engines);
	did += store_pump(f->store);
	failalloc_pause();
	for (i = f->port_count > 12 ? f->port_count - 12 : 0; i < f->port_count; i++) {
		did += fake_port_pump(f->ports[i]);
	}
	failalloc_resume();
	return (did);
}

void
settle(struct fix *f)
{
	unsigned idle = 0, i;

	for (i = 0; idle < 3; i++) {
		idle = turn(f) == 0 ? idle + 1 : 0;
		if (i > 100000)
			fail_msg("it never comes to rest");
	}
}

void
later(struct fix *f, int64_t s)
{
	for (s *= 2; s > 0; s--) {
		wclock_fake_advance(&f->clock, 500000);
		settle(f);
	}
}

struct fake_port *
last_port(struct fix *f)
{
	assert_true(f->port_count > 0);
	return (f->ports[f->port_count - 1]);
}

/* ---- requests ---- */

static void
on_reply(void *arg, const struct engine_reply *reply)
{
	struct answer *answer = arg;

	answer->count++;
	answer->code = reply->code;
	answer->status = reply->status;
	answer->err = reply->err;
	answer->data = json_incref(reply->data);
	answer->warnings = json_incref(reply->warnings);
	if (reply->lease_id != NULL)
		(void)snprintf(answer->lease_id, sizeof(answer->lease_id), "%s", reply->lease_id);
	answer->row = reply->lease_row;
	answer->raw = reply->raw;
	answer->duration_s = reply->lease_duration_s;
	if (reply->page == NULL)
		return;
	(void)snprintf(answer->etag, sizeof(answer->etag), "%s", reply->page->etag);
	if (reply->page->bytes != NULL)
		answer->page = strndup(reply->page->bytes, reply->page->len);
	answer->page_len = reply->page->len;
}

void
start(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    struct answer *answer)
{
	struct engine_request request = {.operation = operation,
	    .path = path,
	    .caller = caller,
	    .request_id = "req-1",
	    .etag = if_none_match,
	    .prefer = prefer};
	const struct engine_mount *mount;
	const char *rest;
	json_t *object = NULL;
	char full[64];

	memset(answer, 0, sizeof(*answer));
	failalloc_pause();
	if (body != NULL && (object = json_loads(body, JSON_REJECT_DUPLICATES, NULL)) == NULL)
		fail_msg("not JSON: %s", body);
	failalloc_resume();
	request.body = object;
	(void)snprintf(full, sizeof(full), "%sx", below);
	mount = engines_route(f->engines, full, &rest);
	assert_non_null(mount);
	engine_handle(f->engines, mount, &request, on_reply, answer);
	json_decref(object);
}

void
answer_clear(struct answer *answer)
{
	json_decref(answer->data);
	json_decref(answer->warnings);
	free(answer->page);
	memset(answer, 0, sizeof(*answer));
}

struct answer *
ask(struct fix *f, enum engine_operation operation, const char *path, const char *body)
{
	static struct answer answer;

	answer_clear(&answer);
	start(f, operation, path, body, &answer);
	settle(f);
	if (answer.count != 1)
		fail_msg("%s was answered %u times", path, answer.count);
	return (&answer);
}

struct answer *
must(struct fix *f, enum engine_operation operation, const char *path, const char *body)
{
	struct answer *answer = ask(f, operation, path, body);

	if (answer->code != 0)
		fail_msg("%s: %s", path, answer->err.text);
	return (answer);
}

struct answer *
refused(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    int code, const char *part)
{
	struct answer *answer = ask(f, operation, path, body);

	if (answer->code != code || strstr(answer->err.text, part) == NULL)
		fail_msg("%s: %s: %s", path, leased_code_name(answer->code), answer->err.text);
	return (answer);
}

bool
warned(const struct answer *answer, const char *part)
{
	const json_t *text;
	size_t i;

	json_array_foreach(answer->warnings, i, text)
	{
		if (strstr(json_string_value(text), part) != NULL)
			return (true);
	}
	return (false);
}

static void
on_mounted(void *arg, int code, const struct leased_err *err)
{
	struct answer *answer = arg;

	answer->count++;
	answer->code = code;
	answer->err = *err;
}

void
mount_ask(struct fix *f, const char *path, const char *body, struct answer *answer)
{
	json_t *object = json_loads(body, 0, NULL);

	memset(answer, 0, sizeof(*answer));
	assert_non_null(object);
	engines_mount_add(f->engines, path, object, on_mounted, answer);
	json_decref(object);
}

void
unmount_ask(struct fix *f, const char *path, struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	engines_mount_remove(
	    f->engines, path, "req-1", &(struct lease_actor){"root", ""}, on_mounted, answer);
}

static void
on_revoked(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = (int)state;
}

void
revoke(struct fix *f, int64_t row)
{
	int state = -1;

	lease_revoke_start(f->leases, row, 10000, "req-2", on_revoked, &state);
	settle(f);
	assert_int_equal(state, LEASE_REVOKE_GONE);
}

/* ---- looking ---- */

unsigned
docs(struct fix *f, const char *kind)
{
	struct store_doc **found = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 0, i;

	if (store_doc_list(store_db(f->store), kind, "", NULL, 1000, &found, &count, &err) != 0)
		fail_msg("%s", err.text);
	for (i = 0; i < count; i++)
		store_doc_free(found[i]);
	free(found);
	return ((unsigned)count);
}

unsigned
rows(struct fix *f)
{
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 1000};
	struct store_lease **found = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 0;

	if (store_lease_page(store_db(f->store), &query, &found, &count, &err) != 0)
		fail_msg("%s", err.text);
	store_lease_page_free(found, count);
	return ((unsigned)count);
}
