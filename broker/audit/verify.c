/*
 * `leased audit verify`: reads files of the chain, oldest first, and names each line that is not
 * what was written, or not where it was written. What a crash tore is told apart from what somebody
 * did: it is no whole line, and the record behind it, which nobody can forge, says how much it is.
 * It trusts no byte: its input is what an attacker left. Called by serve.c and its fuzz target.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_private.h"
#include "audit/verify.h"

#define TORN_MAX (2 * AUDIT_LINE_MAX)

struct audit_verifier {
	struct seal *seal;
	audit_on_fault on_fault;
	void *arg;
	struct audit_chain chain; /* of the last good line */
	bool any;
	struct audit_report report;
	const char *name; /* of the file, while it is read */
	int64_t line;
	bool file_start; /* no good line of this file yet */
	/* Bytes behind the last good line that are no line. */
	char *torn;
	size_t torn_len;
	int64_t torn_line;
	bool torn_whole; /* one of them has a line's shape: no crash leaves that */
};

struct audit_verifier *
audit_verifier_new(struct seal *seal, audit_on_fault on_fault, void *arg)
{
	struct audit_verifier *verifier = calloc(1, sizeof(*verifier));

	if (verifier == NULL)
		return (NULL);
	verifier->seal = seal;
	verifier->on_fault = on_fault;
	verifier->arg = arg;
	audit_chain_init(&verifier->chain);
	if ((verifier->torn = malloc(TORN_MAX)) == NULL) {
		free(verifier);
		return (NULL);
	}
	return (verifier);
}

void
audit_verifier_free(struct audit_verifier *verifier)
{
	if (verifier == NULL)
		return;
	free(verifier->torn);
	free(verifier);
}

static void
fault(struct audit_verifier *verifier, int64_t line, const char *text)
{
	verifier->report.faults++;
	verifier->on_fault(verifier->arg, verifier->name, line, text);
}

/* ---- what is no line ---- */

static void
torn_add(struct audit_verifier *verifier, const char *bytes, size_t len)
{
	if (verifier->torn_len == 0)
		verifier->torn_line = verifier->line;
	if (verifier->torn_len + len > TORN_MAX)
		verifier->torn_whole = true; /* more than any crash leaves */
	else
		memcpy(verifier->torn + verifier->torn_len, bytes, len);
	if (!verifier->torn_whole)
		verifier->torn_len += len;
	else if (verifier->torn_len == 0)
		verifier->torn_len = 1;
}

/* Does the record, whose mac holds, speak of len bytes that are just these? */
static bool
torn_is(struct audit_verifier *verifier, const json_t *record, size_t len)
{
	const char *mac = json_string_value(json_object_get(record, "torn_mac"));
	char made[AUDIT_MAC_LEN + 1];

	return (mac != NULL && strlen(mac) == AUDIT_MAC_LEN &&
		json_integer_value(json_object_get(record, "torn_bytes")) == (json_int_t)len &&
		audit_bytes_mac(verifier->seal, verifier->torn, len, made, NULL) == 0 &&
		CRYPTO_memcmp(mac, made, AUDIT_MAC_LEN) == 0);
}

/* The newline behind the torn bytes is the crash's or that of the record which closes them. */
static void
torn_end(struct audit_verifier *verifier, const json_t *record)
{
	size_t len = verifier->torn_len;

	if (len == 0)
		return;
	if (record == NULL && !verifier->torn_whole && verifier->torn[len - 1] != '\n')
		fault(verifier, verifier->torn_line,
		    "the file ends within this line: leased is writing it, or a crash tore it and "
		    "leased has not been started since");
	else if (verifier->torn_whole)
		fault(verifier, verifier->torn_line, "this line was changed, or is not ours");
	else if (record != NULL &&
		 (torn_is(verifier, record, len) || torn_is(verifier, record, len - 1)))
		verifier->report.torn++;
	else
		fault(
		    verifier, verifier->torn_line, "this line was cut or changed, or is not ours");
	verifier->torn_len = 0;
	verifier->torn_whole = false;
}

/* ---- lines ---- */

static void
check_missing(struct audit_verifier *verifier, const json_t *record)
{
	char text[128];
	json_int_t from = json_integer_value(json_object_get(record, "missing_from"));
	json_int_t to = json_integer_value(json_object_get(record, "missing_to"));

	if (to < from || to == 0)
		return;
	(void)snprintf(text, sizeof(text),
	    "records %lld to %lld were missing when leased started here", (long long)from,
	    (long long)to);
	fault(verifier, verifier->line, text);
}

