/*
 * The clocks, behind an interface, so that tests and a simulator own time.
 *
 * wall: microseconds since 1970 (CLOCK_REALTIME), for what people and other systems read. boot:
 * microseconds since boot, counted through sleep (CLOCK_BOOTTIME), for every duration and deadline.
 * boot_id: the kernel's id of this boot (36 characters). lease time, the anchor of both, is
 * lease/'s own and stands on these.
 */
#ifndef BASE_WCLOCK_H
#define BASE_WCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct wclock {
	int64_t (*wall_us)(struct wclock *clock);
	int64_t (*boot_us)(struct wclock *clock);
	/* Does the kernel call the wall clock synchronized (adjtimex)? Where it may not be asked:
	 * systemd-timesyncd. */
	bool (*synchronized)(struct wclock *clock);
	const char *(*boot_id)(struct wclock *clock);
};

/* The machine's own clocks; a static object, never freed. */
struct wclock *wclock_system(void);

/* A clock that moves only when told. */
struct wclock_fake {
	struct wclock clock; /* first */
	int64_t wall_now_us;
	int64_t boot_now_us;
	bool is_synchronized;
	char boot_id_text[37];
};
void wclock_fake_init(struct wclock_fake *fake, int64_t wall_us);
/* Both clocks go on by us. */
void wclock_fake_advance(struct wclock_fake *fake, int64_t us);
/* The wall clock alone jumps by us, as when it is set. */
void wclock_fake_jump(struct wclock_fake *fake, int64_t us);
/* A new boot: another boot id, boot time 0; the wall clock went on by off_us. */
void wclock_fake_reboot(struct wclock_fake *fake, int64_t off_us);

static inline int64_t
wclock_wall_ms(struct wclock *clock)
{
	return (clock->wall_us(clock) / 1000);
}

static inline int64_t
wclock_boot_ms(struct wclock *clock)
{
	return (clock->boot_us(clock) / 1000);
}

/* Writes wall time as RFC 3339 in UTC with nanoseconds ("2026-11-23T02:43:50.123456000Z") into
 * ret_text. */
#define WCLOCK_RFC3339_SIZE 40
void wclock_format_rfc3339(int64_t wall_us, char ret_text[WCLOCK_RFC3339_SIZE]);
/* The same back: UTC ("Z") only, any number of digits after the second. False: it is no such time.
 */
bool wclock_parse_rfc3339(const char *text, int64_t *ret_wall_us);

#endif
