/*
 * sd_notify (sd_notify(3), the datagram protocol) without libsystemd. Without NOTIFY_SOCKET every
 * call is a success that does nothing.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <leased/error.h>

/* Takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment and keeps them. Call before
 * harden_process(). */
void notify_setup(void);
/* state: lines such as "READY=1\nSTATUS=serving". Never blocks. */
int notify_send(const char *state, struct leased_err *err) LEASED_MUST_CHECK;
/* Microseconds between watchdog pings that systemd wants, 0: none. */
long long notify_watchdog_us(void);

#endif
