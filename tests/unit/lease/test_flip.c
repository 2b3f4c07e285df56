/*
 * A store's file with random bytes changed in it, any page: leased starts or refuses with words,
 * never crashes, believes no lease whose record does not open, and no account is forgotten: it
 * ends, or quarantine or fsck names what is wrong. Seeds are printed; FLIP_SEED replays one round,
 * FLIP_ROUNDS makes a longer run.
 */
#include "unit/lease/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lease/check.h"
#include "store/offline_private.h"

#define START_US (INT64_C(1790000000) * 1000000)
#define ACCOUNTS 40
#define ROUNDS 60

struct flip {
	struct fix fix;
	char base[64], dir[80], path[100];
	uint8_t *whole; /* the store's file before anything happened to it */
	size_t len;
	char accounts[ACCOUNTS][128];
	unsigned count, found, left;
	uint64_t random;
	char texts[65536]; /* what fsck said */
};

static uint64_t
next(struct flip *flip)
{
	flip->random ^= flip->random << 13;
	flip->random ^= flip->random >> 7;
	flip->random ^= flip->random << 17;
	return (flip->random * UINT64_C(2685821657736338717) >> 16);
}

static int
on_entry(const char *path, const struct stat *status, int what, struct FTW *where)
{
	(void)status;
	(void)what;
	(void)where;
	return (remove(path));
}

