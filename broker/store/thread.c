/*
 * Starting and ending the two threads, and bringing their results back to the loop: done() runs
 * there, through an eventfd, in the order of commits. What the threads do is in writer.c and
 * reader.c.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "store/store_private.h"

/* Callbacks in one turn of the loop, which has others to serve. */
#define TURN_MAX 128

void
store_thread_deliver(
    struct store *store, struct store_op_queue *ops, struct store_read_queue *reads)
{
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&store->mutex);
	first = store->done.first == NULL && store->reads_done.first == NULL;
	if (ops != NULL)
		store_queue_join(&store->done, ops);
	if (reads != NULL)
		store_read_queue_join(&store->reads_done, reads);
	pthread_mutex_unlock(&store->mutex);
	/* Cannot fail but for a full counter, which is readable then. */
	if (first && write(store->completed_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_fatal("cannot wake the event loop: %s", strerror(errno));
}

static void
on_completed(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = store_from(arg);
	struct store_read_queue reads;
	struct store_op_queue ops;
	uint64_t count;
	bool more;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_fatal("cannot read the store's event: %s", strerror(errno));
	pthread_mutex_lock(&store->mutex);
	store_queue_take(&store->done, TURN_MAX, &ops);
	store_read_queue_take(&store->reads_done, &reads);
	more = store->done.first != NULL;
	pthread_mutex_unlock(&store->mutex);
	if (more)
		event_active(store->completed, EV_READ, 0);
	store_queue_call_done(&ops);
	store_read_queue_call_done(&reads);
}

static int
thread_create(pthread_t *thread, bool *ret_has, void *(*body)(void *arg), struct store *store,
    const char *name, struct leased_err *err)
{
	sigset_t all, before;
	int failed;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(thread, NULL, body, store);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot start the store's thread: %s", strerror(failed)));
	pthread_setname_np(*thread, name);
	*ret_has = true;
	return (0);
}

int
store_thread_start(struct store *store, struct leased_err *err)
{
	int r;

	if ((store->completed_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot make an eventfd: %s", strerror(errno)));
	store->completed =
	    event_new(store->loop, store->completed_fd, EV_READ | EV_PERSIST, on_completed, store);
	if (store->completed == NULL || event_add(store->completed, NULL) != 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the store's event");
		goto out;
	}
	if ((r = thread_create(&store->writer, &store->has_writer, store_writer_main, store,
		 "store-writer", err)) != 0)
		goto out;
	r = thread_create(
	    &store->reader, &store->has_reader, store_reader_main, store, "store-reader", err);
out:
	if (r != 0)
		store_thread_stop(store);
	return (r);
}

void
store_thread_stop(struct store *store)
{
	pthread_mutex_lock(&store->mutex);
	store->stopping = true;
	/* Under the mutex: a read that is cut must find the reader told to stop, or it takes the
	 * next read, which is store_stop()'s to answer. */
	atomic_store(&store->cut, true);
	pthread_cond_signal(&store->work);
	pthread_cond_signal(&store->read_work);
	pthread_mutex_unlock(&store->mutex);
	if (store->has_writer)
		pthread_join(store->writer, NULL);
	if (store->has_reader)
		pthread_join(store->reader, NULL);
	if (store->completed != NULL)
		event_free(store->completed);
	if (store->completed_fd >= 0)
		close(store->completed_fd);
	store->completed = NULL;
	store->completed_fd = -1;
	store->has_writer = store->has_reader = false;
	store_queue_call_done(&store->done);
	store_read_queue_call_done(&store->reads_done);
}
