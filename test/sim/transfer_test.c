/*
 * Transfers between two of our stacks over a network that loses, reorders,
 * duplicates, corrupts and delays, driven by one seed each.
 * test: limit 900
 *
 *     SIM_SEEDS=100 build/san/test/sim/transfer_test     fewer seeds
 *     SIM_SEED=4711 SIM_LOG='*:debug' SIM_PCAP=x.pcap ...     one of them
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/prng.h"
#include "test/sim/hosts.h"
#include "test/test.h"

enum {
    MEGABYTE = 1 << 20,
    BYTEWISE = 20000,
    ORDINARY = 3000,
    PORT = 80,
    CONNECT_TRIES = 20,
    STANDARD_SEEDS = 10000,
    PROCESSES_MAX = 64,
    HANG_SECONDS = 120, /* of real time for one seed: it does not end */
};

/* Longer than any transfer at 10 % loss takes; and for what lingers after. */
#define LIMIT  SECONDS(4000)
#define LINGER SECONDS(400)

/* One end of a transfer: it writes `to_write` bytes and reads all it gets. */
struct end {
    struct transfer *transfer;
    struct host *host;
    struct fata_flow *flow;
    struct prng prng;
    uint32_t write_salt, read_salt;
    uint64_t to_write, written, to_read, read;
    uint32_t write_max; /* the most bytes in one write */
    uint32_t read_max;  /* the most consumed at once */
    uint32_t lazy_ppm;  /* how often it pauses before it reads on */
    uint64_t pause;     /* for how long */
    bool fibers;        /* in direct style, or as a handler */
    bool shut;          /* it has shut down its side */
    bool other_ended;   /* it has read to the end */
    bool closed;
    bool resting;
    enum err failed;
    const char *complaint;
};

struct transfer {
    uint64_t seed;
    struct sim *sim;
    struct sim_link *link;
    struct host hosts[2];
    struct end ends[2]; /* client and server */
    unsigned tries;
    bool refuse; /* no further connection is expected */
};

static void complain(struct end *end, const char *complaint, enum err err)
{
    if (end->complaint == NULL) {
        end->complaint = complaint;
        end->failed = err;
    }
}

/* Both directions are through, and this end has seen it. */
static void close_if_done(struct end *end)
{
    if (!end->shut || !end->other_ended || end->closed)
        return;
    end->closed = true;
    fata_flow_close(end->flow);
    end->flow = NULL;
}

static void check_read(struct end *end, struct bytes data)
{
    if (end->read + data.len > end->to_read)
        complain(end, "read more than was written", OK);
    else if (!pattern_matches(end->read_salt, end->read, data))
        complain(end, "read other bytes than were written", OK);
    end->read += data.len;
}

static void check_end(struct end *end, enum err err)
{
    end->other_ended = true;
    if (err != ERR_CLOSED)
        complain(end, "a read failed", err);
    else if (end->read != end->to_read)
        complain(end, "the stream ended early", err);
}

/*
 * How much to write or consume at once: small amounts as often as large ones.
 * A whole megabyte byte by byte would take as long as a hundred others.
 */
static size_t some_amount(struct end *end, uint64_t done, uint32_t most)
{
    if (most == 1 && done > BYTEWISE)
        most = ORDINARY;
    if (most == 1)
        return 1;
    return 1 + prng_below(&end->prng, 1 + prng_below(&end->prng, most));
}

static struct bytes next_write(struct end *end)
{
    size_t len = some_amount(end, end->written, end->write_max);

    if (len > end->to_write - end->written)
        len = (size_t)(end->to_write - end->written);
    return pattern(end->write_salt, end->written, len);
}

static size_t some_of(struct end *end, size_t len)
{
    size_t some = some_amount(end, end->read, end->read_max);

    if (some > len)
        return len;
    return some;
}

/* ---- an end that is a handler */

static void step_end(struct fata_flow *flow, void *context);

static void wake_reader(void *context)
{
    struct end *end = context;

    end->resting = false;
    if (end->flow != NULL)
        step_end(end->flow, end);
}

static void read_some(struct end *end)
{
    struct bytes data;
    enum err err;

    while (!end->other_ended && !end->resting) {
        err = fata_flow_try_read(end->flow, &data);
        if (err == ERR_AGAIN)
            return;
        if (err != OK) {
            check_end(end, err);
            return;
        }
        if (prng_chance(&end->prng, end->lazy_ppm)) {
            struct sim *sim = end->transfer->sim;
            end->resting = true;
            sim_at(sim, time_add(sim_now(sim), end->pause), wake_reader, end);
            return;
        }
        data.len = some_of(end, data.len);
        check_read(end, data);
        fata_flow_consume(end->flow, data.len);
    }
}

