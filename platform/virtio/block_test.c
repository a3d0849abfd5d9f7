/* Tests of platform/virtio/block.c, against a model of a disk. */
#include "platform/virtio/model.h"

#include "test/test.h"

enum {
    QUEUE = 0,
    BLOCKS = 4096, /* of 512 bytes: two megabytes */
};

#define SIZE_MAX_ (UINT64_C(1) << 1)
#define SEG_MAX   (UINT64_C(1) << 2)
#define RO        (UINT64_C(1) << 5)
#define BLK_SIZE  (UINT64_C(1) << 6)
#define FLUSH     (UINT64_C(1) << 9)
#define DISCARD   (UINT64_C(1) << 13)
#define ALL       (FLUSH | DISCARD | BLK_SIZE | SEG_MAX | VIRTIO_F_EVENT_IDX)

static uint8_t disk[BLOCKS * 512];
static uint8_t buffer[BLOCKS * 512];
static struct platform_block_info info;

/* What the disk has done. */
static uint32_t reads, writes, flushes, discards, most_parts, at_once;
static uint64_t discarded;
static bool answers_late, answers_never;
static uint8_t fails_with;

static uint8_t transfer(struct virtq_part *parts, size_t n, uint32_t kind,
                        uint64_t sector)
{
    uint64_t at = sector * 512;
    for (size_t i = 0; i < n; i++) {
        CHECK(parts[i].writable == (kind == 0));
        CHECK(parts[i].len % 512 == 0 && parts[i].len > 0);
        CHECK(at + parts[i].len <= sizeof disk);
        uint8_t *memory = (uint8_t *)parts[i].at; // NOLINT
        if (kind == 0)
            memcpy(memory, disk + at, parts[i].len);
        else
            memcpy(disk + at, memory, parts[i].len);
        at += parts[i].len;
    }
    return fails_with;
}

static void discard(const uint8_t *range)
{
    struct reader r = reader_of(bytes_of(range, 16));
    uint64_t at = get_le64(&r) * 512, len = get_le32(&r) * UINT64_C(512);
    CHECK_EQ(get_le32(&r), 0);
    CHECK(len > 0 && at + len <= sizeof disk);
    memset(disk + at, 0, len);
    discarded += len;
}

/* Do what is in the queue, the last request first: in any order it is. */
static void serve(void)
{
    int heads[64];
    uint32_t n = 0;
    while ((heads[n] = model_next(QUEUE)) >= 0)
        n++;
    model_notify_after(QUEUE, model.queues[QUEUE].seen);
    if (n > at_once)
        at_once = n;
    while (n-- > 0) {
        struct virtq_part parts[16];
        size_t count = model_chain(QUEUE, heads[n], parts, 16);
        CHECK(count >= 2 && parts[0].len == 16 && !parts[0].writable);
        CHECK(parts[count - 1].len == 1 && parts[count - 1].writable);
        if (count > most_parts)
            most_parts = (uint32_t)count;
        struct reader r =
            reader_of(bytes_of((const void *)parts[0].at, 16)); // NOLINT
        uint32_t kind = get_le32(&r);
        (void)get_le32(&r);
        uint64_t sector = get_le64(&r);
        uint8_t *status = (uint8_t *)parts[count - 1].at; // NOLINT
        *status = fails_with;
        switch (kind) {
        case 0:
            reads++;
            *status = transfer(parts + 1, count - 2, kind, sector);
            break;
        case 1:
            writes++;
            *status = transfer(parts + 1, count - 2, kind, sector);
            break;
        case 4:
            flushes++;
            CHECK_EQ(count, 2);
            break;
        case 11:
            discards++;
            CHECK(count == 3 && parts[1].len == 16 && !parts[1].writable);
            if (fails_with == 0)
                discard((const uint8_t *)parts[1].at); // NOLINT
            break;
        default:
            CHECK(!"a kind of request");
        }
        model_return(QUEUE, heads[n], 1);
    }
}

static void act(uint16_t queue)
{
    CHECK_EQ(queue, QUEUE);
    if (!answers_late && !answers_never)
        serve();
}

static void asleep(void)
{
    if (answers_late)
        serve();
    else
        platform.now += SECONDS(1);
}

static enum err open_disk(void)
{
    CHECK(model_probe(false));
    memset(&info, 0xff, sizeof info);
    return platform_block_open(&platform, "service", &info);
}

