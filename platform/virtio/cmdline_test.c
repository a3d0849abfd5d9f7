/* The four ways of writing a command line, as monitors and engines do it. */
#include "platform/virtio/cmdline.h"

#include "test/test.h"

static struct cmdline cmdline;
static char arguments[8192], message[512];

/* The boot arguments; what is wrong, after "wrong: ". */
static const char *read_with(const char *text, bool named, bool takes)
{
    struct writer args = writer_to(arguments, sizeof arguments - 1);
    struct writer why = writer_to(message + 7, sizeof message - 8);

    cmdline = (struct cmdline){
        .named = named, .takes_ipv4 = takes, .takes_gateway = takes};
    if (!cmdline_read(&cmdline, bytes_of_string(text), &args, &why)) {
        memcpy(message, "wrong: ", 7);
        message[7 + why.len] = 0;
        return message;
    }
    arguments[args.len] = 0;
    return arguments;
}

static const char *arguments_of(const char *text)
{
    return read_with(text, false, true);
}

static void solo5s_way_is_passed_on(void)
{
    CHECK_STRING(arguments_of(""), "");
    CHECK_STRING(arguments_of("--ipv4=10.0.0.2/24 --port=80"),
                 "--ipv4=10.0.0.2/24 --port=80");
    CHECK_STRING(arguments_of("--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 x"),
                 "--ipv4=10.0.0.2/24 --gateway=10.0.0.1 x");
}

static void empty_words_are_skipped(void)
{
    CHECK_STRING(arguments_of("   --a  \t --b=1 \n"), "--a --b=1");
}

static void a_kernels_name_is_skipped_where_there_is_one(void)
{
    CHECK_STRING(read_with("./dist/www.virtio --port=80", true, true),
                 "--port=80");
    CHECK_STRING(read_with("www.virtio", true, true), "");
    CHECK_STRING(read_with("", true, true), "");
}

static void quotes_stay_for_who_splits_the_words(void)
{
    CHECK_STRING(
        arguments_of("--hello='two  words' --x=\"a \\\" b\" --y=a\\ b"),
        "--hello='two  words' --x=\"a \\\" b\" --y=a\\ b");
    CHECK_STRING(arguments_of("--hello='never closed"),
                 "--hello='never closed");
}

static void unikrafts_way_is_translated(void)
{
    CHECK_STRING(
        arguments_of("Unikraft netdev.ip=10.244.0.7/24:10.244.0.1:8.8.8.8 "
                     "vfs.fstab=[ \"initrd0:/:extract:::\" ] -- --port=80"),
        "--ipv4=10.244.0.7/24 --gateway=10.244.0.1 --port=80");
    CHECK_STRING(arguments_of("app env.vars=[ \"A=b c\" \"--x=1\" ] "
                              "netdev.ip=10.0.0.2/16 -- --port=80"),
                 "--ipv4=10.0.0.2/16 --port=80");
    CHECK_STRING(arguments_of("app netdev.ip=10.0.0.2/16:: --"),
                 "--ipv4=10.0.0.2/16");
}

static void unikrafts_older_way_too(void)
{
    CHECK_STRING(
        arguments_of("app netdev.ipv4_addr=10.0.0.2 "
                     "netdev.ipv4_gw_addr=10.0.0.1 "
                     "netdev.ipv4_subnet_mask=255.255.0.0 -- --port=80 -- x"),
        "--ipv4=10.0.0.2/16 --gateway=10.0.0.1 --port=80 -- x");
    CHECK_STRING(arguments_of("app netdev.ipv4_addr=10.0.0.2 --"),
                 "--ipv4=10.0.0.2/24");
}

static void linuxs_way_is_translated(void)
{
    CHECK_STRING(
        arguments_of("panic=-1 console=ttyS0 root=/dev/vda rw "
                     "ip=10.244.0.7::10.244.0.1:255.255.255.0:urunc:eth0:off "
                     "PATH=/bin HOME=/ init=/www -- --port=80 'a b'"),
        "--ipv4=10.244.0.7/24 --gateway=10.244.0.1 --port=80 'a b'");
    CHECK_STRING(arguments_of("ip=10.0.0.2:::255.255.255.252::eth0:none --"),
                 "--ipv4=10.0.0.2/30");
    CHECK_STRING(arguments_of("console=ttyS0 ip=dhcp -- --port=80"),
                 "--port=80");
    CHECK_STRING(arguments_of("ip=off"), "");
}

