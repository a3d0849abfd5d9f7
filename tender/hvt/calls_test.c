/* Hypercalls, from guests that behave and from those that do not. */
#include <fcntl.h>
#include <sys/wait.h>

#include "base/time.h"
#include "tender/hvt/calls_double.h"
#include "test/test.h"

static struct calls_double d;

/* Where the tests put what they hand over. */
#define CALL    (DOUBLE_DATA + 0x100)
#define SOME    (DOUBLE_DATA + 0x200)
#define SEND    (DOUBLE_DATA + 0x1000)
#define RECEIVE (DOUBLE_DATA + 0x3000)

static void *at(uint64_t address)
{
    return d.guest.memory + address;
}

static void begin(void)
{
    calls_double_make(&d);
    calls_stop = 0;
}

static enum calls_end call(uint32_t number, const void *structure, size_t size)
{
    memcpy(at(CALL), structure, size);
    return calls_do(&d.calls, number, CALL);
}

static void put_slot(uint64_t ring, uint32_t i, uint64_t data, uint32_t len,
                     uint8_t flags)
{
    struct hvt_ring *r = at(ring);

    r->slots[i % HVT_RING] = (struct hvt_slot){
        .data = data, .len = len, .handle = DOUBLE_NET, .flags = flags};
    r->given = i + 1;
}

static enum calls_end exchange(struct hvt_exchange what)
{
    return call(HVT_EXCHANGE, &what, sizeof(what));
}

static void memory_that_is_not_there_ends_the_guest(void)
{
    begin();
    const uint64_t addresses[] = {DOUBLE_END, DOUBLE_END - 15, UINT64_MAX,
                                  UINT64_MAX - 7, DOUBLE_SECRET};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct hvt_puts puts = {.data = addresses[i], .len = 16};
        CHECK_EQ(call(HVT_PUTS, &puts, sizeof(puts)), CALLS_BAD);
        CHECK(strstr(d.calls.why, "Invalid guest access") != NULL);
        CHECK_EQ(calls_do(&d.calls, HVT_POLL, addresses[i]), CALLS_BAD);
    }
    struct hvt_puts all = {.data = 0, .len = UINT64_MAX};
    CHECK_EQ(call(HVT_PUTS, &all, sizeof(all)), CALLS_BAD);
}

static void on_stop(int number)
{
    calls_stop = number;
}