static void write_some(struct end *end)
{
    while (end->written < end->to_write) {
        size_t taken;
        enum err err = fata_flow_try_write(end->flow, next_write(end), &taken);
        if (err == ERR_AGAIN)
            return;
        if (err != OK) {
            complain(end, "a write failed", err);
            end->shut = end->other_ended = true;
            return;
        }
        end->written += taken;
    }
    if (!end->shut) {
        end->shut = true;
        fata_flow_shutdown(end->flow);
    }
}

static void step_end(struct fata_flow *flow, void *context)
{
    struct end *end = context;

    (void)flow;
    if (!end->shut)
        write_some(end);
    read_some(end);
    close_if_done(end);
}

/* ---- an end on fibers, one for each direction */

static void read_fiber(void *argument)
{
    struct end *end = argument;
    struct bytes data;
    enum err err;

    while ((err = fata_flow_read(end->flow, &data, TIME_NEVER)) == OK) {
        data.len = some_of(end, data.len);
        check_read(end, data);
        fata_flow_consume(end->flow, data.len);
        if (prng_chance(&end->prng, end->lazy_ppm) &&
            fata_sleep(end->host->env, end->pause) != OK)
            break;
    }
    check_end(end, err);
    close_if_done(end);
}

/* A flow has one user: it writes everything, then reads everything. */
static void write_then_read_fiber(void *argument)
{
    struct end *end = argument;

    while (end->written < end->to_write) {
        struct bytes data = next_write(end);
        enum err err = fata_flow_write(end->flow, data, TIME_NEVER);
        if (err != OK) {
            complain(end, "a write failed", err);
            break;
        }
        end->written += data.len;
    }
    end->shut = true;
    fata_flow_shutdown(end->flow);
    read_fiber(end);
}

static void begin_end(struct end *end, struct fata_flow *flow)
{
    end->flow = flow;
    if (!end->fibers) {
        fata_flow_set_handler(flow, step_end, end);
        step_end(flow, end);
    } else if (fiber_start(end->host->env->loop, "end", write_then_read_fiber,
                           end, NULL) != OK) {
        complain(end, "no fiber", ERR_FULL);
    }
}

static void accepted(void *context, struct fata_flow *flow)
{
    struct transfer *transfer = context;

    if (transfer->ends[1].flow != NULL || transfer->ends[1].closed) {
        /* An attempt whose end the client never saw. */
        fata_flow_abort(flow);
        return;
    }
    begin_end(&transfer->ends[1], flow);
}

static void connect_again(struct transfer *transfer);

static void connected(void *context, enum err err, struct fata_flow *flow)
{
    struct transfer *transfer = context;

    if (err == OK)
        begin_end(&transfer->ends[0], flow);
    else if (transfer->tries < CONNECT_TRIES)
        connect_again(transfer); /* every SYN or answer was lost */
    else
        complain(&transfer->ends[0], "could not connect", err);
}

static void connect_again(struct transfer *transfer)
{
    struct fata_endpoint peer = host_endpoint(2, PORT);
    void *attempt;

    transfer->tries++;
    enum err err = fata_tcp_try_connect(transfer->hosts[0].stack, &peer,
                                        connected, transfer, &attempt);
    if (err != OK)
        complain(&transfer->ends[0], "could not try to connect", err);
}

/* ---- one transfer, all of it chosen by the seed */

static bool one_in(struct prng *prng, uint32_t n)
{
    return prng_below(prng, n) == 0;
}

static uint32_t up_to_percent(struct prng *prng, uint32_t percent)
{
    if (one_in(prng, 3))
        return 0;
    return prng_below(prng, SIM_PERCENT(percent) + 1);
}

static struct sim_faults choose_faults(struct prng *prng)
{
    static const uint64_t delays[] = {0, MICROSECONDS(50), MILLISECONDS(1),
                                      MILLISECONDS(10), MILLISECONDS(60)};
    struct sim_faults faults = {
        .loss_ppm = up_to_percent(prng, 10),
        .duplicate_ppm = up_to_percent(prng, 5),
        .corrupt_ppm = up_to_percent(prng, 3),
        .reorder_ppm = up_to_percent(prng, 10),
        .delay = delays[prng_below(prng, COUNT_OF(delays))],
        .reorder_delay = MICROSECONDS(1 + prng_below(prng, 20000)),
    };
    if (one_in(prng, 2))
        faults.jitter = faults.delay / 2 + MICROSECONDS(1);
    if (one_in(prng, 3)) {
        faults.rate = 1000000ULL << prng_below(prng, 8);
        faults.queue = 10 + prng_below(prng, 200);
    }
    return faults;
}