/*
 * A file that begins where the store knew the chain to end may overlap with the tail of the one
 * before: records of requests that were written after the store last heard of the chain, before a
 * crash, and whose file was taken away before the next start.
 */
static bool
may_overlap(const struct audit_verifier *verifier, const struct audit_line *line, const char *type)
{
	return (verifier->file_start && type != NULL && strcmp(type, "opened") == 0 &&
		line->seq <= verifier->chain.seq);
}

static void
check_links(struct audit_verifier *verifier, const struct audit_line *line, const char *type)
{
	char text[160];

	if (!verifier->any)
		return;
	if (may_overlap(verifier, line, type) && line->seq >= verifier->report.first_seq) {
		verifier->report.overlaps++;
		return;
	}
	if (line->seq == verifier->chain.seq + 1 && strcmp(line->prev, verifier->chain.mac) == 0)
		return;
	if (line->seq > verifier->chain.seq + 1)
		(void)snprintf(text, sizeof(text),
		    "records %" PRId64 " to %" PRId64 " are missing before this one",
		    verifier->chain.seq + 1, line->seq - 1);
	else if (verifier->file_start && line->seq < verifier->report.first_seq)
		(void)snprintf(text, sizeof(text),
		    "this file is older than the ones before it: the oldest comes first");
	else
		(void)snprintf(text, sizeof(text),
		    "record %" PRId64 " does not follow the one before it, %" PRId64
		    ": it was moved, repeated, or comes of another run of the same store",
		    line->seq, verifier->chain.seq);
	fault(verifier, verifier->line, text);
}

/* A line whose mac holds: ours, wherever it stands now. */
static int
take_line(struct audit_verifier *verifier, const char *bytes, size_t len,
    const struct audit_line *line, struct leased_err *err)
{
	json_t *record = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(record, "type"));
	bool resumed = type != NULL && strcmp(type, "resumed") == 0;

	if (record == NULL) {
		json_decref(record);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a line"));
	}
	torn_end(verifier, resumed ? record : NULL);
	if (resumed)
		check_missing(verifier, record);
	/* Behind what it says is missing the chain goes on where the store knew it to be. */
	if (!resumed || json_object_get(record, "missing_to") == NULL)
		check_links(verifier, line, type);
	json_decref(record);
	if (!verifier->any)
		verifier->report.first_seq = line->seq;
	verifier->any = true;
	verifier->file_start = false;
	verifier->chain.seq = line->seq;
	memcpy(verifier->chain.mac, line->mac, sizeof(line->mac));
	verifier->report.last_seq = line->seq;
	return (0);
}

/* bytes end with their newline, but for a last line without one. */
static int
check_line(struct audit_verifier *verifier, const char *bytes, size_t len, struct leased_err *err)
{
	bool whole = len > 0 && bytes[len - 1] == '\n', good = false;
	struct audit_line line;
	int r;

	verifier->report.lines++;
	if (whole && audit_line_parse(bytes, len - 1, &line)) {
		if ((r = audit_line_check(verifier->seal, bytes, &line, &good, err)) != 0)
			return (r);
		if (good)
			return (take_line(verifier, bytes, len - 1, &line, err));
		verifier->torn_whole = true;
	}
	torn_add(verifier, bytes, len);
	return (0);
}

int
audit_verify(
    struct audit_verifier *verifier, FILE *stream, const char *name, struct leased_err *err)
{
	char *bytes = malloc(AUDIT_LINE_MAX + 2);
	size_t len = 0;
	int r = 0, c;

	if (bytes == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read %s", name));
	verifier->name = name;
	verifier->line = 1;
	verifier->file_start = true;
	while (r == 0 && (c = getc(stream)) != EOF) {
		bytes[len++] = (char)c;
		if (c != '\n' && len <= AUDIT_LINE_MAX)
			continue;
		r = check_line(verifier, bytes, len, err);
		verifier->line += c == '\n';
		len = 0;
	}
	if (r == 0 && ferror(stream) != 0)
		r = leased_err_set(err, LEASED_EIO, "cannot read %s: %s", name, strerror(errno));
	if (r == 0 && len > 0)
		r = check_line(verifier, bytes, len, err);
	/* A torn tail is closed in its own file: also when that is renamed, it was closed before.
	 */
	if (r == 0)
		torn_end(verifier, NULL);
	free(bytes);
	return (r);
}

void
audit_verifier_end(struct audit_verifier *verifier, struct audit_report *ret_report)
{
	/* The first thing that leased writes into a file is a record that it was opened. */
	if (verifier->report.lines == 0)
		fault(verifier, 1, "there is no record at all: somebody has emptied it");
	*ret_report = verifier->report;
}