static void configure(uint64_t features)
{
    model_begin(VIRTIO_BLOCK, features);
    struct writer w = WRITER(model.config);
    put_le64(&w, BLOCKS);
    put_le32(&w, 1024); /* size_max */
    put_le32(&w, 126);  /* seg_max */
    put_zeros(&w, 4);
    put_le32(&w, 512); /* blk_size */
    put_zeros(&w, 12);
    put_le32(&w, 1000); /* discard: sectors */
    put_le32(&w, 1);
    model.act = act;
    platform.asleep = asleep;
    reads = writes = flushes = discards = most_parts = at_once = 0;
    discarded = 0;
    answers_late = answers_never = false;
    fails_with = 0;
    for (size_t i = 0; i < sizeof disk; i++)
        disk[i] = (uint8_t)(i / 512 + i);
}

static void begin(uint64_t features)
{
    configure(features);
    CHECK_EQ(open_disk(), OK);
    CHECK(info.handle == 1);
    CHECK_STRING(platform.said, "");
}

static void a_disk_says_how_large_it_is(void)
{
    begin(ALL);
    CHECK(info.capacity == sizeof disk && info.block_size == 512);
    CHECK(!info.read_only);
    begin(RO);
    CHECK(info.read_only && info.block_size == 512);
    CHECK_EQ(platform_block_write(&platform, 1, 0, bytes_of(buffer, 512)),
             ERR_IO);
    CHECK_EQ(writes, 0);

    configure(ALL);
    model.config[21] = 0x10; /* blocks of 4096 + ... */
    model.config[20] = 0;
    model.config[0] = 7; /* and not a whole number of them */
    CHECK_EQ(open_disk(), OK);
    CHECK(info.block_size == 4096 && info.capacity == sizeof disk);
    CHECK_EQ(platform_block_open(&platform, "other", &info), ERR_NOT_FOUND);
}

static void a_disk_that_is_none_is_refused(void)
{
    static const struct {
        uint32_t at, value;
        const char *why;
    } wrongs[] = {
        {20, 0, "a size that no disk has"},
        {20, 256, "a size that no disk has"},
        {20, 1536, "a size that no disk has"},
        {20, 1U << 30, "a size that no disk has"},
        {4, UINT32_MAX, "a size that no disk has"},
        {8, 511, "no request as large as its blocks"},
        {12, 0, "no request as large as its blocks"},
    };
    for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
        configure(ALL | SIZE_MAX_);
        memcpy(model.config + wrongs[i].at, &wrongs[i].value, 4);
        CHECK_EQ(open_disk(), ERR_IO);
        CHECK(model_said(wrongs[i].why) && device.dead);
    }
    configure(ALL);
    model.queues[0].most = 2;
    CHECK_EQ(open_disk(), ERR_IO);
    CHECK(model_said("its queue is too short for a request"));
    configure(ALL);
    model.queues[0].most = 4; /* a request of two parts of data is not */
    CHECK_EQ(open_disk(), OK);
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, sizeof disk), OK);
    CHECK(memcmp(buffer, disk, sizeof disk) == 0);
}

static void what_is_written_is_read(void)
{
    static const uint64_t ways[] = {0, ALL, ALL | SIZE_MAX_, SIZE_MAX_};
    for (size_t way = 0; way < COUNT_OF(ways); way++) {
        for (int late = 0; late < 2; late++) {
            begin(ways[way]);
            answers_late = late == 1;
            CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, sizeof disk),
                     OK);
            CHECK(memcmp(buffer, disk, sizeof disk) == 0);
            CHECK_EQ(platform_block_read(&platform, 1, 512, buffer, 512), OK);
            CHECK(memcmp(buffer, disk + 512, 512) == 0);
            for (size_t i = 0; i < sizeof buffer; i++)
                buffer[i] = (uint8_t)(i * 7 + way);
            CHECK_EQ(platform_block_write(
                         &platform, 1, 1024,
                         bytes_of(buffer + 1024, sizeof buffer - 2048)),
                     OK);
            CHECK(memcmp(buffer + 1024, disk + 1024, sizeof buffer - 2048) ==
                  0);
            CHECK_EQ(disk[512], (uint8_t)(1 + 512));
            CHECK_EQ(disk[sizeof disk - 1],
                     (uint8_t)(BLOCKS - 1 + sizeof disk - 1));
            CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, 0), OK);
        }
    }
}

