/*
 * Whatever is sent and acknowledged, in whatever order, the scoreboard stays
 * what it should be, with few records as with many.
 */
#include "net/tcp_sent.h"

#include "base/bytes.h"
#include "net/tcp_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of((struct bytes){data, len});
    struct tcp_sent_record few[TCP_SENT_FEW], more[4 * TCP_SENT_FEW];
    struct tcp_sent s;
    uint64_t now = 1;

    tcp_sent_init(&s, few, TCP_SENT_FEW, get_be32(&r));
    while (r.rest.len > 0 && !r.failed) {
        uint8_t what = get_u8(&r);
        uint32_t a = get_u8(&r), b = get_u8(&r), left, right;
        uint32_t flight = tcp_sent_end(&s) - s.una;
        uint32_t delivered = flight - s.sacked;
        struct tcp_sent_ack how = {
            .now = now,
            .rtt_least = a,
            .has_echo = b & 1,
            .echo = b,
        };
        struct tcp_sent_news news = {0};

        now += what >> 4;
        switch (what & 7) {
        case 0:
            if (tcp_sent_has_room(&s) && flight < UINT16_MAX)
                tcp_sent_add(&s, tcp_sent_end(&s) + 1 + a, now);
            break;
        case 1:
            tcp_sent_ack(&s, s.una + (a < flight ? a : flight), &how, &news);
            break;
        case 2:
            (void)tcp_sent_sack(&s, s.una + a - 3, s.una + b, &how, &news);
            break;
        case 3:
            (void)tcp_sent_detect(&s, now - a % now, s.una + b, a, now);
            break;
        case 4:
            if (tcp_sent_next_lost(&s, &left, &right))
                tcp_sent_again(&s, left, left + 1 + a % (right - left), now);
            break;
        case 5:
            tcp_sent_expire(&s, a, b, now);
            break;
        case 6:
            if (flight > 0) {
                left = s.una + a % flight;
                tcp_sent_again(&s, left,
                               left + 1 + b % (tcp_sent_end(&s) - left), now);
            }
            break;
        default:
            if (s.records == few)
                tcp_sent_grow(&s, more, 4 * TCP_SENT_FEW);
            tcp_sent_find_all(&s);
            break;
        }
        tcp_sent_check(&s);
        assert(news.delivered <= delivered);
    }
    return 0;
}
