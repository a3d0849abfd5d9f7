/* Tests of platform/virtio/queue.h. */
#include "platform/virtio/model.h"

#include "base/prng.h"
#include "test/test.h"

static struct virtq q;
static uint8_t data[64];

/* A queue of at most `most` entries of a device that allows `offered`. */
static void begin(uint16_t offered, uint16_t most, uint64_t features)
{
    model_begin(VIRTIO_NET, features);
    CHECK(model_probe(false));
    model.queues[2].most = offered;
    CHECK(virtio_begin(&device) != 0);
    CHECK(virtio_agree(&device, model.offered & (VIRTIO_F_COMMON | features)));
    CHECK(virtq_init(&q, &device, 2, most, &platform.arena));
    virtio_go(&device);
}

static uint16_t add(uint16_t count, bool writable)
{
    struct virtq_part parts[8];
    for (uint16_t i = 0; i < count; i++)
        parts[i] = (struct virtq_part){
            .at = (uintptr_t)data + i,
            .len = i + 1U,
            .writable = writable || i + 1 == count,
        };
    return virtq_add(&q, parts, count);
}

static enum err take(uint16_t *head)
{
    uint32_t len;
    return virtq_take(&q, head, &len);
}

static void a_chain_goes_to_the_device_and_comes_back(void)
{
    struct virtq_part parts[8];
    uint16_t head;
    uint32_t len = 1;

    begin(256, 8, 0);
    CHECK_EQ(q.size, 8);
    uint16_t a = add(3, true), b = add(1, true);
    CHECK_EQ(model_next(2), -1);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 1);
    CHECK_EQ(model_next(2), a);
    CHECK_EQ(model_chain(2, a, parts, 8), 3);
    CHECK(parts[2].at == (uintptr_t)data + 2 && parts[2].len == 3);
    CHECK_EQ(model_next(2), b);
    CHECK_EQ(model_chain(2, b, parts, 8), 1);
    CHECK_EQ(model_next(2), -1);
    CHECK_EQ(virtq_take(&q, &head, &len), ERR_AGAIN);

    /* In whatever order. */
    model_return(2, b, 0);
    model_return(2, a, 6);
    CHECK(virtq_has_used(&q));
    CHECK(virtq_take(&q, &head, &len) == OK && head == b && len == 0);
    CHECK_EQ(q.free_count, 5);
    CHECK(virtq_take(&q, &head, &len) == OK && head == a && len == 6);
    CHECK_EQ(q.free_count, 8);
    CHECK(!virtq_has_used(&q));
    CHECK_EQ(virtq_take(&q, &head, &len), ERR_AGAIN);
}

static void chains_of_every_length_share_a_full_queue(void)
{
    struct prng prng = prng_of(7, 0);
    uint16_t with_device[16] = {0}, count = 0, lengths[16] = {0};
    struct virtq_part parts[16];

    begin(16, 16, VIRTIO_F_EVENT_IDX);
    for (int round = 0; round < 200000; round++) {
        uint16_t length = (uint16_t)(1 + prng_below(&prng, 8));
        if (length <= q.free_count) {
            uint16_t head = add(length, prng_below(&prng, 2) == 0);
            lengths[head] = length;
            virtq_publish(&q);
            CHECK_EQ(model_next(2), head);
            with_device[count++] = head;
            continue;
        }
        /* One that is anywhere among them comes back. */
        assert(count > 0);
        uint32_t which = (uint32_t)prng_below(&prng, count);
        uint16_t head = with_device[which];
        with_device[which] = with_device[--count];
        if (model_chain(2, head, parts, 16) != lengths[head])
            CHECK(!"its chain is as it was");
        uint16_t was = q.free_count, came;
        model_return(2, head, 1);
        if (take(&came) != OK || came != head ||
            q.free_count != was + lengths[head])
            CHECK(!"it comes back");
    }
    CHECK(q.added > 0 && !device.dead);
}