static void what_kernels_are_told_is_passed_over_without_dashes_too(void)
{
    CHECK_STRING(arguments_of("reboot=k panic=1 pci=off i8042.noaux ro "
                              "nomodules random.trust_cpu=on"),
                 "");
    CHECK_STRING(arguments_of("console=ttyS0 operand"), "operand");
}

static void two_dashes_of_a_unikernels_own_stay(void)
{
    CHECK_STRING(arguments_of("--a=1 -- --b"), "--a=1 -- --b");
    CHECK_STRING(arguments_of("-- x"), "-- x");
    CHECK_STRING(arguments_of("console=ttyS0 -- --b"), "--b");
}

static void a_unikernel_without_a_network_is_not_given_an_address(void)
{
    CHECK_STRING(read_with("ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0:off "
                           "-- --a",
                           false, false),
                 "--a");
}

static void devices_are_taken_from_anywhere(void)
{
    CHECK_STRING(arguments_of("console=ttyS0 -- --port=80 "
                              "virtio_mmio.device=4K@0xd0000000:5 "
                              "virtio_mmio.device=512@0xfeb00e00:12:1 "
                              "virtio_mmio.device=0x1000@4026531840:7"),
                 "--port=80");
    CHECK_EQ(cmdline.device_count, 3);
    CHECK_EQ(cmdline.devices[0].size, 4096);
    CHECK_EQ(cmdline.devices[0].address, 0xd0000000);
    CHECK_EQ(cmdline.devices[0].line, 5);
    CHECK_EQ(cmdline.devices[1].size, 512);
    CHECK_EQ(cmdline.devices[1].line, 12);
    CHECK_EQ(cmdline.devices[2].address, 0xf0000000);
}

static void what_makes_no_sense_is_named(void)
{
    static const char *const wrong[] = {
        "netdev.ip=10.0.0.2",
        "netdev.ip=10.0.0/24:10.0.0.1",
        "netdev.ip=10.0.0.2/33",
        "netdev.ip=10.0.0.2/24:gateway",
        "ip=10.0.0.2::10.0.0.1:255.0.255.0::eth0:off",
        "ip=10.0.0.256::10.0.0.1:255.255.255.0",
        "ip=10.0.0.2::10.0.0.1",
        "netdev.ipv4_addr=10.0.0",
        "virtio_mmio.device=4K",
        "virtio_mmio.device=4K@0x:5",
        "virtio_mmio.device=4K@0xd0000000",
        "virtio_mmio.device=0@0xd0000000:5",
        "virtio_mmio.device=4K@0xd0000000:5x",
        "virtio_mmio.device=4K@0xffffffffffffffff:5",
        "virtio_mmio.device=4K@0x1ffffffffffffffff:5",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        const char *said = arguments_of(wrong[i]);
        if (strncmp(said, "wrong: ", 7) != 0)
            CHECK_STRING(said, wrong[i]);
        CHECK(strstr(said, "on the command line makes no sense: give") != NULL);
    }
}

static void more_than_there_is_room_for_is_refused(void)
{
    uint8_t few[8];
    struct writer args = WRITER(few);
    struct writer why = writer_to(message, sizeof message);

    cmdline = (struct cmdline){0};
    CHECK(!cmdline_read(&cmdline, TEXT("--port=8080"), &args, &why));
    CHECK(why.len > 0);
}

int main(void)
{
    RUN(solo5s_way_is_passed_on);
    RUN(empty_words_are_skipped);
    RUN(a_kernels_name_is_skipped_where_there_is_one);
    RUN(quotes_stay_for_who_splits_the_words);
    RUN(unikrafts_way_is_translated);
    RUN(unikrafts_older_way_too);
    RUN(linuxs_way_is_translated);
    RUN(what_kernels_are_told_is_passed_over_without_dashes_too);
    RUN(two_dashes_of_a_unikernels_own_stay);
    RUN(a_unikernel_without_a_network_is_not_given_an_address);
    RUN(devices_are_taken_from_anywhere);
    RUN(what_makes_no_sense_is_named);
    RUN(more_than_there_is_room_for_is_refused);
    return test_result();
}
