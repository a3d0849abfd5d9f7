/* Tests of platform/virtio/transport.h: both kinds of transport. */
#include "platform/virtio/model.h"

#include "test/test.h"

static bool start(uint64_t wanted)
{
    uint64_t offered = virtio_begin(&device);
    return offered != 0 &&
           virtio_agree(&device, offered & (wanted | VIRTIO_F_COMMON));
}

/* On PCI if `way` is 1. */
static void begin(int way, uint64_t features)
{
    model_begin(VIRTIO_BLOCK, features);
    CHECK(model_probe(way == 1));
    CHECK_EQ(device.id, VIRTIO_BLOCK);
    CHECK_STRING(platform.said, "");
}

static void features_are_agreed_on(void)
{
    for (int way = 0; way < 2; way++) {
        begin(way, UINT64_C(1) << 40 | UINT64_C(1) << 9 | 7);
        CHECK(start(6 | UINT64_C(1) << 20));
        CHECK_EQ(model.accepted, VIRTIO_F_VERSION_1 | 6);
        CHECK_EQ(device.features, model.accepted);
        CHECK_EQ(model.status,
                 VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
        virtio_go(&device);
        CHECK((model.status & VIRTIO_DRIVER_OK) != 0);
        CHECK(model.resets == 1);
    }
}

static void a_device_that_cannot_be_agreed_with_is_not_used(void)
{
    for (int way = 0; way < 2; way++) {
        begin(way, 0);
        model.refuses = true;
        CHECK(!start(0));
        CHECK(device.dead && model_said("it wants features that nobody here"));
        CHECK(virtio_begin(&device) == 0);

        begin(way, 0);
        model.offered = 1;
        CHECK(!start(1));
        CHECK(device.dead && model_said("does not offer virtio 1.0"));

        begin(way, 0);
        model.status = 1;
        model.stays = true;
        CHECK(!start(0));
        CHECK(device.dead && model_said("does not end its reset"));
    }
}

static void a_device_of_before_1_0_is_refused_with_what_to_do(void)
{
    model_begin(VIRTIO_NET, 0);
    model.version = 1;
    CHECK(!model_probe(false));
    CHECK(model_said("virtio-mmio.force-legacy=false"));

    model_begin(VIRTIO_NET, 0);
    function_set(0x00, 0x1af4 | 0x1000U << 16, 4);
    function_set(0x34, 0x98, 1);
    function_set(0x98, 0x11, 4); /* MSI-X, and nothing after it */
    CHECK(!model_probe(true));
    CHECK(model_said("pci 00:03.0: "));
    CHECK(model_said("disable-modern=off"));
}

static void a_transitional_device_is_driven_as_a_modern_one(void)
{
    model_begin(VIRTIO_BLOCK, 0);
    model_function(0x1001);
    CHECK(model_probe(true));
    CHECK_EQ(device.id, VIRTIO_BLOCK);
    CHECK(start(0));
}

static void places_without_a_device_are_passed_over(void)
{
    model_begin(VIRTIO_NONE, 0);
    CHECK(!model_probe(false));
    CHECK_STRING(platform.said, "");

    model_begin(VIRTIO_NET, 0);
    model.magic = 0;
    CHECK(!model_probe(false));
    CHECK(model_said("there is no virtio device"));
    CHECK(!virtio_mmio_probe(&device, &platform, MODEL_MMIO, 0x100));
    CHECK(model_said("256 bytes of registers are too few"));

    model_begin(VIRTIO_NET, 0);
    function_set(0, 0x12348086, 4);
    CHECK(!model_probe(true));
    CHECK(!virtio_pci_probe(&device, &platform, &model_access, 0x10));
    CHECK_STRING(platform.said, "");
}

static void capabilities_that_go_round_end(void)
{
    model_begin(VIRTIO_NET, 0);
    function_set(0x41, 0x98, 1); /* the last is followed by the first */
    CHECK(model_probe(true));
    function_set(0x99, 0x98, 1); /* and the first by itself */
    CHECK(!model_probe(true));
}

static void registers_out_of_reach_are_not_used(void)
{
    model_begin(VIRTIO_NET, 0);
    function_set(0x24, 1, 4); /* above what the machine maps */
    CHECK(!model_probe(true));
    model_begin(VIRTIO_NET, 0);
    function_set(0x20, 4, 4); /* the BAR was given no address */
    CHECK(!model_probe(true));
    model_begin(VIRTIO_NET, 0);
    function_set(0x44, 0, 4); /* ports instead of memory */
    CHECK(!model_probe(true));
    model_begin(VIRTIO_NET, 0);
    function_set(0x44, 9, 4); /* no such BAR */
    CHECK(!model_probe(true));
    CHECK(model_said("within reach"));

    /* A queue's place for notifications past the end of those. */
    model_begin(VIRTIO_NET, 0);
    function_set(0x70 + 12, 2, 4);
    CHECK(model_probe(true) && start(0));
    struct virtq q;
    CHECK(!virtq_init(&q, &device, 0, 16, &platform.arena));
    CHECK(device.dead && model_said("does not take one of its queues"));
}

static void a_device_can_interrupt_by_message(void)
{
    struct virtq q;

    begin(1, 0);
    CHECK(virtio_pci_message(&device, 0x1fee00000, 0x4021));
    CHECK_EQ(model.table[0], 0xfee00000);
    CHECK_EQ(model.table[1], 1);
    CHECK_EQ(model.table[2], 0x4021);
    CHECK_EQ(model.table[3], 0);
    CHECK_EQ(model_function_read(&model_access, MODEL_WHERE, 0x98) >> 30, 2);
    CHECK_EQ(model.function[5] & 4, 4); /* no interrupts by line */
    model.queues[1].vector = 0xffff;
    CHECK(start(0) && virtq_init(&q, &device, 1, 16, &platform.arena));
    CHECK_EQ(model.queues[1].vector, 0);

    begin(1, 0);
    function_set(0x34, 0x84, 1); /* without the capability */
    CHECK(model_probe(true) && !virtio_pci_message(&device, 1, 2));
    begin(0, 0);
    CHECK(!virtio_pci_message(&device, 1, 2));
}

static void a_device_interrupts_by_the_line_that_firmware_noted(void)
{
    uint32_t line;

    begin(1, 0);
    CHECK_EQ(model.function[5] & 4, 4);
    function_set(0x3c, 11 | 1 << 8, 2);
    CHECK(virtio_pci_line(&device, &line));
    CHECK_EQ(line, 11);
    CHECK_EQ(model.function[5] & 4, 0);

    const uint16_t none[] = {0, 11, 1 << 8, 255 | 1 << 8, 16 | 1 << 8};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        begin(1, 0);
        function_set(0x3c, none[i], 2);
        CHECK(!virtio_pci_line(&device, &line));
        CHECK_EQ(model.function[5] & 4, 4);
    }
}