static void choose_end(struct end *end, struct prng *prng)
{
    static const uint32_t maxima[] = {1, 100, 1500, 65536};

    end->prng = prng_of(prng_u64(prng), 0);
    end->write_max = maxima[prng_below(prng, COUNT_OF(maxima))];
    end->read_max = maxima[prng_below(prng, COUNT_OF(maxima))];
    if (one_in(prng, 3)) {
        end->lazy_ppm = SIM_PERCENT(prng_below(prng, 10));
        end->pause = MICROSECONDS(prng_below(prng, 20000));
    }
}

static void transfer_start(struct transfer *transfer)
{
    static const uint16_t mtus[] = {1500, 1500, 1500, 576, 9000};
    struct prng prng = prng_of(transfer->seed, 1);
    struct sim_link_options link = {.faults = choose_faults(&prng)};

    bool few = false;
    link.mtu = mtus[prng_below(&prng, COUNT_OF(mtus))];
    transfer->link = sim_link_new(transfer->sim, &link);
    for (int i = 0; i < 2; i++) {
        static const uint32_t pbufs[] = {64, 300, 4096, 4096};
        struct sim_node_options node = {
            .name = i == 0 ? "client" : "server",
            .memory = 48 << 20,
            .pbufs = pbufs[prng_below(&prng, COUNT_OF(pbufs))],
            /* Within 50 days the millisecond clock wraps. */
            .epoch = SECONDS(prng_below(&prng, 50 * 86400)),
            .log = getenv("SIM_LOG"),
        };
        static const uint32_t large[] = {0, 1, 4, 64};
        node.large = large[prng_below(&prng, COUNT_OF(large))];
        struct sim_netif_options netif = {0};
        few |= node.pbufs < 4096;
        if (one_in(&prng, 4))
            netif.refuse_ppm = SIM_PERCENT(2);
        /* Often enough that both have them, and frames stay whole. */
        if (one_in(&prng, 2))
            netif.features = FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4 |
                             FATA_NETIF_RX_MERGED;
        host_start(&transfer->hosts[i], transfer->sim, transfer->link, &node,
                   &netif, (uint8_t)(i + 1));
    }

    struct end *client = &transfer->ends[0], *server = &transfer->ends[1];
    for (int i = 0; i < 2; i++) {
        transfer->ends[i].transfer = transfer;
        transfer->ends[i].host = &transfer->hosts[i];
        choose_end(&transfer->ends[i], &prng);
    }
    client->write_salt = server->read_salt = prng_below(&prng, 1000);
    server->write_salt = client->read_salt = prng_below(&prng, 1000);
    client->to_write = MEGABYTE;
    server->to_write = 0;
    if (one_in(&prng, 4))
        server->to_write = prng_below(&prng, MEGABYTE / 2);
    if (one_in(&prng, 2)) {
        uint64_t other = client->to_write;
        client->to_write = server->to_write;
        server->to_write = other;
    }
    client->to_read = server->to_write;
    server->to_read = client->to_write;
    /*
     * Two that both write before they read would wait for one another. One
     * that does so can come to hold all its few packet buffers in what it has
     * not read, and wait for itself.
     */
    uint32_t style = prng_below(&prng, 3);
    if (client->to_write > 0 && server->to_write > 0 && few)
        style = 0;
    client->fibers = style == 1;
    server->fibers = style == 2;

    struct fata_listener *listener;
    if (fata_tcp_listen(transfer->hosts[1].stack, PORT, NULL, accepted,
                        transfer, &listener) != OK)
        complain(server, "could not listen", ERR_FULL);
    connect_again(transfer);
}

static bool transfer_is_over(void *context)
{
    const struct transfer *transfer = context;
    const struct end *ends = transfer->ends;

    return ends[0].complaint != NULL || ends[1].complaint != NULL ||
           (ends[0].closed && ends[1].closed);
}

static bool judge(struct transfer *transfer)
{
    static const char *const names[2] = {"client", "server"};
    bool good = true;

    for (int i = 0; i < 2; i++) {
        struct end *end = &transfer->ends[i];
        if (end->complaint == NULL && !end->closed)
            complain(end, "was not through in time", ERR_TIMEOUT);
        if (end->complaint == NULL)
            continue;
        good = false;
        printf("%s: %s (%s), %ju of %ju written, %ju of %ju read, at %ju ms\n",
               names[i], end->complaint, err_text(end->failed),
               (uintmax_t)end->written, (uintmax_t)end->to_write,
               (uintmax_t)end->read, (uintmax_t)end->to_read,
               (uintmax_t)(sim_now(transfer->sim) / MILLISECONDS(1)));
    }
    if (!good)
        return false;
    sim_run(transfer->sim, time_add(sim_now(transfer->sim), LINGER));
    good = host_holds_nothing(&transfer->hosts[0]);
    return host_holds_nothing(&transfer->hosts[1]) && good;
}