static void
directory_remove(const char *path)
{
	(void)nftw(path, on_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- one store, made once ---- */

static int
store_start(struct flip *flip, struct leased_err *err)
{
	struct fix *f = &flip->fix;
	struct store_config config = {.inline_mode = true,
	    .dir = flip->dir,
	    .root = f->root,
	    .clock = &f->clock.clock,
	    .ids = &f->ids.source};

	return (store_open(&config, &f->store, err));
}

static struct plugin_port *
port_for(void *arg, int64_t connection)
{
	struct fix *f = arg;

	return (connection == f->connection ? fake_port_port(f->fake) : NULL);
}

static const char *
mount_path(void *arg, int64_t mount)
{
	struct fix *f = arg;

	return (mount == f->mount ? "database/" : NULL);
}

static int
leases_start(struct flip *flip, struct leased_err *err)
{
	struct fix *f = &flip->fix;
	struct leases_config config = {.store = f->store,
	    .clock = &f->clock.clock,
	    .ids = &f->ids.source,
	    .port_for = port_for,
	    .mount_path = mount_path,
	    .arg = f};
	int r;

	if ((r = leases_new(&config, &f->leases, err)) != 0)
		return (r);
	fake_port_port(f->fake)->events = leases_port_events(f->leases);
	leases_port_opened(f->leases, fake_port_port(f->fake));
	return (0);
}

static void
stop(struct flip *flip)
{
	struct fix *f = &flip->fix;

	if (f->leases != NULL) {
		fake_port_port(f->fake)->events = (struct plugin_port_events){0};
		leases_free(f->leases);
	}
	f->leases = NULL;
	store_close(f->store);
	f->store = NULL;
}

struct doc_op {
	struct store_op op; /* first */
	struct store_doc doc;
	int result;
};

static int
on_doc_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	return (store_doc_put(txn, &((struct doc_op *)op)->doc, err));
}

static void
on_doc_done(struct store_op *op, int result, const struct leased_err *err)
{
	(void)err;
	((struct doc_op *)op)->result = result;
}

static int64_t
doc_put(struct fix *f, char *kind, char *name, const char *json)
{
	struct doc_op own = {.op = {.run = on_doc_run, .done = on_doc_done},
	    .doc = {.kind = kind, .name = name, .data = json_loads(json, 0, NULL)},
	    .result = LEASED_ECANCELED};

	store_submit(f->store, &own.op);
	store_pump(f->store);
	assert_int_equal(own.result, 0);
	json_decref(own.doc.data);
	return (own.doc.id);
}

static void
file_read(struct flip *flip)
{
	struct stat status;
	int fd = open(flip->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	flip->len = (size_t)status.st_size;
	flip->whole = malloc(flip->len);
	assert_non_null(flip->whole);
	assert_int_equal(read(fd, flip->whole, flip->len), (ssize_t)flip->len);
	close(fd);
}

/* Leases that live, that were revoked, that are on their way out and cannot go, and tokens. */
static int
setup(void **state)
{
	struct flip *flip = calloc(1, sizeof(*flip));
	struct leased_err err = LEASED_ERR_INIT;
	struct fix *f = &flip->fix;
	struct answer a;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	snprintf(flip->base, sizeof(flip->base), "/tmp/leased-flip-XXXXXX");
	assert_non_null(mkdtemp(flip->base));
	snprintf(flip->dir, sizeof(flip->dir), "%s/data", flip->base);
	snprintf(flip->path, sizeof(flip->path), "%s/leased.db", flip->dir);
	wclock_fake_init(&f->clock, START_US);
	id_source_seeded_init(&f->ids, 1);
	f->root = seal_root_new_random();
	if (store_start(flip, &err) != 0)
		fail_msg("%s", err.text);
	f->mount = doc_put(f, "mount", "database/", "{}");
	f->connection = doc_put(f, "connection", "pg", "{}");
	f->role_version = doc_put(f, "rolever", "1",
	    "{\"role\":{\"grant_roles\":[\"app\"]},\"role_id\":1,\"name_max\":63}");
	f->fake = fake_port_new(f->connection);
	assert_int_equal(leases_start(flip, &err), 0);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		a = make(f, 30 + i);
		if (i % 5 == 4) {
			(void)revoke_row(f, a.row);
			continue;
		}
		if (i % 7 == 3) {
			snprintf(account_of(f, &a)->blocked, sizeof(account_of(f, &a)->blocked),
			    "it owns a table");
			(void)revoke_row(f, a.row);
		} else {
			(void)strlcpy(flip->accounts[flip->count++], a.account, 128);
		}
	}
	(void)token_make(f, 0, 60);
	(void)token_make(f, 0, 0);
	stop(flip);
	fake_port_free(f->fake);
	f->fake = NULL;
	file_read(flip);
	*state = flip;
	return (0);
}

static int
teardown(void **state)
{
	struct flip *flip = *state;

	seal_root_free(flip->fix.root);
	directory_remove(flip->base);
	free(flip->whole);
	free(flip);
	return (0);
}

/* ---- a round ---- */

static void
file_damage(struct flip *flip)
{
	uint8_t *bytes = malloc(flip->len);
	unsigned times = 1 + (unsigned)(next(flip) % 3);
	int fd;

	assert_non_null(bytes);
	memcpy(bytes, flip->whole, flip->len);
	while (times-- > 0) {
		size_t at = next(flip) % flip->len;
		/* Every fourth in the header and the schema, where most is decided. */
		if (next(flip) % 4 == 0)
			at = next(flip) % 4096;
		if (next(flip) % 2 == 0)
			bytes[at] ^= (uint8_t)(1 << next(flip) % 8);
		else
			bytes[at] = (uint8_t)next(flip);
	}
	directory_remove(flip->dir);
	assert_int_equal(mkdir(flip->dir, 0700), 0);
	fd = open(flip->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, flip->len), (ssize_t)flip->len);
	close(fd);
	free(bytes);
}

static void
on_found(void *arg, enum store_found found, const char *text)
{
	struct flip *flip = arg;

	flip->found++;
	flip->left += found == STORE_FOUND_LEFT;
	(void)strlcat(flip->texts, text, sizeof(flip->texts));
	(void)strlcat(flip->texts, "\n", sizeof(flip->texts));
}

/* false: it says that the file cannot be looked through, which names it as well. */
static bool
fsck(struct flip *flip, bool repair)
{
	struct store_offline_config config = {.dir = flip->dir,
	    .writable = repair,
	    .root = flip->fix.root,
	    .clock = &flip->fix.clock.clock,
	    .ids = &flip->fix.ids.source};
	struct store_check check = {.repair = repair, .on_found = on_found, .arg = flip};
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	flip->found = flip->left = 0;
	flip->texts[0] = '\0';
	if ((r = store_offline_open(&config, &check.store, &err)) == 0)
		r = store_check(&check, &err);
	store_offline_close(check.store);
	if (r == 0)
		return (true);
	if (r == LEASED_EBUG || err.text[0] == '\0')
		fail_msg("fsck: %d: %s", r, err.text);
	flip->left++;
	return (false);
}