static void a_console_that_nobody_reads_does_not_keep_signals_away(void)
{
    int ends[2], console = dup(STDOUT_FILENO);
    struct hvt_puts puts = {.data = SOME, .len = 0x1000};
    sigset_t stop;

    begin();
    (void)fflush(stdout);
    (void)signal(SIGTERM, on_stop);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    CHECK(sigprocmask(SIG_BLOCK, &stop, NULL) == 0 && pipe(ends) == 0);
    CHECK(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    (void)raise(SIGTERM);
    /* Far more than a pipe holds; and to write on is no use to anybody. */
    (void)alarm(20);
    for (int i = 0; i < 100; i++)
        if (call(HVT_PUTS, &puts, sizeof(puts)) != CALLS_DONE)
            puts.len = 0;
    (void)alarm(0);
    (void)dup2(console, STDOUT_FILENO);
    CHECK_EQ(puts.len, 0x1000);
    CHECK_EQ(calls_stop, SIGTERM);
    CHECK(sigprocmask(SIG_UNBLOCK, &stop, NULL) == 0);
    (void)signal(SIGTERM, SIG_DFL);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(console);
}

static void frames_that_wait_for_a_full_queue_go_when_it_has_room(void)
{
    char text[0x800] = {0};
    int status = 1;
    ssize_t count;

    begin();
    put_slot(SEND, 0, SOME, 0x800, 0);
    while (send(d.manifest.entries[DOUBLE_NET].hostfd, text, sizeof(text), 0) >
           0)
        continue;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        /* Until the guest's frame has come, which is the last. */
        (void)alarm(20);
        /* Most likely the guest waits by then. */
        (void)poll(NULL, 0, 200);
        (void)fcntl(d.wire, F_SETFL, 0);
        do
            count = recv(d.wire, text, sizeof(text), 0);
        while (count > 0 && text[0] != 'F');
        _exit(text[0] != 'F');
    }
    memcpy(at(SOME), "F", 1);
    (void)alarm(20);
    while (((struct hvt_ring *)at(SEND))->taken == 0)
        CHECK_EQ(exchange((struct hvt_exchange){.send = SEND,
                                                .timeout = SECONDS(3600)}),
                 CALLS_DONE);
    (void)alarm(0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void code_is_read_for_a_guest_but_not_written(void)
{
    begin();
    struct hvt_net net = {.handle = DOUBLE_NET, .data = DOUBLE_CODE, .len = 60};
    CHECK_EQ(call(HVT_NET_WRITE, &net, sizeof(net)), CALLS_DONE);
    CHECK_EQ(call(HVT_NET_READ, &net, sizeof(net)), CALLS_BAD);
    CHECK_EQ(calls_do(&d.calls, HVT_WALLTIME, DOUBLE_CODE), CALLS_BAD);
    struct hvt_exchange ring = {.send = DOUBLE_CODE};
    CHECK_EQ(exchange(ring), CALLS_BAD);
}

static void devices_are_those_of_the_manifest(void)
{
    begin();
    for (uint64_t handle = 0; handle < 70; handle++) {
        struct hvt_net net = {.handle = handle, .data = SOME, .len = 60};
        CHECK_EQ(call(HVT_NET_WRITE, &net, sizeof(net)), CALLS_DONE);
        memcpy(&net, at(CALL), sizeof(net));
        CHECK_EQ(net.result, handle == DOUBLE_NET ? HVT_OK : HVT_INVALID);
    }
    struct hvt_block flush = {.handle = DOUBLE_NET};
    CHECK_EQ(call(HVT_BLOCK_FLUSH, &flush, sizeof(flush)), CALLS_DONE);
    memcpy(&flush, at(CALL), sizeof(flush));
    CHECK_EQ(flush.result, HVT_INVALID);
}

static void blocks_are_written_and_read_many_at_once_within_the_device(void)
{
    begin();
    memset(at(SOME), 'x', 2048);
    struct hvt_block block = {.handle = DOUBLE_BLOCK,
                              .offset = DOUBLE_DISK - 2048,
                              .data = SOME,
                              .len = 2048};
    CHECK_EQ(call(HVT_BLOCK_WRITE, &block, sizeof(block)), CALLS_DONE);
    memset(at(SOME), 0, 2048);
    CHECK_EQ(call(HVT_BLOCK_READ, &block, sizeof(block)), CALLS_DONE);
    CHECK_EQ(*(uint8_t *)at(SOME + 2047), 'x');
    const uint64_t offsets[] = {DOUBLE_DISK - 2047, DOUBLE_DISK, UINT64_MAX,
                                UINT64_MAX - 2047};
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        block.offset = offsets[i];
        CHECK_EQ(call(HVT_BLOCK_WRITE, &block, sizeof(block)), CALLS_DONE);
        CHECK_EQ(((struct hvt_block *)at(CALL))->result, HVT_INVALID);
    }
}

static void a_frame_in_parts_is_sent_in_one_piece(void)
{
    begin();
    memcpy(at(SOME), "headerbody", 10);
    put_slot(SEND, 0, SOME, 6, HVT_MORE);
    put_slot(SEND, 1, SOME + 6, 4, 0);
    put_slot(SEND, 2, SOME, 6, 0);
    CHECK_EQ(
        exchange((struct hvt_exchange){.send = SEND, .timeout = HVT_NO_WAIT}),
        CALLS_DONE);
    char frame[100];
    CHECK_EQ(recv(d.wire, frame, sizeof(frame), 0), 10);
    CHECK(memcmp(frame, "headerbody", 10) == 0);
    CHECK_EQ(recv(d.wire, frame, sizeof(frame), 0), 6);
    CHECK_EQ(((struct hvt_ring *)at(SEND))->taken, 3);
}

static void frames_are_received_into_the_slots_there_are(void)
{
    begin();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send(d.wire, "frame", 5, 0), 5);
    put_slot(RECEIVE, 0, SOME, 100, 0);
    put_slot(RECEIVE, 1, SOME + 100, 100, 0);
    CHECK_EQ(exchange((struct hvt_exchange){.receive = RECEIVE,
                                            .timeout = HVT_NO_WAIT}),
             CALLS_DONE);
    const struct hvt_ring *ring = at(RECEIVE);
    const struct hvt_exchange *done = at(CALL);
    CHECK_EQ(ring->taken, 2);
    CHECK_EQ(ring->slots[1].len, 5);
    CHECK_EQ(done->ready, UINT64_C(1) << DOUBLE_NET);
    /* The third one is waited for, at no length. */
    CHECK_EQ(exchange((struct hvt_exchange){.timeout = UINT64_MAX - 1}),
             CALLS_DONE);
    CHECK_EQ(done->ready, UINT64_C(1) << DOUBLE_NET);
}

