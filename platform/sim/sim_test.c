/* Tests of platform/sim/sim.h. */
#include "platform/sim/sim.h"

#include <stdlib.h>

#include "fata/clock.h"
#include "fata/random.h"
#include "platform/platform.h"
#include "test/test.h"

enum { LOG = 4096, FRAME = 64 };

/* What arrived at a port, and when. */
struct seen {
    struct sim *sim;
    uint32_t count;
    uint64_t times[LOG];
    uint32_t numbers[LOG]; /* the first four bytes of payload */
    uint32_t lens[LOG];
};

static void see(void *context, struct bytes frame)
{
    struct seen *seen = context;
    struct reader r = reader_of(frame);

    if (seen->count == LOG)
        return;
    (void)get_bytes(&r, FATA_ETHERNET_HEADER_LEN);
    seen->times[seen->count] = sim_now(seen->sim);
    seen->numbers[seen->count] = get_be32(&r);
    seen->lens[seen->count++] = (uint32_t)frame.len;
}

/* Send a numbered frame from one locally administered address to another. */
static void send_numbered(struct sim_port *port, uint8_t to, uint8_t from,
                          uint32_t number)
{
    uint8_t frame[FRAME];
    struct writer w = WRITER(frame);

    put_u8(&w, 2);
    put_zeros(&w, 4);
    put_u8(&w, to);
    put_u8(&w, 2);
    put_zeros(&w, 4);
    put_u8(&w, from);
    put_be16(&w, 0x88b5); /* for experiments */
    put_be32(&w, number);
    put_zeros(&w, FRAME - w.len);
    sim_port_send(port, written(&w));
}

/* Two raw ports on a link. */
struct wire {
    struct sim *sim;
    struct sim_link *link;
    struct sim_port *a, *b;
    struct seen at_a, at_b;
};

static struct wire *wire_new(uint64_t seed,
                             const struct sim_link_options *options)
{
    struct wire *wire = calloc(1, sizeof *wire);

    if (wire == NULL)
        abort();
    wire->sim = sim_new(&(struct sim_options){.seed = seed});
    wire->link = sim_link_new(wire->sim, options);
    wire->at_a.sim = wire->at_b.sim = wire->sim;
    wire->a = sim_port_new(wire->link, "a", see, &wire->at_a);
    wire->b = sim_port_new(wire->link, "b", see, &wire->at_b);
    return wire;
}

static void wire_free(struct wire *wire)
{
    sim_free(wire->sim);
    free(wire);
}

static void send_many(struct wire *wire, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        send_numbered(wire->a, 2, 1, i);
    sim_run(wire->sim, SECONDS(10));
}

static void a_perfect_link_delivers_in_order_at_once(void)
{
    struct wire *wire = wire_new(1, NULL);

    send_many(wire, 100);
    CHECK_EQ(wire->at_b.count, 100);
    CHECK_EQ(wire->at_a.count, 0);
    for (uint32_t i = 0; i < wire->at_b.count; i++) {
        CHECK_EQ(wire->at_b.numbers[i], i);
        CHECK_EQ(wire->at_b.times[i], 0);
        CHECK_EQ(wire->at_b.lens[i], FRAME);
    }
    CHECK_EQ(sim_now(wire->sim), SECONDS(10));
    wire_free(wire);
}

static void delay_is_exact_and_jitter_within_its_bounds(void)
{
    struct sim_link_options options = {
        .faults = {.delay = MILLISECONDS(10), .jitter = MILLISECONDS(3)}};
    struct wire *wire = wire_new(2, &options);
    uint32_t out_of_order = 0;

    send_many(wire, 1000);
    CHECK_EQ(wire->at_b.count, 1000);
    for (uint32_t i = 0; i < wire->at_b.count; i++) {
        CHECK(wire->at_b.times[i] >= MILLISECONDS(10));
        CHECK(wire->at_b.times[i] < MILLISECONDS(13));
        if (i > 0 && wire->at_b.numbers[i] < wire->at_b.numbers[i - 1])
            out_of_order++;
    }
    CHECK(out_of_order > 100);
    wire_free(wire);

    options.faults.jitter = 0;
    wire = wire_new(2, &options);
    send_many(wire, 10);
    for (uint32_t i = 0; i < wire->at_b.count; i++)
        CHECK_EQ(wire->at_b.times[i], MILLISECONDS(10));
    wire_free(wire);
}

static void loss_and_duplication_come_as_often_as_asked(void)
{
    struct sim_link_options options = {.faults = {
                                           .loss_ppm = SIM_PERCENT(10),
                                           .duplicate_ppm = SIM_PERCENT(20),
                                       }};
    struct wire *wire = wire_new(3, &options);

    send_many(wire, 2000);
    const struct sim_counters *counters = sim_link_counters(wire->link);
    CHECK(counters->lost > 150 && counters->lost < 250);
    CHECK(counters->duplicated > 300 && counters->duplicated < 420);
    CHECK_EQ(counters->sent, 2000);
    CHECK_EQ(counters->delivered, 2000 - counters->lost + counters->duplicated);
    CHECK_EQ(wire->at_b.count, counters->delivered);
    wire_free(wire);
}

