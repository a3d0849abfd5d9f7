/* Tests of platform/virtio/rng.c and console.c, against models. */
#include "platform/virtio/model.h"

#include "test/test.h"

static uint32_t asked, at_most;
static char shown[8192];

static void give_entropy(uint16_t queue)
{
    struct virtq_part part;
    int head = model_next(queue);
    if (model_chain(queue, head, &part, 1) != 1 || !part.writable)
        CHECK(!"a buffer to fill");
    uint32_t len = part.len < at_most ? part.len : at_most;
    for (uint32_t i = 0; i < len; i++)
        ((uint8_t *)part.at)[i] = (uint8_t)++asked; // NOLINT
    model_return(queue, head, len);
}

static enum err fill(uint8_t *to, size_t len)
{
    return virtio_rng(&device, &platform.arena, to, len);
}

static void entropy_is_asked_for_until_there_is_enough(void)
{
    uint8_t bytes[1000];

    model_begin(VIRTIO_RNG, 0);
    CHECK(model_probe(true));
    model.act = give_entropy;
    asked = 0;
    at_most = 7;
    CHECK_EQ(fill(bytes, sizeof bytes), OK);
    for (size_t i = 0; i < sizeof bytes; i++)
        if (bytes[i] != (uint8_t)(i + 1))
            CHECK(!"each byte is one that was given");
    at_most = UINT32_MAX;
    uint32_t resets = model.resets;
    CHECK_EQ(fill(bytes, 32), OK);
    CHECK_EQ(bytes[0], (uint8_t)1001);
    CHECK_EQ(model.resets, resets); /* it was started once */
}

static void entropy_that_does_not_come_is_not_made_up(void)
{
    uint8_t bytes[16];

    model_begin(VIRTIO_RNG, 0);
    CHECK(model_probe(true));
    platform.tick = MILLISECONDS(1);
    CHECK_EQ(fill(bytes, sizeof bytes), ERR_IO);
    CHECK(device.dead && model_said("no entropy for ten seconds"));
    model_begin(VIRTIO_RNG, 0);
    CHECK(model_probe(true));
    model.act = give_entropy;
    at_most = 0;
    CHECK_EQ(fill(bytes, sizeof bytes), ERR_IO);
    CHECK(device.dead && model_said("it gives no entropy"));
    CHECK_EQ(fill(bytes, sizeof bytes), ERR_IO);
    model_begin(VIRTIO_RNG, 0);
    CHECK(model_probe(true));
    model.refuses = true;
    CHECK_EQ(fill(bytes, sizeof bytes), ERR_IO);
}

static void show(uint16_t queue)
{
    int head;
    CHECK_EQ(queue, 1);
    while ((head = model_next(queue)) >= 0) {
        struct virtq_part part;
        CHECK(model_chain(queue, head, &part, 1) == 1 && !part.writable);
        strncat(shown, (const char *)part.at, part.len); // NOLINT
        model_return(queue, head, 0);
    }
}

static struct virtio_console *open_console(void)
{
    shown[0] = 0;
    model_begin(VIRTIO_CONSOLE, 0);
    CHECK(model_probe(true));
    model.act = show;
    struct virtio_console *console =
        virtio_console_start(&device, &platform.arena);
    assert(console != NULL);
    return console;
}

static void text_is_shown_on_the_console(void)
{
    char text[5001];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    text[5000] = 0;

    struct virtio_console *console = open_console();
    virtio_console_write(console, TEXT("hello\n"));
    CHECK_STRING(shown, "hello\n");
    shown[0] = 0;
    virtio_console_write(console, bytes_of_string(text));
    CHECK_STRING(shown, text);
    virtio_console_write(console, bytes_of(text, 0));
}

static void a_console_that_nobody_reads_loses_text_and_no_more(void)
{
    struct virtio_console *console = open_console();
    model.act = NULL;
    for (int i = 0; i < 12; i++)
        virtio_console_write(console, TEXT("x"));
    CHECK(!device.dead && !virtio_console_done(console));
    model.act = show;
    show(1);
    CHECK_STRING(shown, "xxxxxxxx");
    CHECK(virtio_console_done(console));
    virtio_console_write(console, TEXT("y"));
    CHECK_STRING(shown, "xxxxxxxxy");
}

static void a_console_that_lies_is_gone(void)
{
    struct virtio_console *console = open_console();
    model_return(1, 3, 0);
    virtio_console_write(console, TEXT("x"));
    CHECK(device.dead && virtio_console_done(console));
    virtio_console_write(console, TEXT("x"));
    CHECK_STRING(shown, "");

    model_begin(VIRTIO_CONSOLE, 0);
    CHECK(model_probe(true));
    model.queues[1].most = 0;
    CHECK(virtio_console_start(&device, &platform.arena) == NULL);
}

int main(void)
{
    RUN(entropy_is_asked_for_until_there_is_enough);
    RUN(entropy_that_does_not_come_is_not_made_up);
    RUN(text_is_shown_on_the_console);
    RUN(a_console_that_nobody_reads_loses_text_and_no_more);
    RUN(a_console_that_lies_is_gone);
    return test_result();
}