static void
scrub(struct flip *flip)
{
	struct store_scrub progress = {0};
	struct leased_err err = LEASED_ERR_INIT;
	int64_t wait_ms = 0;

	do {
		if (store_scrub_step(flip->fix.store->writer_db, &progress, &wait_ms, &err) != 0)
			break;
		store_pump(flip->fix.store);
	} while (progress.running);
}

/* A day of it, in steps. */
static void
work(struct flip *flip)
{
	struct fix *f = &flip->fix;

	settle(f);
	scrub(flip);
	for (unsigned i = 0; i < 16; i++) {
		wclock_fake_advance(&f->clock, 8 * 1000000);
		settle(f);
	}
	scrub(flip);
	settle(f);
}

/* What is not believed has no access; what is, is as it was. */
static void
judge(struct flip *flip, uint64_t seed)
{
	struct fix *f = &flip->fix;
	const struct fake_account *account;
	struct store_health health;
	unsigned armed = 0;
	bool whole;

	store_health_get(f->store, &health);
	for (unsigned i = 0; i < flip->count; i++) {
		account = fake_port_account(f->fake, flip->accounts[i]);
		armed += account != NULL && account->armed;
	}
	stop(flip);
	whole = fsck(flip, false);
	if (armed > 0 && whole && flip->found == 0)
		fail_msg("seed %llu: %u accounts live on and nobody says why",
		    (unsigned long long)seed, armed);
}

static bool
round_run(struct flip *flip, uint64_t seed)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct fix *f = &flip->fix;
	bool started = false;
	int r;

	alarm(120); /* a walk in circles */
	flip->random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
	file_damage(flip);
	wclock_fake_init(&f->clock, START_US + INT64_C(3600) * 1000000);
	f->fake = fake_port_new(f->connection);
	for (unsigned i = 0; i < flip->count; i++)
		fake_port_add_account(f->fake, flip->accounts[i])->armed = true;
	if ((r = store_start(flip, &err)) == 0 && (r = leases_start(flip, &err)) == 0) {
		started = true;
		work(flip);
		judge(flip, seed);
	} else {
		stop(flip);
	}
	if (r == LEASED_EBUG || (r != 0 && err.text[0] == '\0'))
		fail_msg("seed %llu: %d: %s", (unsigned long long)seed, r, err.text);
	if (getenv("FLIP_SEED") != NULL)
		print_message(
		    "seed %llu: %s\n", (unsigned long long)seed, r == 0 ? "started" : err.text);
	(void)fsck(flip, true);
	fake_port_free(f->fake);
	f->fake = NULL;
	return (started);
}

static void
no_account_is_forgotten_whatever_byte_of_the_file_changes(void **state)
{
	const char *rounds_text = getenv("FLIP_ROUNDS"), *seed_text = getenv("FLIP_SEED");
	unsigned rounds =
	    rounds_text != NULL ? (unsigned)strtonum(rounds_text, 1, 1000000, NULL) : ROUNDS;
	uint64_t first = 0;
	unsigned started = 0;

	id_source_system()->fill(id_source_system(), &first, 4);
	if (seed_text != NULL) {
		first = strtoull(seed_text, NULL, 10);
		rounds = 1;
	}
	print_message("seeds %llu to %llu\n", (unsigned long long)first,
	    (unsigned long long)(first + rounds - 1));
	for (unsigned i = 0; i < rounds; i++) {
		started += round_run(*state, first + i);
	}
	print_message("%u of %u started\n", started, rounds);
	if (rounds > 20)
		assert_in_range(started, rounds / 4, rounds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		no_account_is_forgotten_whatever_byte_of_the_file_changes, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