static void reordered_frames_come_later_by_what_was_asked(void)
{
    struct sim_link_options options = {.faults = {
                                           .reorder_ppm = SIM_PERCENT(50),
                                           .reorder_delay = MICROSECONDS(700),
                                       }};
    struct wire *wire = wire_new(4, &options);
    uint32_t late = 0;

    send_many(wire, 100);
    CHECK_EQ(wire->at_b.count, 100);
    for (uint32_t i = 0; i < wire->at_b.count; i++) {
        uint64_t time = wire->at_b.times[i];
        CHECK(time == 0 || time == MICROSECONDS(700));
        late += time != 0;
    }
    CHECK_EQ(late, sim_link_counters(wire->link)->reordered);
    CHECK(late > 30 && late < 70);
    wire_free(wire);
}

static void a_rate_spaces_frames_and_its_queue_is_bounded(void)
{
    /* 64 bytes at 512 kbit/s are a millisecond. */
    struct sim_link_options options = {.faults = {.rate = 512000, .queue = 5}};
    struct wire *wire = wire_new(5, &options);

    send_many(wire, 8);
    CHECK_EQ(wire->at_b.count, 5);
    for (uint32_t i = 0; i < wire->at_b.count; i++)
        CHECK_EQ(wire->at_b.times[i], MILLISECONDS(i + 1));
    CHECK_EQ(sim_link_counters(wire->link)->queue_full, 3);
    wire_free(wire);
}

static void corruption_changes_bits_behind_the_ethernet_header_only(void)
{
    struct sim_link_options options = {
        .faults = {.corrupt_ppm = SIM_PERCENT(100)}};
    struct wire *wire = wire_new(6, &options);

    send_many(wire, 500);
    CHECK_EQ(wire->at_b.count, 500);
    CHECK_EQ(sim_link_counters(wire->link)->corrupted, 500);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < wire->at_b.count; i++)
        changed += wire->at_b.numbers[i] != i;
    CHECK(changed > 20 && changed < 100); /* 4 of 50 bytes, and bursts */
    wire_free(wire);
}

static void frames_larger_than_the_mtu_are_dropped(void)
{
    struct sim_link_options options = {.mtu = FRAME - 15};
    struct wire *wire = wire_new(7, &options);

    send_many(wire, 1);
    CHECK_EQ(wire->at_b.count, 0);
    CHECK_EQ(sim_link_counters(wire->link)->too_big, 1);
    wire_free(wire);

    options.mtu = FRAME - 14;
    wire = wire_new(7, &options);
    send_many(wire, 1);
    CHECK_EQ(wire->at_b.count, 1);
    wire_free(wire);
}

static void each_direction_has_faults_of_its_own(void)
{
    struct wire *wire = wire_new(8, NULL);
    struct sim_faults slow = {.delay = SECONDS(1)};
    struct sim_faults dead = {.loss_ppm = SIM_PERCENT(100)};

    sim_port_faults_from(wire->a, &slow);
    sim_port_faults_to(wire->a, &dead);
    send_numbered(wire->a, 2, 1, 1);
    send_numbered(wire->b, 1, 2, 2);
    sim_run(wire->sim, SECONDS(2));
    CHECK_EQ(wire->at_b.count, 1);
    CHECK_EQ(wire->at_b.times[0], SECONDS(1));
    CHECK_EQ(wire->at_a.count, 0);
    wire_free(wire);
}

static void an_unplugged_port_neither_sends_nor_receives(void)
{
    struct wire *wire = wire_new(9, NULL);

    sim_port_plug(wire->b, false);
    send_many(wire, 1);
    send_numbered(wire->b, 1, 2, 0);
    sim_port_plug(wire->b, true);
    send_many(wire, 1);
    CHECK_EQ(wire->at_a.count, 0);
    CHECK_EQ(wire->at_b.count, 1);
    wire_free(wire);
}

static void a_switch_floods_until_it_has_learnt(void)
{
    struct sim *sim = sim_new(NULL);
    struct sim_link *link = sim_link_new(sim, NULL);
    struct seen *seen = calloc(3, sizeof *seen);
    struct sim_port *ports[3];

    if (seen == NULL)
        abort();
    for (int i = 0; i < 3; i++) {
        seen[i].sim = sim;
        ports[i] = sim_port_new(link, "port", see, &seen[i]);
    }
    send_numbered(ports[0], 2, 1, 10); /* nobody knows 2 */
    sim_run(sim, 1);
    CHECK_EQ(seen[1].count, 1);
    CHECK_EQ(seen[2].count, 1);
    send_numbered(ports[1], 1, 2, 11); /* 1 was learnt, now 2 is */
    sim_run(sim, 2);
    CHECK_EQ(seen[0].count, 1);
    CHECK_EQ(seen[2].count, 1);
    send_numbered(ports[0], 2, 1, 12);
    sim_run(sim, 3);
    CHECK_EQ(seen[1].count, 2);
    CHECK_EQ(seen[2].count, 1);
    sim_free(sim);
    free(seen);
}

