/*
 * The system's clocks and the fake ones of tests, and wall time as text.
 *
 * Knows nothing of lease time; lease/ builds that on these. Called by everyone who needs a time.
 */
#include "base/wclock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define BOOT_ID_LEN 36

static char system_boot_id_text[BOOT_ID_LEN + 1];
static pthread_once_t system_boot_id_once = PTHREAD_ONCE_INIT;

#ifdef LEASED_FAILPOINTS
#include <sys/mman.h>

/*
 * Test builds: LEASED_TEST_CLOCK names a file of what is added to both clocks, which a test changes
 * while we run, and of a boot's number: what a container does not let anybody do to the kernel.
 */
struct shifts {
	_Atomic int64_t wall_us, boot_us, boot;
};
static const struct shifts *shifts;

static void
shifts_open(void)
{
	const char *path = getenv("LEASED_TEST_CLOCK");
	void *map;
	int fd;

	if (path == NULL)
		return;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    (map = mmap(NULL, sizeof(*shifts), PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		log_fatal("LEASED_TEST_CLOCK: cannot map %s", path);
	close(fd);
	shifts = map;
}

static const struct shifts *
shifts_get(void)
{
	static const struct shifts none;
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, shifts_open);
	return (shifts != NULL ? shifts : &none);
}
#define SHIFT(member) (shifts_get()->member)
#else
#define SHIFT(member) ((int64_t)0)
#endif

static int64_t
read_us(clockid_t which)
{
	struct timespec now;

	if (clock_gettime(which, &now) != 0)
		log_fatal(
		    "cannot read the clock (%d): no lease can be timed without it", (int)which);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static int64_t
system_wall_us(struct wclock *clock)
{
	(void)clock;
	return (read_us(CLOCK_REALTIME) + SHIFT(wall_us));
}

static int64_t
system_boot_us(struct wclock *clock)
{
	(void)clock;
	return (read_us(CLOCK_BOOTTIME) + SHIFT(boot_us));
}

/* A service manager that protects the clock lets nobody ask the kernel; systemd-timesyncd leaves a
 * file when it has set the clock in this boot. */
static bool
system_synchronized(struct wclock *clock)
{
	struct timex timex = {0};

	(void)clock;
	if (adjtimex(&timex) != -1)
		return ((timex.status & STA_UNSYNC) == 0);
	return (access("/run/systemd/timesync/synchronized", F_OK) == 0);
}

static void
read_boot_id(void)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	ssize_t len = -1;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		len = read(fd, system_boot_id_text, BOOT_ID_LEN);
		close(fd);
	}
	if (len != BOOT_ID_LEN)
		log_fatal("cannot read %s: without it a reboot cannot be told from a changed "
			  "clock; is /proc mounted?",
		    path);
	if (SHIFT(boot) != 0)
		(void)snprintf(system_boot_id_text + BOOT_ID_LEN - 12, 13, "%012" PRIx64,
		    (uint64_t)SHIFT(boot) & UINT64_C(0xffffffffffff));
}

static const char *
system_boot_id(struct wclock *clock)
{
	(void)clock;
	pthread_once(&system_boot_id_once, read_boot_id);
	return (system_boot_id_text);
}

struct wclock *
wclock_system(void)
{
	static struct wclock system_clock = {
	    .wall_us = system_wall_us,
	    .boot_us = system_boot_us,
	    .synchronized = system_synchronized,
	    .boot_id = system_boot_id,
	};

	return (&system_clock);
}

static int64_t
fake_wall_us(struct wclock *clock)
{
	return (((struct wclock_fake *)clock)->wall_now_us);
}

static int64_t
fake_boot_us(struct wclock *clock)
{
	return (((struct wclock_fake *)clock)->boot_now_us);
}

static bool
fake_synchronized(struct wclock *clock)
{
	return (((struct wclock_fake *)clock)->is_synchronized);
}

