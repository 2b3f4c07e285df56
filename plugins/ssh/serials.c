/*
 * Serials of revoked certificates in as few bytes as PROTOCOL.krl allows: lists (8 bytes each),
 * ranges (16 bytes) and bitmaps (a bit for each number from the first to the last). Which of them a
 * run of numbers goes into is the shortest way through all runs: three ways to end at each, so that
 * one pass finds it.
 */
#include <stdlib.h>
#include <string.h>

#include "sshca.h"

enum { SECTION_LIST = 0x20, SECTION_RANGE = 0x21, SECTION_BITMAP = 0x22 };

/* In bits: a section's type and length; a bitmap's offset, length and sign besides. */
#define COST_SECTION (5 * 8)
#define COST_NUMBER (8 * 8)
#define COST_BITMAP (COST_SECTION + (8 + 4 + 2) * 8)
#define COST_MAX (UINT64_MAX / 4) /* more than all others together */

/* ssh-keygen and sshd read no longer number than this. */
#define BITMAP_BITS_MAX 16384

enum way { WAY_LIST, WAY_RANGE, WAY_BITMAP, WAYS };

/* Numbers without a gap, and for each way to write them: was the run before in the same section? */
struct run {
	uint64_t first, last;
	uint8_t from[WAYS]; /* the way of the run before */
	bool joins[WAYS];   /* .. whose section goes on */
	uint8_t way;        /* that was chosen at the end */
};

struct runs {
	struct run *runs;
	size_t count, size;
};

/* ---- reading ---- */

static int
runs_add(struct runs *runs, uint64_t serial, struct leased_err *err)
{
	size_t size = runs->size != 0 ? runs->size * 2 : 256;
	struct run *grown;

	if (runs->count > 0 && runs->runs[runs->count - 1].last + 1 == serial) {
		runs->runs[runs->count - 1].last = serial;
		return (0);
	}
	if (runs->count == runs->size) {
		if ((grown = reallocarray(runs->runs, size, sizeof(*grown))) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		runs->runs = grown;
		runs->size = size;
	}
	runs->runs[runs->count++] = (struct run){.first = serial, .last = serial};
	return (0);
}

/* One number and what ends it. */
static bool
read_distance(const char **at, uint64_t *ret_distance)
{
	uint64_t distance = 0;

	if (**at < '1' || **at > '9')
		return (false);
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		uint64_t digit = (uint64_t)(**at - '0');

		if (distance > (UINT64_MAX - digit) / 10)
			return (false);
		distance = distance * 10 + digit;
	}
	*ret_distance = distance;
	return (**at == '\0' || **at == ',');
}

static int
runs_read(const char *text, struct runs *runs, struct leased_err *err)
{
	uint64_t serial = 0, distance;
	size_t count = 0;
	int r;

	while (*text != '\0') {
		if (!read_distance(&text, &distance) || distance > UINT64_MAX - serial)
			return (leased_err_set(err, LEASED_EINVAL,
			    "serials: distances from 1 on, separated by ',', of each serial to the "
			    "one before"));
		serial += distance;
		if (++count > SSHCA_SERIALS_MAX)
			return (leased_err_set(
			    err, LEASED_ETOOBIG, "serials: more than %d", SSHCA_SERIALS_MAX));
		if ((r = runs_add(runs, serial, err)) != 0)
			return (r);
		if (*text == ',' && *++text == '\0')
			return (leased_err_set(
			    err, LEASED_EINVAL, "serials: nothing behind the last ','"));
	}
	return (0);
}

/* ---- the shortest way ---- */

/* The ways so far: what each has cost, and where the bitmap begins that one ends in. */
struct ends {
	uint64_t costs[WAYS];
	uint64_t bitmap_first;
};

static uint64_t
saturated(uint64_t a, uint64_t b)
{
	return (a > COST_MAX || b > COST_MAX - a ? COST_MAX : a + b);
}

/* May run be in one section with the one before? NULL: it is the first of all. */
static bool
may_join(const struct run *run, enum way way, const struct run *before, enum way before_way,
    const struct ends *ends)
{
	if (before == NULL || before_way != way || way == WAY_RANGE)
		return (false);
	return (way != WAY_BITMAP || run->last - ends->bitmap_first < BITMAP_BITS_MAX);
}