/* ---- events */

static void note_time(void *context)
{
    struct seen *seen = context;
    seen->times[seen->count++] = sim_now(seen->sim);
}

static bool two_seen(void *context)
{
    return ((struct seen *)context)->count == 2;
}

static void calls_come_in_order_of_time_and_of_asking(void)
{
    struct seen seen = {0};
    struct sim *sim = sim_new(NULL);

    seen.sim = sim;
    sim_at(sim, 30, note_time, &seen);
    sim_at(sim, 10, note_time, &seen);
    sim_at(sim, 20, note_time, &seen);
    CHECK_EQ(sim_next(sim), 10);
    CHECK(sim_run_until(sim, two_seen, &seen, SECONDS(1)));
    CHECK_EQ(sim_now(sim), 20);
    CHECK(sim_step(sim));
    CHECK(!sim_step(sim));
    CHECK_EQ(seen.times[0], 10);
    CHECK_EQ(seen.times[1], 20);
    CHECK_EQ(seen.times[2], 30);
    sim_free(sim);
}

static void many_events_come_in_order(void)
{
    struct seen *seen = calloc(1, sizeof *seen);
    struct sim *sim = sim_new(&(struct sim_options){.seed = 4});

    if (seen == NULL)
        abort();
    seen->sim = sim;
    for (int i = 0; i < LOG; i++)
        sim_at(sim, sim_random_below(sim, 1000), note_time, seen);
    sim_run(sim, 1000);
    CHECK_EQ(seen->count, LOG);
    for (uint32_t i = 1; i < seen->count; i++)
        CHECK(seen->times[i - 1] <= seen->times[i]);
    sim_free(sim);
    free(seen);
}

static void what_has_not_happened_is_freed_with_the_world(void)
{
    struct wire *wire =
        wire_new(1, &(struct sim_link_options){.faults = {.delay = 5}});

    sim_at(wire->sim, 10, note_time, &wire->at_a);
    send_numbered(wire->a, 2, 1, 0);
    wire_free(wire);
}

/* ---- captures */

struct memory_file {
    FILE *file;
    char *at;
    size_t len;
};

static void memory_open(struct memory_file *m)
{
    m->file = open_memstream(&m->at, &m->len);
    if (m->file == NULL)
        abort();
}

static struct bytes memory_close(struct memory_file *m)
{
    (void)fclose(m->file);
    return bytes_of(m->at, m->len);
}

static void a_capture_is_a_pcap_file_with_virtual_times(void)
{
    struct sim_link_options options = {.faults = {.delay = 1500000001}};
    struct wire *wire = wire_new(10, &options);
    struct memory_file file, file_a;

    memory_open(&file);
    memory_open(&file_a);
    sim_link_capture(wire->link, file.file);
    sim_port_capture(wire->a, file_a.file);
    send_numbered(wire->a, 2, 1, 77);
    sim_run(wire->sim, SECONDS(2));
    struct bytes bytes = memory_close(&file);
    struct bytes bytes_a = memory_close(&file_a);
    wire_free(wire);

    struct reader r = reader_of(bytes);
    CHECK_EQ(get_le32(&r), 0xa1b23c4d);
    CHECK_EQ(get_le16(&r), 2);
    CHECK_EQ(get_le16(&r), 4);
    CHECK_EQ(get_le64(&r), 0);
    CHECK(get_le32(&r) >= 65535);
    CHECK_EQ(get_le32(&r), 1); /* Ethernet */
    CHECK_EQ(get_le32(&r), 1);
    CHECK_EQ(get_le32(&r), 500000001);
    CHECK_EQ(get_le32(&r), FRAME);
    CHECK_EQ(get_le32(&r), FRAME);
    (void)get_bytes(&r, FATA_ETHERNET_HEADER_LEN);
    CHECK_EQ(get_be32(&r), 77);
    (void)get_bytes(&r, FRAME - FATA_ETHERNET_HEADER_LEN - 4);
    CHECK(!r.failed);
    CHECK_EQ(r.rest.len, 0);

    r = reader_of(bytes_a); /* the sender's end sees it when it is sent */
    (void)get_bytes(&r, 24);
    CHECK_EQ(get_le32(&r), 0);
    CHECK_EQ(get_le32(&r), 0);
    CHECK(!r.failed);
    free(file.at);
    free(file_a.at);
}

/* ---- nodes of the test's own */

