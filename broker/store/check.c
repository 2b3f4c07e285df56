/*
 * fsck's order of work, and what its parts share: what is found goes to the caller as text, and a
 * repair is one transaction of the ordinary writer. The parts: check_file.c looks at the file,
 * check_values.c at what has no row of its own, check_rows.c at each row, check_links.c at what
 * refers to what. `leased fsck` calls it.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/failpoint.h"
#include "store/offline_private.h"

void
store_check_say(struct store_check *check, enum store_found found, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (found == STORE_FOUND_REPAIRED)
		check->repaired++;
	if (found == STORE_FOUND_LEFT)
		check->left++;
	check->on_found(check->arg, found, text);
}

struct check_op {
	struct store_op op; /* first */
	struct store_check *check;
	store_check_work work;
	void *arg;
	int result;
	struct leased_err err;
};

static int
on_check_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct check_op *own = (struct check_op *)op;
	int r;

	if ((r = own->work(own->check, txn, own->arg, err)) != 0)
		return (r);
	return (FAILPOINT_ERROR(store_check_repair, err));
}

static void
on_check_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct check_op *own = (struct check_op *)op;

	own->result = result;
	own->err = *err;
}

int
store_check_write(
    struct store_check *check, store_check_work work, void *arg, struct leased_err *err)
{
	struct check_op own = {.op = {.run = on_check_run, .done = on_check_done},
	    .check = check,
	    .work = work,
	    .arg = arg,
	    .result = LEASED_ECANCELED};

	store_submit(check->store, &own.op);
	(void)store_pump(check->store);
	if (own.result != 0)
		return (leased_err_set(err, own.result, "%s", own.err.text));
	return (0);
}

int
store_check(struct store_check *check, struct leased_err *err)
{
	int r;

	if ((r = store_check_file(check, err)) != 0 || (r = store_check_values(check, err)) != 0 ||
	    (r = store_check_rows(check, err)) != 0)
		return (r);
	return (store_check_links(check, err));
}
