/*
 * How fast the leases of a connection end. Without mints: as fast as its backend does it, a second
 * a batch. While mints are wanted, which wait for the same backend, its locks and its disk, ends
 * make room for them: one batch at a time, of each kind in turn, none longer than a mint takes, and
 * a rest behind each as long as it was. So what a mint meets at the worst takes about as long as
 * the mint itself, whatever the pace of the backend is; what takes long of itself (a removal that
 * hangs) holds up the other kind no longer than a batch may.
 *
 * A pace belongs to its connection. Nothing here allocates, calls back or fails. _us: by any clock
 * that stands for no change of time; _ms: lease time.
 */
#ifndef LEASE_PACE_H
#define LEASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_BATCH_MAX 64

enum lease_pace_kind { LEASE_PACE_DISARM, LEASE_PACE_REMOVE };

struct lease_pace {
	unsigned under_way[2]; /* batches, by kind */
	unsigned limit[2][2];  /* accounts a batch may hold: [kind][mints are wanted] */
	unsigned mints;        /* under way */
	int64_t minted_ms;     /* when one was under way last */
	int64_t mint_us;       /* what the backend takes for one that meets little else */
	int64_t quiet_ms;      /* while mints are wanted no batch begins before */
	enum lease_pace_kind last;
};

struct lease_pace_batch {
	enum lease_pace_kind kind;
	bool minting; /* made small, since mints are wanted */
	int64_t start_us;
};

void lease_pace_init(struct lease_pace *pace);
void lease_pace_mint_began(struct lease_pace *pace);
/* took_us: of a mint that went well; 0 of any other. */
void lease_pace_mint_over(struct lease_pace *pace, int64_t took_us, int64_t now_ms);
/* Nothing is under way. */
bool lease_pace_idle(const struct lease_pace *pace);
/* Mints are wanted. */
bool lease_pace_minting(const struct lease_pace *pace, int64_t now_ms);
/* The kind whose turn it is. */
enum lease_pace_kind lease_pace_turn(const struct lease_pace *pace);
/* How many accounts a batch may hold that begins now; 0: none may begin. */
unsigned lease_pace_room(const struct lease_pace *pace, enum lease_pace_kind kind, int64_t now_ms);
/* How long none may begin, should nothing else happen. */
int64_t lease_pace_rest_ms(const struct lease_pace *pace, int64_t now_ms);
void lease_pace_began(struct lease_pace *pace, enum lease_pace_kind kind, int64_t now_us,
    int64_t now_ms, struct lease_pace_batch *ret_batch);
/* accounts: how many it held; 0: it did not run, and says nothing of how long one takes. */
void lease_pace_over(struct lease_pace *pace, const struct lease_pace_batch *batch,
    unsigned accounts, int64_t now_us, int64_t now_ms);

#endif