static void requests_are_cut_to_what_the_device_takes(void)
{
    begin(ALL);
    answers_late = true;
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, sizeof disk), OK);
    CHECK_EQ(reads, sizeof disk / 262144);
    CHECK_EQ(most_parts, 3);
    CHECK(at_once > 4); /* several are with the device */
    begin(ALL | SIZE_MAX_);
    answers_late = true;
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, sizeof disk), OK);
    CHECK_EQ(reads, sizeof disk / 8192);
    CHECK_EQ(most_parts, 10);
    CHECK(at_once > 4);
    CHECK(platform.waits < reads);
}

static void a_flush_is_asked_for_where_there_is_something_to_flush(void)
{
    begin(ALL);
    CHECK_EQ(platform_block_flush(&platform, 1), OK);
    CHECK_EQ(flushes, 1);
    begin(0);
    CHECK_EQ(platform_block_flush(&platform, 1), OK);
    CHECK_EQ(flushes, 0);
}

static void blocks_are_discarded_in_ranges_the_device_takes(void)
{
    begin(ALL);
    CHECK_EQ(platform_block_discard(&platform, 1, 512, UINT64_C(2500) * 512),
             OK);
    CHECK_EQ(discards, 3);
    CHECK_EQ(discarded, 2500 * 512);
    CHECK(disk[511] != 0 && disk[512] == 0 && disk[2501UL * 512 - 1] == 0 &&
          disk[2501UL * 512] != 0);
    begin(ALL & ~DISCARD);
    CHECK_EQ(platform_block_discard(&platform, 1, 512, 512), OK);
    CHECK_EQ(discards, 0);
    begin(ALL);
    fails_with = 2; /* unsupported: it was only a hint */
    CHECK_EQ(platform_block_discard(&platform, 1, 512, 512), OK);
}

static void an_error_of_the_device_is_one_of_the_call(void)
{
    for (uint8_t status = 1; status <= 3; status++) {
        begin(ALL);
        answers_late = true;
        fails_with = status;
        CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, sizeof disk),
                 ERR_IO);
        CHECK(reads < 9); /* and no more is asked for then */
        CHECK_EQ(platform_block_write(&platform, 1, 0, bytes_of(buffer, 512)),
                 ERR_IO);
        CHECK_EQ(platform_block_flush(&platform, 1), ERR_IO);
        fails_with = 0;
        CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, sizeof disk), OK);
        CHECK(!device.dead);
    }
    begin(ALL);
    fails_with = 0xff; /* it said nothing at all */
    CHECK_EQ(platform_block_flush(&platform, 1), ERR_IO);
}

static void a_disk_that_does_not_answer_is_given_up(void)
{
    begin(ALL);
    answers_never = true;
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, 512), ERR_IO);
    CHECK(device.dead && model_said("has not answered for a minute"));
    CHECK(platform.now > SECONDS(60) && platform.now < SECONDS(63));
    CHECK_EQ(model.status, 0); /* it leaves memory alone */
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, 512), ERR_IO);
    CHECK_EQ(platform_block_flush(&platform, 1), ERR_IO);
    CHECK_EQ(platform_block_discard(&platform, 1, 0, 512), ERR_IO);
}

static void lie(void)
{
    model_return(QUEUE, 77, 0);
}

static void fail(void)
{
    model.status |= VIRTIO_NEEDS_RESET;
    CHECK_EQ(virtio_woken(&platform), 2);
}

static void a_disk_that_lies_or_fails_is_given_up(void)
{
    begin(ALL);
    answers_never = true;
    platform.asleep = lie;
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, 512), ERR_IO);
    CHECK(device.dead && model_said("a buffer that it did not have"));
    begin(ALL);
    answers_never = true;
    platform.asleep = fail;
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, 512), ERR_IO);
    CHECK(device.dead && model_said("asks to be reset"));
}

static void a_disk_that_is_not_waited_for_wakes_nobody(void)
{
    begin(ALL);
    CHECK_EQ(platform_block_read(&platform, 1, 0, buffer, 512), OK);
    CHECK_EQ(virtio_arm(&platform), 0);
    CHECK_EQ(platform.waits, 0);
}

int main(void)
{
    RUN(a_disk_says_how_large_it_is);
    RUN(a_disk_that_is_none_is_refused);
    RUN(what_is_written_is_read);
    RUN(requests_are_cut_to_what_the_device_takes);
    RUN(a_flush_is_asked_for_where_there_is_something_to_flush);
    RUN(blocks_are_discarded_in_ranges_the_device_takes);
    RUN(an_error_of_the_device_is_one_of_the_call);
    RUN(a_disk_that_does_not_answer_is_given_up);
    RUN(a_disk_that_lies_or_fails_is_given_up);
    RUN(a_disk_that_is_not_waited_for_wakes_nobody);
    return test_result();
}
