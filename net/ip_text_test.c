/* Tests of addresses in text (include/fata/ip.h). */
#include "fata/ip.h"
#include "test/test.h"

static const char *text_of(const struct fata_ip *ip)
{
    static char text[FATA_IP_TEXT];
    struct writer w = writer_to(text, sizeof text - 1);
    fata_ip_put(&w, ip);
    text[w.len] = '\0';
    return w.failed ? "(failed)" : text;
}

/* What `in` reads as, in canonical text. */
static const char *read_back(const char *in)
{
    struct fata_ip ip;
    if (!fata_ip_parse(bytes_of_string(in), &ip))
        return "(refused)";
    return text_of(&ip);
}

static void ipv4_addresses_are_read_and_written(void)
{
    static const char *const same[] = {"0.0.0.0", "127.0.0.1", "10.0.0.255",
                                       "255.255.255.255"};
    for (size_t i = 0; i < COUNT_OF(same); i++)
        CHECK_STRING(read_back(same[i]), same[i]);
}

static void what_is_no_address_is_refused(void)
{
    static const char *const wrong[] = {
        "",
        ".",
        "1",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        "256.0.0.1",
        "1.2.3.4 ",
        " 1.2.3.4",
        "01.2.3.4",
        "1.2.3.1000",
        "1..2.3",
        "0x1.2.3.4",
        "-1.2.3.4",
        ":",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "g::",
        "::1:",
        ":1::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1.2.3",
        "::1.2.3.4:1",
        "1:2:3:4::5:6:7:8",
        "fe80::1%eth0",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_STRING(read_back(wrong[i]), "(refused)");
}

/* RFC 5952 section 4. */
static void ipv6_addresses_are_written_in_canonical_form(void)
{
    static const char *const pairs[][2] = {
        {"2001:0db8::0001", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:DB8::A", "2001:db8::a"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        CHECK_STRING(read_back(pairs[i][0]), pairs[i][1]);
}

static void a_mapped_address_is_the_ipv4_address(void)
{
    struct fata_ip four = fata_ip4(192, 0, 2, 1), mapped;
    CHECK(fata_ip_parse(TEXT("::ffff:192.0.2.1"), &mapped));
    CHECK(fata_ip_equal(&four, &mapped));
    CHECK_STRING(text_of(&mapped), "192.0.2.1");
}

static void a_refused_text_leaves_the_address_alone(void)
{
    struct fata_ip ip = fata_ip4(1, 2, 3, 4);
    CHECK(!fata_ip_parse(TEXT("1:2:3:4:5:6:7:8:9"), &ip));
    CHECK_STRING(text_of(&ip), "1.2.3.4");
}

static void a_port_follows_an_ipv6_address_in_brackets(void)
{
    char text[64] = {0};
    struct writer w = writer_to(text, sizeof text - 1);
    struct fata_endpoint four = {.ip = fata_ip4(10, 0, 0, 1), .port = 80};
    struct fata_endpoint six = {.port = 65535};

    CHECK(fata_ip_parse(TEXT("2001:db8::1"), &six.ip));
    fata_endpoint_put(&w, &four);
    put_u8(&w, ' ');
    fata_endpoint_put(&w, &six);
    CHECK_STRING(text, "10.0.0.1:80 [2001:db8::1]:65535");
}

int main(void)
{
    RUN(ipv4_addresses_are_read_and_written);
    RUN(what_is_no_address_is_refused);
    RUN(ipv6_addresses_are_written_in_canonical_form);
    RUN(a_mapped_address_is_the_ipv4_address);
    RUN(a_refused_text_leaves_the_address_alone);
    RUN(a_port_follows_an_ipv6_address_in_brackets);
    return test_result();
}
