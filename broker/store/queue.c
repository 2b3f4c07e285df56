/*
 * Intrusive queues of operations and reads, first in, first out. No locking: the owner of the
 * store's mutex calls, or the one thread that holds a batch.
 */
#include "store/queue.h"

void
store_queue_init(struct store_op_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
	queue->count = 0;
}

void
store_queue_append(struct store_op_queue *queue, struct store_op *op)
{
	op->next = NULL;
	*queue->last = op;
	queue->last = &op->next;
	queue->count++;
}

void
store_queue_take(struct store_op_queue *queue, size_t at_most, struct store_op_queue *ret_batch)
{
	struct store_op *op;

	store_queue_init(ret_batch);
	while (ret_batch->count < at_most && (op = queue->first) != NULL) {
		queue->first = op->next;
		queue->count--;
		store_queue_append(ret_batch, op);
	}
	if (queue->first == NULL)
		store_queue_init(queue);
}

void
store_queue_join(struct store_op_queue *queue, struct store_op_queue *more)
{
	if (more->first == NULL)
		return;
	*queue->last = more->first;
	queue->last = more->last;
	queue->count += more->count;
	store_queue_init(more);
}

void
store_queue_call_done(struct store_op_queue *batch)
{
	struct store_op *op, *next;

	for (op = batch->first; op != NULL; op = next) {
		next = op->next; /* done may free op */
		if (op->done != NULL)
			op->done(op, op->result, &op->err);
	}
	store_queue_init(batch);
}

void
store_read_queue_init(struct store_read_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

void
store_read_queue_append(struct store_read_queue *queue, struct store_read *read)
{
	read->next = NULL;
	*queue->last = read;
	queue->last = &read->next;
}

void
store_read_queue_take(struct store_read_queue *queue, struct store_read_queue *ret_all)
{
	store_read_queue_init(ret_all);
	if (queue->first != NULL) {
		ret_all->first = queue->first;
		ret_all->last = queue->last;
	}
	store_read_queue_init(queue);
}

struct store_read *
store_read_queue_take_one(struct store_read_queue *queue)
{
	struct store_read *read = queue->first;

	if (read == NULL)
		return (NULL);
	queue->first = read->next;
	if (queue->first == NULL)
		queue->last = &queue->first;
	return (read);
}

void
store_read_queue_join(struct store_read_queue *queue, struct store_read_queue *more)
{
	if (more->first == NULL)
		return;
	*queue->last = more->first;
	queue->last = more->last;
	store_read_queue_init(more);
}

void
store_read_queue_call_done(struct store_read_queue *reads)
{
	struct store_read *read, *next;

	for (read = reads->first; read != NULL; read = next) {
		next = read->next;
		if (read->done != NULL)
			read->done(read, read->result, &read->err);
	}
	store_read_queue_init(reads);
}