struct sleeper {
    struct fata_env *env;
    uint64_t woke[3];
};

static void sleep_thrice(void *argument)
{
    struct sleeper *sleeper = argument;

    for (int i = 0; i < 3; i++) {
        if (fata_sleep(sleeper->env, MILLISECONDS(100)) != OK)
            return;
        sleeper->woke[i] = fata_clock_monotonic(sleeper->env->clock);
    }
}

static void nodes_sleep_in_virtual_time_by_their_own_clock(void)
{
    struct sim *sim = sim_new(NULL);
    struct sim_node_options options = {.name = "late", .epoch = SECONDS(1000)};
    struct sim_node *nodes[2] = {sim_node_new(sim, NULL),
                                 sim_node_new(sim, &options)};
    struct sleeper sleepers[2] = {0};

    for (int i = 0; i < 2; i++) {
        sleepers[i].env = sim_node_env(nodes[i]);
        CHECK_EQ(fiber_start(sleepers[i].env->loop, "sleeper", sleep_thrice,
                             &sleepers[i], NULL),
                 OK);
    }
    while (sim_step(sim))
        ;
    CHECK(sim_now(sim) >= MILLISECONDS(300));
    CHECK(sim_now(sim) < MILLISECONDS(301));
    for (uint64_t i = 0; i < 3; i++) {
        CHECK(sleepers[0].woke[i] >= MILLISECONDS(100 * (i + 1)));
        CHECK(sleepers[1].woke[i] >=
              SECONDS(1000) + MILLISECONDS(100 * (i + 1)));
        CHECK(sleepers[1].woke[i] <
              SECONDS(1000) + MILLISECONDS(101 * (i + 1)));
    }
    CHECK_STRING(sim_node_name(nodes[0]), "node1");
    CHECK_STRING(sim_node_name(nodes[1]), "late");
    sim_free(sim);
}

/* Spins, as code for real clocks may, until its clock goes on. */
static void spin(void *argument)
{
    struct sleeper *sleeper = argument;
    uint64_t start = fata_clock_monotonic(sleeper->env->clock);

    while (fata_clock_monotonic(sleeper->env->clock) <
           start + MICROSECONDS(5)) {
        if (fata_sleep(sleeper->env, 0) != OK)
            return;
    }
    sleeper->woke[0] = fata_clock_monotonic(sleeper->env->clock);
}

static void time_goes_on_even_while_a_fiber_spins(void)
{
    struct sim *sim = sim_new(NULL);
    struct sleeper sleeper = {.env = sim_node_env(sim_node_new(sim, NULL))};

    CHECK_EQ(fiber_start(sleeper.env->loop, "spin", spin, &sleeper, NULL), OK);
    sim_run(sim, MILLISECONDS(1));
    CHECK(sleeper.woke[0] >= MICROSECONDS(5));
    sim_free(sim);
}

static void random_bytes_follow_from_the_seed(void)
{
    uint64_t drawn[3][2];
    uint64_t seeds[3] = {11, 11, 12};

    for (int i = 0; i < 3; i++) {
        struct sim *sim = sim_new(&(struct sim_options){.seed = seeds[i]});
        for (int j = 0; j < 2; j++) {
            struct fata_env *env = sim_node_env(sim_node_new(sim, NULL));
            drawn[i][j] = fata_random_u64(env->random);
        }
        sim_free(sim);
    }
    CHECK(drawn[0][0] == drawn[1][0] && drawn[0][1] == drawn[1][1]);
    CHECK(drawn[0][0] != drawn[0][1]);
    CHECK(drawn[0][0] != drawn[2][0]);
}

/* Two nodes with an interface each, without a stack. */
struct pair {
    struct sim *sim;
    struct sim_link *link;
    struct sim_node *node[2];
    struct fata_netif *netif[2];
};

static struct pair pair_new(const struct sim_link_options *link,
                            const struct sim_netif_options *a,
                            const struct sim_netif_options *b)
{
    struct pair pair = {.sim = sim_new(NULL)};
    struct sim_node_options few = {.pbufs = 8};

    pair.link = sim_link_new(pair.sim, link);
    for (int i = 0; i < 2; i++)
        pair.node[i] = sim_node_new(pair.sim, &few);
    pair.netif[0] = sim_netif_new(pair.node[0], pair.link, a);
    pair.netif[1] = sim_netif_new(pair.node[1], pair.link, b);
    return pair;
}

static enum err send_bytes(struct fata_netif *netif, struct bytes bytes)
{
    struct fata_frame frame = {
        .parts = &bytes, .count = 1, .len = (uint32_t)bytes.len};

    return fata_netif_send(netif, &frame);
}

