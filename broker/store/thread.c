/*
 * The writer and reader threads. Not built yet: a store opens in inline mode only.
 */
#include "store/store_private.h"

int
store_thread_start(struct store *store, struct leased_err *err)
{
	(void)store;
	return (leased_err_set(err, LEASED_EINVAL, "this build opens a store inline only"));
}

void
store_thread_stop(struct store *store)
{
	(void)store;
}
