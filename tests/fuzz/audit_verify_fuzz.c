/*
 * Fuzzes the verifier of the audit: whatever stands in a file, it comes to an end, and no line is
 * taken for ours that is none. The input edits a log that is known to be whole: bytes to be
 * changed, lines to be taken out or repeated; what differs from every cut at a line's end is found.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/chain.h"
#include "audit/verify.h"

#define LINES 8

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct seal *seal;
static struct jenc whole;
static size_t starts[LINES + 1];

static void
check(bool good)
{
	if (!good)
		abort();
}

static void
setup(void)
{
	struct seal_root *root = seal_root_new_random();
	struct audit_chain chain;
	uint8_t *blob = NULL;
	size_t len = 0;
	char body[64];

	check(root != NULL && seal_new(root, &seal, &blob, &len, NULL) == 0);
	free(blob);
	seal_root_free(root);
	audit_chain_init(&chain);
	for (int i = 0; i < LINES; i++) {
		starts[i] = whole.len;
		(void)snprintf(
		    body, sizeof(body), "{\"time\":\"\",\"type\":\"request\",\"n\":%d}", i);
		check(audit_chain_add(&chain, seal, body, strlen(body), &whole, NULL) == 0);
	}
	starts[LINES] = whole.len;
}

static void
on_fault(void *arg, const char *name, int64_t line, const char *fault)
{
	(void)arg;
	check(name != NULL && line > 0 && fault != NULL);
}

static int64_t
faults_of(const uint8_t *bytes, size_t len)
{
	struct audit_verifier *verifier = audit_verifier_new(seal, on_fault, NULL);
	struct audit_report report;
	FILE *stream = fmemopen((void *)(uintptr_t)bytes, len, "r");

	check(verifier != NULL && stream != NULL);
	check(audit_verify(verifier, stream, "input", NULL) == 0);
	audit_verifier_end(verifier, &report);
	(void)fclose(stream);
	audit_verifier_free(verifier);
	return (report.faults);
}

/* Is it a run of whole lines of ours, in their order? */
static bool
is_run(const uint8_t *bytes, size_t len)
{
	for (size_t from = 0; from < LINES; from++)
		for (size_t to = from + 1; to <= LINES; to++)
			if (len == starts[to] - starts[from] &&
			    memcmp(bytes, whole.bytes + starts[from], len) == 0)
				return (true);
	return (false);
}

/* Each 3 bytes of the input edit the log once: what, and where. */
static size_t
edit(const uint8_t *bytes, size_t len, uint8_t *log)
{
	size_t size = whole.len, at, line;

	memcpy(log, whole.bytes, whole.len);
	for (size_t i = 0; i + 2 < len && i < 24 && size > 0; i += 3) {
		at = ((size_t)bytes[i + 1] << 8 | bytes[i + 2]) % size;
		line = bytes[i + 1] % LINES;
		switch (bytes[i] % 4) {
		case 0:
			log[at] = (uint8_t)(log[at] ^ bytes[i]);
			break;
		case 1:
			memmove(log + at, log + at + 1, size - at - 1);
			size--;
			break;
		case 2:
			size = at > 0 ? at : size;
			break;
		case 3:
			if (size + starts[line + 1] - starts[line] > 2 * whole.len)
				break;
			memcpy(log + size, whole.bytes + starts[line],
			    starts[line + 1] - starts[line]);
			size += starts[line + 1] - starts[line];
			break;
		default:
			break;
		}
	}
	return (size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct audit_line line;
	uint8_t *log;
	size_t size;

	if (seal == NULL)
		setup();
	if (len == 0)
		return (0);
	check(faults_of(bytes, len) > 0 || is_run(bytes, len));
	(void)audit_line_parse((const char *)bytes, len, &line);
	check((log = malloc(2 * whole.len)) != NULL);
	size = edit(bytes, len, log);
	check(size == 0 || is_run(log, size) == (faults_of(log, size) == 0));
	free(log);
	return (0);
}