static void interfaces_hold_frames_until_the_flush(void)
{
    struct pair pair = pair_new(NULL, NULL, NULL);
    static const uint8_t frame[FRAME] = {[20] = 9};
    struct pbuf *packets[4];
    size_t count;

    CHECK_EQ(send_bytes(pair.netif[0], BYTES(frame)), OK);
    sim_run(pair.sim, SECONDS(1));
    CHECK_EQ(fata_netif_receive(pair.netif[1], packets, 4, &count), OK);
    CHECK_EQ(count, 0);
    fata_netif_flush(pair.netif[0]);
    sim_run(pair.sim, SECONDS(2));
    CHECK_EQ(fata_netif_receive(pair.netif[1], packets, 4, &count), OK);
    CHECK_EQ(count, 1);
    CHECK(bytes_equal(pbuf_bytes(packets[0]), BYTES(frame)));
    pbuf_give(packets[0]);
    sim_free(pair.sim);
}

static void count_ready(void *context, struct fata_netif *netif)
{
    struct pbuf *packets[1];
    size_t count;

    CHECK_EQ(fata_netif_receive(netif, packets, 1, &count), OK);
    for (size_t i = 0; i < count; i++)
        pbuf_give(packets[i]);
    *(uint32_t *)context += (uint32_t)count;
}

static void an_interface_is_ready_until_all_frames_are_taken(void)
{
    struct pair pair = pair_new(NULL, NULL, NULL);
    static const uint8_t frame[FRAME];
    uint32_t taken = 0;

    pair.netif[1]->ready = count_ready;
    pair.netif[1]->context = &taken;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(send_bytes(pair.netif[0], BYTES(frame)), OK);
    fata_netif_flush(pair.netif[0]);
    sim_run(pair.sim, 0);
    CHECK_EQ(taken, 5);
    sim_free(pair.sim);
}

static void full_device_queues_refuse_and_overrun(void)
{
    struct sim_netif_options small_tx = {.tx_queue = 3};
    struct sim_netif_options small_rx = {.rx_queue = 2};
    struct pair pair = pair_new(NULL, &small_tx, &small_rx);
    static const uint8_t frame[FRAME];

    for (int i = 0; i < 3; i++)
        CHECK_EQ(send_bytes(pair.netif[0], BYTES(frame)), OK);
    CHECK_EQ(send_bytes(pair.netif[0], BYTES(frame)), ERR_AGAIN);
    CHECK_EQ(pair.netif[0]->counters.tx_dropped, 1);
    fata_netif_flush(pair.netif[0]);
    sim_run(pair.sim, 1);
    CHECK_EQ(sim_link_counters(pair.link)->overrun, 1);
    CHECK_EQ(sim_link_counters(pair.link)->queue_full, 1);
    sim_free(pair.sim);
}

static void frames_without_a_packet_buffer_are_lost_and_counted(void)
{
    struct pair pair = pair_new(NULL, NULL, NULL);
    static const uint8_t frame[FRAME];
    struct pbuf *packets[16];
    size_t count;

    for (int i = 0; i < 10; i++)
        CHECK_EQ(send_bytes(pair.netif[0], BYTES(frame)), OK);
    fata_netif_flush(pair.netif[0]);
    sim_run(pair.sim, 1);
    CHECK_EQ(fata_netif_receive(pair.netif[1], packets, 16, &count), OK);
    CHECK_EQ(count, 8);
    CHECK_EQ(pair.netif[1]->counters.rx_no_buffer, 2);
    for (size_t i = 0; i < count; i++)
        pbuf_give(packets[i]);
    CHECK_EQ(sim_node_env(pair.node[1])->pbufs->full.in_use, 0);
    sim_free(pair.sim);
}

/* ---- offloads */

enum { PAYLOAD = 2500, HEADERS = 14 + 20 + 20, CUT = 1000 };

/* A plain sum over words, for what checks the simulator's own. */
static uint32_t words_sum(const uint8_t *at, size_t len)
{
    uint64_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint64_t)(at[i] << 8 | at[i + 1]);
    if (len % 2 != 0)
        sum += (uint64_t)at[len - 1] << 8;
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)sum;
}