static void configuration_is_read_in_one_piece(void)
{
    for (int way = 0; way < 2; way++) {
        begin(way, 0);
        memset(model.config, 0x11, sizeof model.config);
        CHECK_EQ(virtio_config8(&device, 1), 0x11);
        CHECK_EQ(virtio_config16(&device, 2), 0x1111);
        CHECK_EQ(virtio_config32(&device, 60), 0x11111111);
        CHECK_EQ(virtio_config32(&device, 61), 0);
        CHECK_EQ(virtio_config32(&device, UINT32_MAX), 0);
        model.moves = true;
        CHECK_EQ(virtio_config64(&device, 0), UINT64_C(0x1414141414141414));
    }
}

static bool never(struct virtio_device *d, bool arm)
{
    (void)arm;
    return d->dead;
}

static void a_device_that_asks_to_be_reset_is_dead(void)
{
    for (int way = 0; way < 2; way++) {
        begin(way, 0);
        CHECK(start(0));
        virtio_go(&device);
        virtio_attach(&device, 5, NULL, never);
        CHECK_EQ(virtio_woken(&platform), 0);
        model.status |= VIRTIO_NEEDS_RESET;
        CHECK_EQ(virtio_ready(&platform), 0);
        if (way == 0) {
            CHECK_EQ(virtio_woken(&platform), 1 << 5);
        } else {
            /* By its line it says that something has changed. */
            model.events = VIRTIO_EVENT_CONFIG;
            CHECK(virtio_acknowledge(&device));
            CHECK_EQ(model.events, 0);
            CHECK(!virtio_acknowledge(&device));
            CHECK_EQ(virtio_arm(&platform), 1 << 5);
        }
        CHECK(device.dead && model.status == 0);
        CHECK(model_said("asks to be reset: it is no longer used\n"));
    }
}

int main(void)
{
    RUN(features_are_agreed_on);
    RUN(a_device_that_cannot_be_agreed_with_is_not_used);
    RUN(a_device_of_before_1_0_is_refused_with_what_to_do);
    RUN(a_transitional_device_is_driven_as_a_modern_one);
    RUN(places_without_a_device_are_passed_over);
    RUN(capabilities_that_go_round_end);
    RUN(registers_out_of_reach_are_not_used);
    RUN(a_device_can_interrupt_by_message);
    RUN(a_device_interrupts_by_the_line_that_firmware_noted);
    RUN(configuration_is_read_in_one_piece);
    RUN(a_device_that_asks_to_be_reset_is_dead);
    return test_result();
}
