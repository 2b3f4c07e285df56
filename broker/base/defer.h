/*
 * Free at the end of the loop's turn: for objects that libevent may still mention in this turn.
 */
#ifndef BASE_DEFER_H
#define BASE_DEFER_H

struct event_base;

/* Calls fn(arg) once, after the current callbacks of loop have returned. Out of memory ends the
 * process: the object could neither be freed nor kept. */
void defer_free(struct event_base *loop, void (*fn)(void *arg), void *arg);

#endif