static uint32_t fold(uint32_t sum)
{
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* A TCP segment of PAYLOAD bytes with its sums left to the device. */
static void build_large(uint8_t *frame)
{
    struct writer w = writer_to(frame, HEADERS + PAYLOAD);

    put_zeros(&w, 12);
    put_be16(&w, 0x0800);
    put_be16(&w, 0x4500);
    put_be16(&w, 40 + PAYLOAD);
    put_be16(&w, 0x1234);
    put_be16(&w, 0x4000);
    put_be16(&w, 64 << 8 | 6);
    put_be16(&w, 0); /* its checksum is the device's affair, too */
    put_be32(&w, 0x0a000001);
    put_be32(&w, 0x0a000002);
    put_be16(&w, 1000);
    put_be16(&w, 80);
    put_be32(&w, 0xffffff00); /* wraps inside */
    put_be32(&w, 5);
    put_be16(&w, 0x5099); /* CWR ACK PSH FIN */
    put_be16(&w, 1024);
    put_be16(&w, (uint16_t)fold(words_sum(frame + 26, 8) + 6 + 20 + PAYLOAD));
    put_be16(&w, 0);
    for (uint32_t i = 0; i < PAYLOAD; i++)
        put_u8(&w, (uint8_t)(i * 7 >> 3));
    assert(!w.failed);
}

static enum err send_large(struct fata_netif *netif, uint8_t *bytes)
{
    struct bytes parts[2] = {bytes_of(bytes, HEADERS),
                             bytes_of(bytes + HEADERS, PAYLOAD)};
    struct fata_frame frame = {
        .parts = parts,
        .count = 2,
        .len = HEADERS + PAYLOAD,
        .checksum_start = 34,
        .checksum_offset = 16,
        .gso_size = CUT,
        .header_len = HEADERS,
    };
    enum err err = fata_netif_send(netif, &frame);

    fata_netif_flush(netif);
    return err;
}

static bool sums_are_right(struct bytes frame)
{
    uint32_t tcp_len = (uint32_t)frame.len - 34;
    uint32_t pseudo = words_sum(frame.at + 26, 8) + 6 + tcp_len;

    return words_sum(frame.at + 14, 20) == 0xffff &&
           fold(pseudo + words_sum(frame.at + 34, tcp_len)) == 0xffff;
}

static const struct sim_netif_options offloads = {
    .features =
        FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4 | FATA_NETIF_RX_MERGED,
};

static void large_segments_are_cut_for_who_cannot_take_them(void)
{
    struct pair pair = pair_new(NULL, &offloads, NULL);
    static const uint32_t lens[3] = {CUT, CUT, PAYLOAD - 2 * CUT};
    uint8_t large[HEADERS + PAYLOAD];
    struct pbuf *packets[4];
    size_t count;
    uint32_t at = 0;

    build_large(large);
    CHECK_EQ(send_large(pair.netif[0], large), OK);
    sim_run(pair.sim, 1);
    CHECK_EQ(fata_netif_receive(pair.netif[1], packets, 4, &count), OK);
    CHECK_EQ(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes frame = pbuf_bytes(packets[i]);
        CHECK_EQ(frame.len, HEADERS + lens[i]);
        CHECK(sums_are_right(frame));
        CHECK_EQ(packets[i]->flags, 0);
        struct reader r = reader_of(bytes_after(frame, 18));
        CHECK_EQ(get_be16(&r), 0x1234 + i);
        r = reader_of(bytes_after(frame, 38));
        CHECK_EQ(get_be32(&r), 0xffffff00 + at);
        CHECK_EQ(frame.at[47], (i == 0 ? 0x80 : 0) | 0x10 | (i == 2 ? 9 : 0));
        CHECK(bytes_equal(bytes_after(frame, HEADERS),
                          bytes_of(large + HEADERS + at, lens[i])));
        at += lens[i];
        pbuf_give(packets[i]);
    }
    sim_free(pair.sim);
}

static void large_segments_pass_whole_to_who_can_take_them(void)
{
    struct pair pair = pair_new(NULL, &offloads, &offloads);
    uint8_t large[HEADERS + PAYLOAD], copy[HEADERS + PAYLOAD];
    struct pbuf *packet;
    size_t count;

    build_large(large);
    CHECK_EQ(send_large(pair.netif[0], large), OK);
    sim_run(pair.sim, 1);
    CHECK_EQ(fata_netif_receive(pair.netif[1], &packet, 1, &count), OK);
    CHECK_EQ(count, 1);
    CHECK_EQ(packet->flags, PBUF_CHECKSUM_GOOD);
    CHECK_EQ(packet->gso_size, CUT);
    CHECK_EQ(pbuf_total(packet), sizeof large);
    pbuf_copy_out(packet, 0, copy, sizeof copy);
    CHECK(memcmp(copy, large, sizeof copy) == 0);
    pbuf_give(packet);
    sim_free(pair.sim);
}

static void large_segments_stay_in_large_buffers(void)
{
    struct sim *sim = sim_new(NULL);
    struct sim_link *link = sim_link_new(sim, NULL);
    const struct sim_node_options with = {.large = 2};
    struct sim_node *from = sim_node_new(sim, &with);
    struct sim_node *to = sim_node_new(sim, &with);
    struct fata_netif *out = sim_netif_new(from, link, &offloads);
    struct fata_netif *in = sim_netif_new(to, link, &offloads);
    const struct pbuf_pool *pool = sim_node_env(to)->pbufs;
    uint8_t large[HEADERS + PAYLOAD];
    struct pbuf *packets[4];
    size_t count;

    build_large(large);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send_large(out, large), OK);
    sim_run(sim, 1);
    CHECK_EQ(fata_netif_receive(in, packets, 4, &count), OK);
    CHECK_EQ(count, 3);
    /* When half are taken, what does not fill one is copied out of it. */
    CHECK(pbuf_is_large(packets[0]));
    CHECK(!pbuf_is_large(packets[1]) && !pbuf_is_large(packets[2]));
    CHECK_EQ(pool->large.in_use, 1);
    for (size_t i = 0; i < count; i++) {
        uint8_t copy[HEADERS + PAYLOAD];
        CHECK_EQ(pbuf_total(packets[i]), sizeof copy);
        pbuf_copy_out(packets[i], 0, copy, sizeof copy);
        CHECK(memcmp(copy, large, sizeof copy) == 0);
        CHECK_EQ(packets[i]->flags, PBUF_CHECKSUM_GOOD);
        CHECK_EQ(packets[i]->gso_size, CUT);
        pbuf_give(packets[i]);
    }
    CHECK_EQ(pool->large.in_use, 0);
    sim_free(sim);
}