static void indices_wrap_around(void)
{
    for (int way = 0; way < 2; way++) {
        uint16_t head, before;
        begin(4, 4, way == 0 ? 0 : VIRTIO_F_EVENT_IDX);
        for (uint32_t i = 0; i < 140000; i++) {
            model_notify_after(2, (uint16_t)i); /* the very next one */
            uint16_t a = add(1, true);
            virtq_publish(&q);
            if (model_next(2) != a || model.queues[2].notified != i + 1)
                CHECK(!"the device is notified of each");
            bool early = virtq_arm(&q, 0);
            before = model.queues[2].returned;
            model_return(2, a, 0);
            if (early || !model_interrupts(2, before) || !virtq_arm(&q, 0))
                CHECK(!"the device interrupts for each");
            if (take(&head) != OK || head != a || take(&head) != ERR_AGAIN)
                CHECK(!"each comes back once");
        }
    }
}

static void by_event_index_the_device_is_notified_when_it_asks(void)
{
    begin(64, 64, VIRTIO_F_EVENT_IDX);
    model_notify_after(2, 2);
    (void)add(1, true);
    (void)add(1, true);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 0);
    (void)add(1, true);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 1);
    (void)add(1, true);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 1);
    /* Crossed by one of several at once: one notification. */
    model_notify_after(2, 7);
    for (int i = 0; i < 10; i++)
        (void)add(1, true);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 2);
    virtq_publish(&q); /* nothing is new */
    CHECK_EQ(model.queues[2].notified, 2);
}

static void by_flag_the_device_is_notified_unless_it_is_busy(void)
{
    begin(64, 64, 0);
    (void)add(1, true);
    model_used(&model.queues[2])[0] = 1;
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 0);
    model_used(&model.queues[2])[0] = 0;
    (void)add(1, true);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 1);
}

/* What an index from `before` to `now` passes, by going there step by step. */
static bool crossed_naively(uint16_t event, uint16_t now, uint16_t before)
{
    for (uint16_t i = before; i != now; i++)
        if (i == event)
            return true;
    return false;
}

static void crossing_is_right_at_the_ends_and_around_zero(void)
{
    static const uint16_t around[] = {0,      1,      2,      3,      5,
                                      0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff};
    for (size_t i = 0; i < COUNT_OF(around); i++)
        for (size_t j = 0; j < COUNT_OF(around); j++)
            for (size_t k = 0; k < COUNT_OF(around); k++)
                if (virtq_crossed(around[i], around[j], around[k]) !=
                    crossed_naively(around[i], around[j], around[k]))
                    CHECK(!"as step by step");
}

static void the_device_interrupts_only_when_it_was_asked_to(void)
{
    for (int way = 0; way < 2; way++) {
        uint16_t head;
        begin(64, 64, way == 0 ? 0 : VIRTIO_F_EVENT_IDX);
        for (int i = 0; i < 10; i++)
            model_return(2, add(1, true), 0);
        CHECK(!model_interrupts(2, 0));
        CHECK(virtq_arm(&q, 0)); /* there is something already */
        while (take(&head) == OK)
            continue;
        CHECK(!virtq_arm(&q, 0));
        uint16_t before = model.queues[2].returned;
        model_return(2, add(1, true), 0);
        CHECK(model_interrupts(2, before));
        virtq_disarm(&q);
        before = model.queues[2].returned;
        model_return(2, add(1, true), 0);
        CHECK(!model_interrupts(2, before));
    }
    /* By index also not before the third from now. */
    uint16_t head;
    while (take(&head) == OK)
        continue;
    CHECK(!virtq_arm(&q, 2));
    for (int i = 0; i < 3; i++) {
        uint16_t before = model.queues[2].returned;
        model_return(2, add(1, true), 0);
        CHECK_EQ(model_interrupts(2, before), i == 2);
    }
    CHECK(virtq_arm(&q, 2) && !virtq_arm(&q, 3));
}

