/*
 * Inside of store/: first in, first out, without locking.
 */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/store.h"

struct store_op_queue {
	struct store_op *first, **last;
	size_t count;
};

struct store_read_queue {
	struct store_read *first, **last;
};

void store_queue_init(struct store_op_queue *queue);
void store_queue_append(struct store_op_queue *queue, struct store_op *op);
void store_queue_take(
    struct store_op_queue *queue, size_t at_most, struct store_op_queue *ret_batch);
void store_queue_join(struct store_op_queue *queue, struct store_op_queue *more);
void store_queue_call_done(struct store_op_queue *batch);
void store_read_queue_init(struct store_read_queue *queue);
void store_read_queue_append(struct store_read_queue *queue, struct store_read *read);
void store_read_queue_take(struct store_read_queue *queue, struct store_read_queue *ret_all);
struct store_read *store_read_queue_take_one(struct store_read_queue *queue); /* or NULL */
void store_read_queue_join(struct store_read_queue *queue, struct store_read_queue *more);
void store_read_queue_call_done(struct store_read_queue *reads);

#endif