static void a_corrupted_segment_never_counts_as_checked(void)
{
    struct sim_link_options bad = {.faults = {.corrupt_ppm = SIM_PERCENT(100)}};
    struct pair pair = pair_new(&bad, &offloads, &offloads);
    uint8_t large[HEADERS + PAYLOAD];
    struct pbuf *packets[4];
    size_t count, wrong = 0;

    build_large(large);
    CHECK_EQ(send_large(pair.netif[0], large), OK);
    sim_run(pair.sim, 1);
    CHECK_EQ(fata_netif_receive(pair.netif[1], packets, 4, &count), OK);
    CHECK_EQ(count, 3);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(packets[i]->flags, 0);
        wrong += !sums_are_right(pbuf_bytes(packets[i]));
        pbuf_give(packets[i]);
    }
    CHECK_EQ(wrong, 1);
    sim_free(pair.sim);
}

/* ---- whole unikernels, here without platform/main.c */

struct story {
    char text[512];
    size_t len;
};

static void tell(void *context, struct sim_node *node, struct bytes text)
{
    struct story *story = context;

    story->len +=
        fmt_string(story->text + story->len, sizeof story->text - story->len,
                   "%s: %.*s", sim_node_name(node), (int)text.len, text.at);
}

/* Sends what it is told to, then waits for a frame and says what came. */
static int talk(struct platform *platform)
{
    struct bytes word = platform_boot_args(platform);
    struct platform_net_info info;
    struct platform_net_offload none = {0};
    struct pbuf_pool pool = {0};
    struct pbuf *packet = NULL;
    size_t count = 0;
    uint8_t header[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    CHECK_EQ(pbuf_pool_init(&pool, platform_memory(platform), 4, 0), OK);
    CHECK_EQ(platform_net_open(platform, "service", &info), OK);
    CHECK_EQ(platform_net_open(platform, "service", &info), ERR_NOT_FOUND);
    memcpy(header + 6, info.mac, sizeof info.mac);
    CHECK_EQ(platform_wait(platform, MILLISECONDS(1)), 0);
    CHECK_EQ(platform_clock_monotonic(platform), MILLISECONDS(1));
    struct bytes parts[2] = {BYTES(header), word};
    CHECK_EQ(platform_net_send(platform, info.handle, parts, 2, &none), OK);
    platform_net_flush(platform, info.handle);
    CHECK_EQ(platform_wait(platform, TIME_NEVER), 1ULL << info.handle);
    CHECK_EQ(platform_clock_monotonic(platform), MILLISECONDS(6));
    CHECK_EQ(
        platform_net_receive(platform, info.handle, &pool, &packet, 1, &count),
        OK);
    CHECK_EQ(count, 1);
    pbuf_skip(packet, sizeof header);
    platform_console_write(platform, pbuf_bytes(packet));
    if (word.at[0] == 'a')
        platform_exit(platform, 7);
    return 0;
}

static void whole_unikernels_talk_in_virtual_time(void)
{
    struct story story = {0};
    struct sim *sim =
        sim_new(&(struct sim_options){.console = tell, .context = &story});
    struct sim_link *link = sim_link_new(
        sim, &(struct sim_link_options){.faults = {.delay = MILLISECONDS(5)}});
    struct sim_unikernel_options options = {
        .name = "a", .arguments = "apple\n", .link = link, .main = talk};
    struct sim_node *a = sim_unikernel_new(sim, &options);
    int status;

    options.name = "b";
    options.arguments = "pear\n";
    struct sim_node *b = sim_unikernel_new(sim, &options);
    CHECK(!sim_unikernel_ended(a, &status));
    while (sim_step(sim))
        ;
    CHECK(sim_unikernel_ended(a, &status));
    CHECK_EQ(status, 7);
    CHECK(sim_unikernel_ended(b, &status));
    CHECK_EQ(status, 0);
    CHECK_STRING(story.text, "a: pear\nb: apple\n");
    sim_free(sim);
}

static void note_sector(struct platform *platform, uint32_t handle,
                        uint8_t expected)
{
    uint8_t sector[512];

    CHECK_EQ(platform_block_read(platform, handle, 512, sector, 512), OK);
    CHECK_EQ(sector[511], expected);
    sector[511]++;
    CHECK_EQ(platform_block_write(platform, handle, 512, BYTES(sector)), OK);
    CHECK_EQ(platform_block_flush(platform, handle), OK);
}

static int use_disk(struct platform *platform)
{
    struct platform_block_info info;

    CHECK_EQ(platform_block_open(platform, "tape", &info), ERR_NOT_FOUND);
    CHECK_EQ(platform_block_open(platform, "disk", &info), OK);
    CHECK_EQ(info.capacity, 1024);
    note_sector(platform, info.handle, 41);
    return 0;
}

static void a_unikernel_reads_and_writes_its_disk(void)
{
    uint8_t memory[1024] = {[1023] = 41};
    struct sim_block block = {
        .name = "disk", .memory = memory, .capacity = sizeof memory};
    struct sim *sim = sim_new(NULL);
    struct sim_unikernel_options options = {.name = "disk",
                                            .arguments = "",
                                            .main = use_disk,
                                            .blocks = &block,
                                            .block_count = 1};
    struct sim_node *node = sim_unikernel_new(sim, &options);
    int status;

    while (sim_step(sim))
        ;
    CHECK(sim_unikernel_ended(node, &status));
    CHECK_EQ(status, 0);
    CHECK_EQ(memory[1023], 42);
    sim_free(sim);
}

/* ---- determinism */

static const struct sim_faults all_faults = {
    .loss_ppm = SIM_PERCENT(5),
    .duplicate_ppm = SIM_PERCENT(5),
    .corrupt_ppm = SIM_PERCENT(5),
    .reorder_ppm = SIM_PERCENT(5),
    .delay = MILLISECONDS(1),
    .jitter = MILLISECONDS(1),
    .rate = 10000000,
};

/* The capture of 500 frames under all faults. */
static struct bytes capture_of(uint64_t seed, struct memory_file *file)
{
    struct sim_link_options options = {.faults = all_faults};
    struct wire *wire = wire_new(seed, &options);

    memory_open(file);
    sim_link_capture(wire->link, file->file);
    send_many(wire, 500);
    wire_free(wire);
    return memory_close(file);
}

static void the_same_seed_is_the_same_run_and_another_is_not(void)
{
    struct memory_file files[3];
    struct bytes first = capture_of(100, &files[0]);
    struct bytes again = capture_of(100, &files[1]);
    struct bytes other = capture_of(101, &files[2]);

    CHECK(first.len > (size_t)500 * FRAME);
    CHECK(bytes_equal(first, again));
    CHECK(!bytes_equal(first, other));
    for (int i = 0; i < 3; i++)
        free(files[i].at);
}

int main(void)
{
    RUN(a_perfect_link_delivers_in_order_at_once);
    RUN(delay_is_exact_and_jitter_within_its_bounds);
    RUN(loss_and_duplication_come_as_often_as_asked);
    RUN(reordered_frames_come_later_by_what_was_asked);
    RUN(a_rate_spaces_frames_and_its_queue_is_bounded);
    RUN(corruption_changes_bits_behind_the_ethernet_header_only);
    RUN(frames_larger_than_the_mtu_are_dropped);
    RUN(each_direction_has_faults_of_its_own);
    RUN(an_unplugged_port_neither_sends_nor_receives);
    RUN(a_switch_floods_until_it_has_learnt);
    RUN(calls_come_in_order_of_time_and_of_asking);
    RUN(many_events_come_in_order);
    RUN(what_has_not_happened_is_freed_with_the_world);
    RUN(a_capture_is_a_pcap_file_with_virtual_times);
    RUN(nodes_sleep_in_virtual_time_by_their_own_clock);
    RUN(time_goes_on_even_while_a_fiber_spins);
    RUN(random_bytes_follow_from_the_seed);
    RUN(interfaces_hold_frames_until_the_flush);
    RUN(an_interface_is_ready_until_all_frames_are_taken);
    RUN(full_device_queues_refuse_and_overrun);
    RUN(frames_without_a_packet_buffer_are_lost_and_counted);
    RUN(large_segments_are_cut_for_who_cannot_take_them);
    RUN(large_segments_pass_whole_to_who_can_take_them);
    RUN(large_segments_stay_in_large_buffers);
    RUN(a_corrupted_segment_never_counts_as_checked);
    RUN(whole_unikernels_talk_in_virtual_time);
    RUN(a_unikernel_reads_and_writes_its_disk);
    RUN(the_same_seed_is_the_same_run_and_another_is_not);
    return test_result();
}