static const char *
fake_boot_id(struct wclock *clock)
{
	return (((struct wclock_fake *)clock)->boot_id_text);
}

static void
fake_set_boot_id(struct wclock_fake *fake, uint64_t number)
{
	snprintf(fake->boot_id_text, sizeof(fake->boot_id_text),
	    "00000000-0000-4000-8000-%012" PRIx64, number & UINT64_C(0xffffffffffff));
}

void
wclock_fake_init(struct wclock_fake *fake, int64_t wall_us)
{
	memset(fake, 0, sizeof(*fake));
	fake->clock.wall_us = fake_wall_us;
	fake->clock.boot_us = fake_boot_us;
	fake->clock.synchronized = fake_synchronized;
	fake->clock.boot_id = fake_boot_id;
	fake->wall_now_us = wall_us;
	fake->is_synchronized = true;
	fake_set_boot_id(fake, 1);
}

void
wclock_fake_advance(struct wclock_fake *fake, int64_t us)
{
	fake->wall_now_us += us;
	fake->boot_now_us += us;
}

void
wclock_fake_jump(struct wclock_fake *fake, int64_t us)
{
	fake->wall_now_us += us;
}

void
wclock_fake_reboot(struct wclock_fake *fake, int64_t off_us)
{
	uint64_t number = strtoull(fake->boot_id_text + BOOT_ID_LEN - 12, NULL, 16);

	fake_set_boot_id(fake, number + 1);
	fake->boot_now_us = 0;
	fake->wall_now_us += off_us;
}

void
wclock_format_rfc3339(int64_t wall_us, char ret_text[WCLOCK_RFC3339_SIZE])
{
	int64_t rest_us = wall_us % 1000000;
	time_t seconds;
	struct tm parts;

	if (rest_us < 0)
		rest_us += 1000000;
	seconds = (time_t)((wall_us - rest_us) / 1000000);
	gmtime_r(&seconds, &parts);
	snprintf(ret_text, WCLOCK_RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06d000Z",
	    parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
	    parts.tm_sec, (int)rest_us);
}

/* As many digits as count, all of them. */
static bool
digits(const char **text, unsigned count, int *ret_number)
{
	int number = 0;

	for (unsigned i = 0; i < count; i++) {
		if (**text < '0' || **text > '9')
			return (false);
		number = number * 10 + (*(*text)++ - '0');
	}
	*ret_number = number;
	return (true);
}

static bool
mark(const char **text, char wanted)
{
	return (*(*text)++ == wanted);
}

bool
wclock_parse_rfc3339(const char *text, int64_t *ret_wall_us)
{
	struct tm parts = {0}, again;
	int64_t fraction_us = 0, unit_us = 100000;
	time_t seconds;

	if (strnlen(text, WCLOCK_RFC3339_SIZE) >= WCLOCK_RFC3339_SIZE ||
	    !digits(&text, 4, &parts.tm_year) || !mark(&text, '-') ||
	    !digits(&text, 2, &parts.tm_mon) || !mark(&text, '-') ||
	    !digits(&text, 2, &parts.tm_mday) || !mark(&text, 'T') ||
	    !digits(&text, 2, &parts.tm_hour) || !mark(&text, ':') ||
	    !digits(&text, 2, &parts.tm_min) || !mark(&text, ':') ||
	    !digits(&text, 2, &parts.tm_sec))
		return (false);
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++, unit_us /= 10)
			fraction_us += (*text - '0') * unit_us;
	}
	if (strcmp(text, "Z") != 0)
		return (false);
	parts.tm_year -= 1900;
	parts.tm_mon--;
	again = parts;
	/* timegm() would make a day of April of the 31st of March. */
	seconds = timegm(&again);
	if (again.tm_mon != parts.tm_mon || again.tm_mday != parts.tm_mday ||
	    again.tm_hour != parts.tm_hour || again.tm_min != parts.tm_min)
		return (false);
	*ret_wall_us = (int64_t)seconds * 1000000 + fraction_us;
	return (true);
}
