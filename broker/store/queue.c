/*
 * Intrusive queues of operations and reads, first in, first out. No locking: the owner of the store's
 * mutex calls, or the one thread that holds a batch.
 */
#include "store/store_private.h"

void
queue_init(struct op_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
	queue->count = 0;
}

void
queue_append(struct op_queue *queue, struct store_op *op)
{
	op->next = NULL;
	*queue->last = op;
	queue->last = &op->next;
	queue->count++;
}

void
queue_take(struct op_queue *queue, size_t at_most, struct op_queue *ret_batch)
{
	struct store_op *op;

	queue_init(ret_batch);
	while (ret_batch->count < at_most && (op = queue->first) != NULL) {
		queue->first = op->next;
		queue->count--;
		queue_append(ret_batch, op);
	}
	if (queue->first == NULL)
		queue_init(queue);
}

void
queue_join(struct op_queue *queue, struct op_queue *more)
{
	if (more->first == NULL)
		return;
	*queue->last = more->first;
	queue->last = more->last;
	queue->count += more->count;
	queue_init(more);
}

void
queue_call_done(struct op_queue *batch)
{
	struct store_op *op, *next;

	for (op = batch->first; op != NULL; op = next) {
		next = op->next; /* done may free op */
		if (op->done != NULL)
			op->done(op, op->result, &op->err);
	}
	queue_init(batch);
}

void
read_queue_init(struct read_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

void
read_queue_append(struct read_queue *queue, struct store_read *read)
{
	read->next = NULL;
	*queue->last = read;
	queue->last = &read->next;
}

void
read_queue_take(struct read_queue *queue, struct read_queue *ret_all)
{
	read_queue_init(ret_all);
	if (queue->first != NULL) {
		ret_all->first = queue->first;
		ret_all->last = queue->last;
	}
	read_queue_init(queue);
}

void
read_queue_call_done(struct read_queue *reads)
{
	struct store_read *read, *next;

	for (read = reads->first; read != NULL; read = next) {
		next = read->next;
		if (read->done != NULL)
			read->done(read, read->result, &read->err);
	}
	read_queue_init(reads);
}