static void print_console(void *context, struct sim_node *node,
                          struct bytes text)
{
    (void)context;
    printf("%s %.*s", sim_node_name(node), (int)text.len, text.at);
}

static bool run_seed(uint64_t seed, FILE *pcap)
{
    struct transfer *transfer = calloc(1, sizeof *transfer);
    struct sim_options options = {.seed = seed};

    if (transfer == NULL)
        abort();
    if (getenv("SIM_LOG") != NULL)
        options.console = print_console;
    transfer->seed = seed;
    transfer->sim = sim_new(&options);
    transfer_start(transfer);
    if (pcap != NULL)
        sim_link_capture(transfer->link, pcap);
    bool over = sim_run_until(transfer->sim, transfer_is_over, transfer, LIMIT);
    bool good = judge(transfer) && over;
    if (!good)
        printf("to replay: SIM_SEED=%ju build/san/test/sim/transfer_test\n",
               (uintmax_t)seed);
    (void)fflush(stdout);
    sim_free(transfer->sim);
    free(transfer);
    return good;
}

/* ---- many seeds, by as many processes as there are processors */

static uint64_t number_from(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    uint64_t number;

    if (text == NULL)
        return standard;
    if (!fmt_parse_u64(bytes_of_string(text), UINT64_MAX, &number)) {
        (void)fprintf(stderr, "%s=%s: not a number\n", name, text);
        exit(1);
    }
    return number;
}

/* What is said of the seed that runs if it does so for ever. */
static char hang_text[128];
static size_t hang_len;

static void on_alarm(int signal)
{
    (void)signal;
    if (write(STDOUT_FILENO, hang_text, hang_len) < 0)
        _exit(2);
    _exit(1);
}

static int run_share(uint64_t first, uint64_t step, uint64_t end)
{
    int failed = 0;

    (void)signal(SIGALRM, on_alarm);
    for (uint64_t seed = first; seed < end && failed < 3; seed += step) {
        hang_len = fmt_string(hang_text, sizeof hang_text,
                              "hangs; to replay: SIM_SEED=%ju "
                              "build/san/test/sim/transfer_test\n",
                              (uintmax_t)seed);
        (void)alarm(HANG_SECONDS);
        failed += !run_seed(seed, NULL);
    }
    return failed;
}

static void a_megabyte_arrives_whole_whatever_the_network_does(void)
{
    uint64_t seeds = number_from("SIM_SEEDS", STANDARD_SEEDS);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = 1;
    pid_t children[PROCESSES_MAX];

    if (processors > 1)
        count =
            processors < PROCESSES_MAX ? (unsigned)processors : PROCESSES_MAX;
    (void)fflush(stdout);
    for (unsigned i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(run_share(1 + i, count, 1 + seeds));
        CHECK(children[i] > 0);
    }
    for (unsigned i = 0; i < count; i++) {
        int status = 1;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECK_EQ(status, 0);
    }
}

static struct bytes capture_of(uint64_t seed, char **memory)
{
    size_t len;
    FILE *file = open_memstream(memory, &len);

    if (file == NULL)
        abort();
    CHECK(run_seed(seed, file));
    (void)fclose(file);
    return bytes_of(*memory, len);
}

static void the_same_seed_is_the_same_transfer_byte_for_byte(void)
{
    char *memory[3];
    struct bytes first = capture_of(1, &memory[0]);
    struct bytes again = capture_of(1, &memory[1]);
    struct bytes other = capture_of(2, &memory[2]);

    CHECK(first.len > MEGABYTE);
    CHECK(bytes_equal(first, again));
    CHECK(!bytes_equal(first, other));
    for (int i = 0; i < 3; i++)
        free(memory[i]);
}

static int replay(uint64_t seed)
{
    const char *path = getenv("SIM_PCAP");
    FILE *pcap = NULL;

    if (path != NULL) {
        pcap = fopen(path, "wb");
        if (pcap == NULL) {
            perror(path);
            return 1;
        }
    }
    bool good = run_seed(seed, pcap);
    if (pcap != NULL && fclose(pcap) != 0)
        return 1;
    printf("seed %ju: %s\n", (uintmax_t)seed, good ? "good" : "not good");
    return !good;
}

int main(void)
{
    if (getenv("SIM_SEED") != NULL)
        return replay(number_from("SIM_SEED", 1));
    RUN(the_same_seed_is_the_same_transfer_byte_for_byte);
    RUN(a_megabyte_arrives_whole_whatever_the_network_does);
    return test_result();
}
