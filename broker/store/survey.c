/*
 * fsck, a file that cannot be opened as a store: cut off, or with its inner pages damaged. Says
 * what is missing, how many rows of which table can still be read, and whose accounts stand in
 * them, so that a person can end those at the backend. It opens no seal, writes nothing, and trusts
 * nothing that it reads. `leased fsck` calls it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/offline_private.h"

#define HEAD_SIZE 100
#define ACCOUNTS_TOLD 200
#define HOLE_MOST (INT64_C(1) << 40) /* as many numbers in a row are not passed over */

struct survey {
	sqlite3 *sqlite;
	void (*on_line)(void *arg, const char *text);
	void *arg;
	unsigned accounts; /* told */
};

static void say(struct survey *survey, const char *fmt, ...) LEASED_PRINTF(2, 3);

static void
say(struct survey *survey, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	survey->on_line(survey->arg, text);
}

static uint32_t
big_endian(const unsigned char *bytes, unsigned count)
{
	uint32_t value = 0;

	while (count-- > 0)
		value = value << 8 | *bytes++;
	return (value);
}

/* SQLite keeps its size of a page and how many there are in the head of the file. */
static void
size_say(struct survey *survey, const char *path)
{
	unsigned char head[HEAD_SIZE] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status = {0};
	uint32_t page, pages;
	int64_t there;

	if (fd < 0 || fstat(fd, &status) != 0 || pread(fd, head, sizeof(head), 0) != HEAD_SIZE)
		head[0] = '\0';
	if (fd >= 0)
		close(fd);
	page = big_endian(head + 16, 2);
	page = page == 1 ? 65536 : page;
	pages = big_endian(head + 28, 4);
	if (memcmp(head, "SQLite format 3", 16) != 0 || page < 512) {
		say(survey, "the head of the file is damaged, or it is no database");
		return;
	}
	there = status.st_size / page;
	if (there < (int64_t)pages)
		say(survey, "the file is cut off: it has %lld of its %u pages", (long long)there,
		    (unsigned)pages);
	else
		say(survey, "the file has all of its %u pages, and some of them are damaged",
		    (unsigned)pages);
}

/* The next row above *after: 1, 0: there is none, -1: its page cannot be read. */
static int
step_above(struct survey *survey, sqlite3_stmt *stmt, int64_t *after, bool tell)
{
	const char *account;
	int rc;

	(void)sqlite3_reset(stmt);
	if (sqlite3_bind_int64(stmt, 1, *after) != SQLITE_OK)
		return (-1);
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW)
		return (rc == SQLITE_DONE ? 0 : -1);
	if (sqlite3_column_int64(stmt, 0) <= *after)
		return (-1);
	*after = sqlite3_column_int64(stmt, 0);
	account = tell ? store_sql_column_text(stmt, 1) : "";
	if (account[0] != '\0' && survey->accounts++ < ACCOUNTS_TOLD)
		say(survey, "account %.100s (lease number %lld)", account, (long long)*after);
	return (1);
}

/* Where a page cannot be read, the next one that can is looked for in greater and greater steps,
 * so that what is counted is what is there at least. */
static void
table_survey(struct survey *survey, const char *name, const char *select, bool tell)
{
	int64_t after = 0, hole = 0, from = 0, count = 0;
	sqlite3_stmt *stmt = NULL;
	bool holes = false;
	int r = -1;

	if (sqlite3_prepare_v2(survey->sqlite, select, -1, &stmt, NULL) != SQLITE_OK) {
		say(survey, "table of %s: cannot be read", name);
		return;
	}
	while (hole <= HOLE_MOST && (r = step_above(survey, stmt, &after, tell)) != 0) {
		count += r == 1;
		holes = holes || r < 0;
		if (r == 1) {
			hole = 0;
			continue;
		}
		from = hole == 0 ? after : from;
		hole += hole / 8 + 1;
		after = from + hole;
	}
	sqlite3_finalize(stmt);
	say(survey, "table of %s: %lld can be read%s", name, (long long)count,
	    holes ? ", others cannot" : "");
}

/* Then it is no page that keeps it from being looked through: another root key does that, too. */
static bool
is_whole(const char *path)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *sqlite = NULL;
	bool whole =
	    sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) ==
		SQLITE_OK &&
	    sqlite3_prepare_v2(sqlite, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW && strcmp(store_sql_column_text(stmt, 0), "ok") == 0;

	sqlite3_finalize(stmt);
	(void)sqlite3_close(sqlite);
	return (whole);
}

int
store_survey(const char *path, void (*on_line)(void *arg, const char *text), void *arg,
    struct leased_err *err)
{
	static const char pragmas[] = "PRAGMA writable_schema=ON; PRAGMA query_only=ON;";
	struct survey survey = {.on_line = on_line, .arg = arg};
	int r = 0;

	if (is_whole(path))
		return (leased_err_set(err, LEASED_EINVAL, "no page of %s is damaged", path));
	size_say(&survey, path);
	/* With a schema that may be written SQLite reads also what is cut off. Nothing is. */
	if (sqlite3_open_v2(path, &survey.sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK ||
	    sqlite3_exec(survey.sqlite, pragmas, NULL, NULL, NULL) != SQLITE_OK) {
		r = leased_err_set(err, LEASED_ECORRUPT, "nothing of it can be read: %s",
		    survey.sqlite != NULL ? sqlite3_errmsg(survey.sqlite) : "no memory");
		goto out;
	}
	table_survey(&survey, "leases",
	    "SELECT id, account FROM lease NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 1", true);
	table_survey(&survey, "leases in quarantine",
	    "SELECT rowid, account FROM quarantine NOT INDEXED WHERE rowid > ?1 ORDER BY rowid "
	    "LIMIT 1",
	    true);
	table_survey(&survey, "documents",
	    "SELECT id FROM doc NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 1", false);
	table_survey(&survey, "tokens",
	    "SELECT id FROM token NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 1", false);
	if (survey.accounts > ACCOUNTS_TOLD)
		say(&survey, "accounts: %u more", survey.accounts - ACCOUNTS_TOLD);
out:
	(void)sqlite3_close(survey.sqlite);
	return (r);
}