/* What a run costs; before: the one whose section it joins, or NULL. */
static uint64_t
cost_of(const struct run *run, enum way way, const struct run *before)
{
	uint64_t more = run->last - run->first, count = saturated(more, 1);

	switch (way) {
	case WAY_LIST:
		if (count > SSHCA_SERIALS_MAX)
			return (COST_MAX);
		return (count * COST_NUMBER + (before != NULL ? 0 : COST_SECTION));
	case WAY_RANGE:
		return (2 * COST_NUMBER + COST_SECTION);
	case WAY_BITMAP:
		if (before != NULL)
			return (run->last - before->last);
		return (more < BITMAP_BITS_MAX ? COST_BITMAP + count : COST_MAX);
	case WAYS:
		break;
	}
	return (COST_MAX);
}

/* Each way on by one run. */
static void
extend(struct run *run, const struct run *before, struct ends *ends)
{
	struct ends next = {.bitmap_first = run->first};

	for (uint8_t way = 0; way < WAYS; way++) {
		next.costs[way] = UINT64_MAX;
		for (uint8_t from = 0; from < WAYS; from++) {
			bool joins = may_join(run, (enum way)way, before, (enum way)from, ends);
			uint64_t cost = saturated(
			    ends->costs[from], cost_of(run, (enum way)way, joins ? before : NULL));

			if (cost >= next.costs[way])
				continue;
			next.costs[way] = cost;
			run->from[way] = from;
			run->joins[way] = joins;
		}
	}
	if (run->joins[WAY_BITMAP])
		next.bitmap_first = ends->bitmap_first;
	*ends = next;
}

static void
choose(struct runs *runs)
{
	struct ends ends = {{0}, 0};
	uint8_t best = 0;

	for (size_t i = 0; i < runs->count; i++)
		extend(&runs->runs[i], i > 0 ? &runs->runs[i - 1] : NULL, &ends);
	for (uint8_t way = 1; way < WAYS; way++)
		if (ends.costs[way] < ends.costs[best])
			best = way;
	for (size_t i = runs->count; i-- > 0;) {
		runs->runs[i].way = best;
		best = runs->runs[i].from[best];
	}
}

/* ---- writing: runs from .. to, that share a section ---- */

static void
put_list(struct sshwire_writer *writer, const struct run *from, const struct run *to)
{
	for (; from < to; from++)
		for (uint64_t at = from->first;; at++) {
			sshwire_put_u64(writer, at);
			if (at == from->last)
				break;
		}
}

/* As a number whose lowest bit is the first serial. */
static void
put_bitmap(struct sshwire_writer *writer, const struct run *from, const struct run *to)
{
	uint64_t offset = from->first, top = to[-1].last - offset;
	size_t len = (size_t)(top / 8) + 1;
	uint8_t *bits;

	if (top >= BITMAP_BITS_MAX || (bits = calloc(1, len)) == NULL) {
		writer->failed = true;
		return;
	}
	for (; from < to; from++)
		for (uint64_t at = from->first - offset; at <= from->last - offset; at++)
			bits[len - 1 - at / 8] |= (uint8_t)(1u << at % 8);
	sshwire_put_u64(writer, offset);
	sshwire_put_mpint(writer, bits, len);
	free(bits);
}

static void
put_section(struct sshwire_writer *writer, const struct run *from, const struct run *to)
{
	static const uint8_t sections[WAYS] = {SECTION_LIST, SECTION_RANGE, SECTION_BITMAP};
	size_t begin;

	sshwire_put_u8(writer, sections[from->way]);
	begin = sshwire_put_begin(writer);
	switch ((enum way)from->way) {
	case WAY_LIST:
		put_list(writer, from, to);
		break;
	case WAY_RANGE:
		sshwire_put_u64(writer, from->first);
		sshwire_put_u64(writer, from->last);
		break;
	case WAY_BITMAP:
		put_bitmap(writer, from, to);
		break;
	case WAYS:
		break;
	}
	sshwire_put_end(writer, begin);
}

static int
runs_put(struct sshwire_writer *writer, const struct runs *runs, struct leased_err *err)
{
	for (size_t from = 0, to; from < runs->count; from = to) {
		for (to = from + 1;
		     to < runs->count && runs->runs[to].way == runs->runs[from].way &&
		     runs->runs[to].joins[runs->runs[to].way];
		     to++)
			;
		put_section(writer, runs->runs + from, runs->runs + to);
		if (writer->failed)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		if (writer->len > SSHCA_KRL_MAX)
			return (leased_err_set(err, LEASED_ETOOBIG,
			    "the list of what is revoked would have more than %d bytes",
			    SSHCA_KRL_MAX));
	}
	return (0);
}

int
sshca_serials_put(const char *text, struct sshwire_writer *writer, struct leased_err *err)
{
	struct runs runs = {0};
	int r;

	if ((r = runs_read(text, &runs, err)) == 0) {
		choose(&runs);
		r = runs_put(writer, &runs, err);
	}
	free(runs.runs);
	return (r);
}