static void a_queue_is_as_long_as_both_sides_can(void)
{
    begin(256, 1024, 0);
    CHECK_EQ(q.size, 256);
    begin(1024, 16, 0);
    CHECK_EQ(q.size, 16);
    begin(100, 1024, 0); /* which is no power of two */
    CHECK_EQ(q.size, 64);
    begin(2, 16, 0);
    CHECK_EQ(q.size, 2);
    for (uint16_t size = 0; size < 2; size++) {
        begin(16, 16, 0);
        model.queues[1].most = size;
        CHECK(!virtq_init(&q, &device, 1, 16, &platform.arena));
        CHECK(device.dead && model_said("no room in a queue"));
    }
    begin(256, 256, 0);
    platform.arena.room = virtq_bytes(256) - 1;
    CHECK(!virtq_init(&q, &device, 3, 256, &platform.arena));
    CHECK(model_said("no memory is left for its queues: give more"));
}

/* The device says that this came back: is that the end of it? */
static bool deadly(uint32_t head, uint32_t len)
{
    uint16_t came;
    uint32_t got;
    uint32_t resets = model.resets;
    model_return(2, (int)head, len);
    return virtq_take(&q, &came, &got) == ERR_IO && device.dead &&
           model.resets == resets + 1 && model.status == 0 &&
           virtq_take(&q, &came, &got) == ERR_IO;
}

static void what_a_device_cannot_have_returned_is_its_end(void)
{
    uint16_t head, a;

    begin(16, 16, 0);
    CHECK(deadly(0, 0)); /* it never had any */
    CHECK(model_said("returned a buffer that it did not have"));
    CHECK_EQ(strlen(platform.said),
             strlen("virtio device at mmio 0x40000000: it returned a buffer "
                    "that it did not have: it is no longer used\n"));
    begin(16, 16, 0);
    a = add(2, true);
    CHECK(deadly(a + 1U, 0)); /* not the first of its chain */
    begin(16, 16, 0);
    CHECK(deadly(16, 0));
    begin(16, 16, 0);
    CHECK(deadly(UINT32_MAX, 0));
    begin(16, 16, 0);
    a = add(1, true);
    model_return(2, a, 1);
    CHECK_EQ(take(&head), OK);
    CHECK(deadly(a, 1)); /* twice */

    begin(16, 16, 0);
    a = add(2, true); /* of 1 and 2 bytes */
    model_return(2, a, 3);
    CHECK_EQ(take(&head), OK);
    a = add(2, true);
    CHECK(deadly(a, 4));
    CHECK(model_said("wrote more than a buffer has room for"));
    begin(16, 16, 0);
    CHECK(deadly(add(1, true), UINT32_MAX));
}

static void nonsense_about_chains_that_are_read_is_of_no_effect(void)
{
    uint16_t head;
    uint32_t len = 1;

    begin(16, 16, 0);
    model_return(2, add(3, false), 12345);
    CHECK(virtq_take(&q, &head, &len) == OK && len == 0);
}

static void a_dead_device_is_left_alone(void)
{
    begin(16, 16, 0);
    virtio_die(&device, "it is broken");
    virtio_die(&device, "it is broken again");
    CHECK(!model_said("again"));
    (void)add(1, true);
    virtq_publish(&q);
    CHECK_EQ(model.queues[2].notified, 0);
}

int main(void)
{
    RUN(a_chain_goes_to_the_device_and_comes_back);
    RUN(chains_of_every_length_share_a_full_queue);
    RUN(indices_wrap_around);
    RUN(by_event_index_the_device_is_notified_when_it_asks);
    RUN(by_flag_the_device_is_notified_unless_it_is_busy);
    RUN(crossing_is_right_at_the_ends_and_around_zero);
    RUN(the_device_interrupts_only_when_it_was_asked_to);
    RUN(a_queue_is_as_long_as_both_sides_can);
    RUN(what_a_device_cannot_have_returned_is_its_end);
    RUN(nonsense_about_chains_that_are_read_is_of_no_effect);
    RUN(a_dead_device_is_left_alone);
    return test_result();
}
