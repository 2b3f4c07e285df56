/*
 * What the tests of reconcile share, see fixture_reconcile.h.
 */
#include "unit/lease/fixture_reconcile.h"

void
on_reconciled(
    void *arg, int code, const struct lease_reconcile_status *status, const struct leased_err *err)
{
	struct told *told = arg;

	told->count++;
	told->code = code;
	if (status != NULL)
		told->status = *status;
	snprintf(told->text, sizeof(told->text), "%s", err->text);
}

void
start(struct fix *f, bool fix, struct told *told)
{
	struct lease_reconcile reconcile = {.connection = f->connection,
	    .fix = fix,
	    .cause = "req-7",
	    .actor = {.name = "ops", .accessor = "abcdefghijklmnopqrstuvwx"}};

	lease_reconcile_start(f->leases, &reconcile, 60000, on_reconciled, told);
}

/* The report of a run by hand; valid until the next one. */
const struct reconcile_report *
reconcile(struct fix *f, bool fix)
{
	struct told told = {0};

	start(f, fix, &told);
	settle(f);
	for (unsigned i = 0; i < 200 && told.count == 0; i++)
		later(f, 300);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.code, 0);
	assert_true(told.status.finished);
	return (lease_connection_find(f->leases, f->connection)->reconciling->by_hand);
}

void
assert_found(const struct reconcile_report *report, const char *what, const char *account)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(report->findings, i, finding)
	{
		if (strcmp(json_string_value(json_object_get(finding, "account")), account) == 0) {
			assert_string_equal(
			    json_string_value(json_object_get(finding, "what")), what);
			return;
		}
	}
	fail_msg("%s is not found", account);
}

/* As the default form has it. */
const char *
name_of_number(struct fix *f, int64_t number, char ret_name[64])
{
	struct lease_name name = {.tag = store_tag(f->store),
	    .role = "app",
	    .random = "abcdefghijklm",
	    .sequence = number,
	    .name_max = 63};
	char text[LEASE_ACCOUNT_SIZE];
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(lease_name_format(&name, text, &err), 0);
	snprintf(ret_name, 64, "%.63s", text);
	return (ret_name);
}

struct fake_account *
add(struct fix *f, const char *name)
{
	struct fake_account *account = fake_port_add_account(f->fake, name);

	account->sessions = 1;
	return (account);
}

bool
is_armed(struct fix *f, const char *name)
{
	struct fake_account *account = fake_port_account(f->fake, name);

	assert_non_null(account);
	return (account->armed);
}

void
until_asked(struct fix *f)
{
	for (unsigned i = 0; i < 50 && fake_port_pending(f->fake, PLUGIN_OP_INVENTORY) == 0; i++) {
		(void)leases_tick(f->leases);
		(void)store_pump(f->store);
	}
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_INVENTORY), 1);
}