static void a_ring_whose_counts_make_no_sense_does_no_harm(void)
{
    begin();
    struct hvt_ring *ring = at(SEND);
    for (uint32_t i = 0; i < HVT_RING; i++)
        ring->slots[i] =
            (struct hvt_slot){.data = SOME, .len = 1, .handle = 77};
    ring->taken = 5;
    ring->given = 4; /* four thousand million ahead */
    CHECK_EQ(
        exchange((struct hvt_exchange){.send = SEND, .timeout = HVT_NO_WAIT}),
        CALLS_DONE);
    CHECK_EQ(ring->taken, 5 + HVT_RING);
    CHECK_EQ(ring->slots[0].result, HVT_INVALID);
}

static void a_frame_without_an_end_ends_the_guest(void)
{
    begin();
    put_slot(SEND, 0, SOME, 6, HVT_MORE);
    CHECK_EQ(exchange((struct hvt_exchange){.send = SEND}), CALLS_BAD);
    begin();
    for (uint32_t i = 0; i < HVT_RING; i++)
        put_slot(SEND, i, SOME, 1, HVT_MORE);
    CHECK_EQ(exchange((struct hvt_exchange){.send = SEND}), CALLS_BAD);
}

static void a_ring_may_lie_on_what_it_names(void)
{
    begin();
    CHECK_EQ(send(d.wire, "frame", 5, 0), 5);
    put_slot(RECEIVE, 0, RECEIVE, 100, 0);
    CHECK_EQ(exchange((struct hvt_exchange){
                 .receive = RECEIVE, .send = RECEIVE, .timeout = HVT_NO_WAIT}),
             CALLS_DONE);
}

static void a_guest_is_told_to_stop_and_waits_no_more(void)
{
    begin();
    calls_stop = SIGTERM;
    CHECK_EQ(exchange((struct hvt_exchange){.timeout = UINT64_MAX - 1}),
             CALLS_DONE);
    CHECK_EQ(((struct hvt_exchange *)at(CALL))->told, HVT_STOP);
}

static void a_guest_ends_with_its_status_and_shows_its_trap(void)
{
    begin();
    struct hvt_halt halt = {.status = 300};
    CHECK_EQ(call(HVT_HALT, &halt, sizeof(halt)), CALLS_HALT);
    CHECK_EQ(d.calls.status, 44);
    CHECK(!d.calls.has_trap);
    halt.cookie = SOME;
    ((struct hvt_trap *)at(SOME))->rip = 0x1234;
    CHECK_EQ(call(HVT_HALT, &halt, sizeof(halt)), CALLS_HALT);
    CHECK_EQ(d.calls.trap.rip, 0x1234);
    halt.cookie = DOUBLE_END - HVT_COOKIE + 1;
    CHECK_EQ(call(HVT_HALT, &halt, sizeof(halt)), CALLS_BAD);
}

static void calls_of_ours_are_unknown_to_images_of_others(void)
{
    begin();
    d.calls.extended = false;
    CHECK_EQ(exchange((struct hvt_exchange){.send = SEND}), CALLS_BAD);
    for (uint32_t number = 9; number < 256; number++)
        CHECK_EQ(calls_do(&d.calls, number, CALL), CALLS_BAD);
    CHECK(strcmp(d.calls.why, "Invalid guest hypercall: num=255") == 0);
}

int main(void)
{
    RUN(memory_that_is_not_there_ends_the_guest);
    RUN(a_console_that_nobody_reads_does_not_keep_signals_away);
    RUN(frames_that_wait_for_a_full_queue_go_when_it_has_room);
    RUN(code_is_read_for_a_guest_but_not_written);
    RUN(devices_are_those_of_the_manifest);
    RUN(blocks_are_written_and_read_many_at_once_within_the_device);
    RUN(a_frame_in_parts_is_sent_in_one_piece);
    RUN(frames_are_received_into_the_slots_there_are);
    RUN(a_ring_whose_counts_make_no_sense_does_no_harm);
    RUN(a_frame_without_an_end_ends_the_guest);
    RUN(a_ring_may_lie_on_what_it_names);
    RUN(a_guest_is_told_to_stop_and_waits_no_more);
    RUN(a_guest_ends_with_its_status_and_shows_its_trap);
    RUN(calls_of_ours_are_unknown_to_images_of_others);
    return test_result();
}
