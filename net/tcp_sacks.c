/* Blocks of the selective acknowledgment option, on the receiving side. */
#include "net/tcp_sacks.h"

#include <string.h>

static void remove_block(struct tcp_sacks *s, uint32_t i)
{
    s->count--;
    memmove(&s->blocks[i], &s->blocks[i + 1],
            (s->count - i) * sizeof s->blocks[0]);
}

void tcp_sacks_arrived(struct tcp_sacks *s, uint32_t left, uint32_t right)
{
    for (uint32_t i = 0; i < s->count;) {
        const struct tcp_sack *b = &s->blocks[i];
        if (seq_gt(b->left, right) || seq_lt(b->right, left)) {
            i++;
            continue;
        }
        if (seq_lt(b->left, left))
            left = b->left;
        if (seq_gt(b->right, right))
            right = b->right;
        remove_block(s, i);
        i = 0; /* what it has become may touch those before */
    }
    if (s->count == TCP_SACK_BLOCKS)
        s->count--;
    memmove(&s->blocks[1], &s->blocks[0], s->count * sizeof s->blocks[0]);
    s->blocks[0] = (struct tcp_sack){left, right};
    s->count++;
}

void tcp_sacks_repeated(struct tcp_sacks *s, uint32_t left, uint32_t right)
{
    s->duplicate = (struct tcp_sack){left, right};
    s->has_duplicate = true;
}

void tcp_sacks_advance(struct tcp_sacks *s, uint32_t rcv_nxt)
{
    for (uint32_t i = 0; i < s->count;) {
        if (seq_leq(s->blocks[i].left, rcv_nxt))
            remove_block(s, i);
        else
            i++;
    }
}

uint8_t tcp_sacks_report(struct tcp_sacks *s,
                         struct tcp_sack blocks[TCP_SACK_BLOCKS], uint8_t most)
{
    uint8_t count = 0;

    /* RFC 2883 section 4: first, before the block it is part of. */
    if (s->has_duplicate && most > 0)
        blocks[count++] = s->duplicate;
    s->has_duplicate = false;
    for (uint8_t i = 0; i < s->count && count < most; i++)
        blocks[count++] = s->blocks[i];
    return count;
}
