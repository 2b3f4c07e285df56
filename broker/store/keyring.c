/*
 * The keyring of a store that somebody else may be serving from: read, and nothing more. For checks
 * of what leased wrote elsewhere; the daemon itself opens its store whole.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/store_private.h"

static int
blob_read(sqlite3 *sqlite, const char *path, struct seal_root *root, struct seal **ret_seal,
    struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int r;

	(void)sqlite3_busy_timeout(sqlite, 5000);
	if (sqlite3_prepare_v2(sqlite, "SELECT keyring FROM birth WHERE id = 1", -1, &stmt, NULL) !=
		SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		r = leased_err_set(err, LEASED_EINVAL, "cannot read the keyring in %s: %s", path,
		    sqlite3_errmsg(sqlite));
	else
		r = seal_open(root, sqlite3_column_blob(stmt, 0),
		    (size_t)sqlite3_column_bytes(stmt, 0), ret_seal, err);
	(void)sqlite3_finalize(stmt);
	return (r);
}

int
store_keyring_read(
    const char *dir, struct seal_root *root, struct seal **ret_seal, struct leased_err *err)
{
	char path[1100];
	sqlite3 *sqlite = NULL;
	int r;

	if ((size_t)snprintf(path, sizeof(path), "%s/leased.db", dir) >= sizeof(path))
		return (leased_err_set(err, LEASED_ETOOBIG, "the path of the store is too long"));
	if (sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		r = leased_err_set(err, LEASED_ENOENT, "cannot open %s: %s", path,
		    sqlite != NULL ? sqlite3_errmsg(sqlite) : "no memory");
	else
		r = blob_read(sqlite, path, root, ret_seal, err);
	(void)sqlite3_close(sqlite);
	return (r);
}
