/*
 * How fast the leases of a connection end.
 */
#include "lease/pace.h"

#define BATCH_US 1000000 /* what a batch may take, by the measure of the ones before */
#define MINTING_US 8000  /* the same beside mints, before one has told what it takes itself */
#define MINTING_US_MIN 4000
#define MINTING_MS 2000 /* how long the last mint says that more will come */
#define CALLS_MAX 4     /* of each kind under way; one beside mints */
#define LIMIT_MINTING 4 /* accounts beside mints, before there is a measure */
#define SLOWER 256      /* so many mints that take longer raise what one takes by the factor e */

void
lease_pace_init(struct lease_pace *pace)
{
	*pace = (struct lease_pace){.last = LEASE_PACE_REMOVE};
	for (int kind = LEASE_PACE_DISARM; kind <= LEASE_PACE_REMOVE; kind++) {
		pace->limit[kind][false] = LEASE_BATCH_MAX;
		pace->limit[kind][true] = LIMIT_MINTING;
	}
}

void
lease_pace_mint_began(struct lease_pace *pace)
{
	pace->mints++;
}

/*
 * The quickest mints say what one takes of itself. By the mean, mints that batches slow down would
 * let batches grow, which slow mints down.
 */
void
lease_pace_mint_over(struct lease_pace *pace, int64_t took_us, int64_t now_ms)
{
	pace->mints--;
	pace->minted_ms = now_ms;
	if (took_us <= 0)
		return;
	if (pace->mint_us == 0 || took_us < pace->mint_us)
		pace->mint_us = took_us;
	else
		pace->mint_us += 1 + pace->mint_us / SLOWER;
}

bool
lease_pace_idle(const struct lease_pace *pace)
{
	return (pace->mints == 0 && pace->under_way[LEASE_PACE_DISARM] == 0 &&
		pace->under_way[LEASE_PACE_REMOVE] == 0);
}

/* Not only while one is under way: the next one finds the backend as the last batch left it. */
bool
lease_pace_minting(const struct lease_pace *pace, int64_t now_ms)
{
	return (pace->mints > 0 || now_ms < pace->minted_ms + MINTING_MS);
}

static int64_t
minting_us(const struct lease_pace *pace)
{
	if (pace->mint_us == 0)
		return (MINTING_US);
	if (pace->mint_us < MINTING_US_MIN)
		return (MINTING_US_MIN);
	return (pace->mint_us < BATCH_US ? pace->mint_us : BATCH_US);
}

enum lease_pace_kind
lease_pace_turn(const struct lease_pace *pace)
{
	return (pace->last == LEASE_PACE_DISARM ? LEASE_PACE_REMOVE : LEASE_PACE_DISARM);
}

int64_t
lease_pace_rest_ms(const struct lease_pace *pace, int64_t now_ms)
{
	bool resting = lease_pace_minting(pace, now_ms) && now_ms < pace->quiet_ms;

	return (resting ? pace->quiet_ms - now_ms : 0);
}

unsigned
lease_pace_room(const struct lease_pace *pace, enum lease_pace_kind kind, int64_t now_ms)
{
	bool minting = lease_pace_minting(pace, now_ms);

	if (pace->under_way[kind] >= (minting ? 1 : CALLS_MAX) ||
	    lease_pace_rest_ms(pace, now_ms) > 0)
		return (0);
	return (pace->limit[kind][minting]);
}

void
lease_pace_began(struct lease_pace *pace, enum lease_pace_kind kind, int64_t now_us, int64_t now_ms,
    struct lease_pace_batch *ret_batch)
{
	*ret_batch = (struct lease_pace_batch){
	    .kind = kind, .minting = lease_pace_minting(pace, now_ms), .start_us = now_us};
	pace->under_way[kind]++;
	pace->last = kind;
	/* Should it hang: the other kind need not wait for it any longer than for its due. */
	pace->quiet_ms = now_ms + (2 * minting_us(pace) + 999) / 1000;
}

/*
 * What took too long shrinks those to come by as much as that; what was full and in time lets them
 * grow. By batches and not by accounts: a round trip and a commit belong to the batch, and spread
 * over few accounts they would say that an account is slow.
 */
static void
measure(struct lease_pace *pace, const struct lease_pace_batch *batch, unsigned accounts,
    int64_t took_us)
{
	unsigned *limit = &pace->limit[batch->kind][batch->minting];
	int64_t budget_us = batch->minting ? minting_us(pace) : BATCH_US;
	int64_t next = *limit;

	if (took_us > budget_us)
		next = accounts * budget_us / took_us;
	else if (accounts >= *limit)
		next += next / 2 + 1;
	*limit = next < 1 ? 1 : next < LEASE_BATCH_MAX ? (unsigned)next : LEASE_BATCH_MAX;
}

void
lease_pace_over(struct lease_pace *pace, const struct lease_pace_batch *batch, unsigned accounts,
    int64_t now_us, int64_t now_ms)
{
	int64_t took_us = now_us - batch->start_us, rest_us = minting_us(pace);

	pace->under_way[batch->kind]--;
	if (accounts > 0)
		measure(pace, batch, accounts, took_us);
	if (took_us < rest_us)
		rest_us = took_us;
	pace->quiet_ms = now_ms + (rest_us + 999) / 1000;
}
