/*
 * Outcomes of operations that touch the world outside the caller's memory.
 *
 * Each value names what the caller can do next, not where the problem arose.
 * A function's comment lists the values it can return; it returns no other.
 * Parsers return bool instead: the only thing to do with a malformed packet is
 * to drop it. Broken contracts are neither: they are assertions.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

enum err {
    OK = 0,
    ERR_AGAIN,       /* nothing now; the same call may succeed later */
    ERR_TIMEOUT,     /* the deadline passed first; nothing was done */
    ERR_CANCELLED,   /* this fiber was asked to stop: release and return */
    ERR_CLOSED,      /* the other side ended it in order; release the object */
    ERR_RESET,       /* the connection broke, data may be lost; release it */
    ERR_REFUSED,     /* the other side is there and says no */
    ERR_UNREACHABLE, /* no route, or nobody answers; another address may */
    ERR_FULL,        /* a bounded table, pool or buffer has no room left */
    ERR_NOT_FOUND,   /* no such name, route or key */
    ERR_INVALID,     /* what the user or the peer supplied makes no sense */
    ERR_IO,          /* the device failed; retrying will not help */
};

/* A word or two in English for `err`, for messages; never NULL. */
const char *err_text(enum err err);

#endif
