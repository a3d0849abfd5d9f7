/* Tests of which addresses an audit refuses. */
#include "tool/audit/target.h"

#include "test/test.h"

static const char *refusal(const char *text)
{
    struct audit_target target;
    return audit_target_parse(text, &target);
}

static void addresses_of_a_test_network_are_permitted(void)
{
    static const char *const permitted[] = {
        "10.0.0.0",         "10.255.255.255",
        "172.16.0.1",       "172.31.255.1",
        "192.168.0.1",      "192.168.255.255",
        "127.0.0.1",        "127.255.0.1",
        "169.254.0.1",      "::1",
        "fe80::1",          "febf::1",
        "fc00::1",          "fdff:ffff::1",
        "FE80::ABCD",       "::ffff:10.0.0.1",
        "::ffff:c0a8:0001", "fe80::1%eth0",
    };

    for (size_t i = 0; i < COUNT_OF(permitted); i++) {
        const char *why = refusal(permitted[i]);
        if (why != NULL)
            printf("%s: %s\n", permitted[i], why);
        CHECK(why == NULL);
    }
}

static void every_other_address_is_refused(void)
{
    static const char *const refused[] = {
        /* just outside */
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "fe7f:ffff::1",
        "fec0::1",
        "fbff::1",
        "fe00::1",
        "::2",
        "1::1",
        /* the Internet, and what is nobody's */
        "8.8.8.8",
        "1.1.1.1",
        "93.184.216.34",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "2001:db8::1",
        "2606:4700::1111",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "ff01::1",
        /* IPv4 within IPv6 */
        "::ffff:8.8.8.8",
        "::ffff:0808:0808",
        "::8.8.8.8",
        "::10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:0a00:0001::1",
        "::ffff:0:10.0.0.1",
        "::fffe:10.0.0.1",
    };

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        const char *why = refusal(refused[i]);
        if (why == NULL)
            printf("%s is permitted\n", refused[i]);
        CHECK(why != NULL && strstr(why, "is refused") != NULL);
    }
}

static void what_others_might_read_as_an_address_is_none(void)
{
    static const char *const texts[] = {
        "",
        "localhost",
        "example.com",
        "10.0.0.1.nip.io",
        "10",
        "10.1",
        "0x0a000001",
        "0x0a.0.0.1",
        "010.0.0.1",
        "167772161",
        "10.0.0.1:80",
        "[::1]",
        "10.0.0.1/24",
        "10.0.0.256",
        "10.0.0.1 ",
        " 10.0.0.1",
        "10.0.0.-1",
        "10.0.0.1%",
        "10.0.0.1%lo",
        "fe80::1%",
        "fe80:::1",
        "::ffff:10.0.0.1.8",
        "10.0.0.1,8.8.8.8",
        "１０.0.0.1",
        "127.1",
        "::ffff:0x7f.0.0.1",
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const char *why = refusal(texts[i]);
        if (why == NULL)
            printf("%s is permitted\n", texts[i]);
        CHECK(why != NULL && strstr(why, "is not an address") != NULL);
    }
}

/* The rule once more, in other words, for addresses that nobody chose. */
static bool permitted_naively(uint32_t v4)
{
    return (v4 >= 0x0a000000 && v4 <= 0x0affffff) ||
           (v4 >= 0xac100000 && v4 <= 0xac1fffff) ||
           (v4 >= 0xc0a80000 && v4 <= 0xc0a8ffff) ||
           (v4 >= 0x7f000000 && v4 <= 0x7fffffff) ||
           (v4 >= 0xa9fe0000 && v4 <= 0xa9feffff);
}

static void all_of_version_4_is_judged_as_the_rule_says(void)
{
    bool same = true;

    /* Every network of 4096 addresses, at both ends. */
    for (uint64_t v4 = 0; v4 <= UINT32_MAX; v4 += 4096) {
        struct fata_ip first = fata_ip_from_v4((uint32_t)v4);
        struct fata_ip last = fata_ip_from_v4((uint32_t)v4 + 4095);
        same =
            same &&
            audit_target_permitted(&first) == permitted_naively((uint32_t)v4) &&
            audit_target_permitted(&last) ==
                permitted_naively((uint32_t)v4 + 4095);
    }
    CHECK(same);
}

static void all_of_version_6_is_judged_as_the_rule_says(void)
{
    bool same = true;

    for (uint32_t high = 0; high <= UINT16_MAX; high++) {
        struct fata_ip ip = {
            .at = {(uint8_t)(high >> 8), (uint8_t)high, [15] = 2}};
        bool naively = (high & 0xffc0) == 0xfe80 || (high & 0xfe00) == 0xfc00;
        same = same && audit_target_permitted(&ip) == naively;
    }
    CHECK(same);
}

static void loopback_and_the_interface_are_told(void)
{
    struct audit_target target;

    CHECK(audit_target_parse("127.0.0.2", &target) == NULL);
    CHECK(target.loopback);
    CHECK(audit_target_parse("::1", &target) == NULL);
    CHECK(target.loopback);
    CHECK(audit_target_parse("fe80::2%tap0", &target) == NULL);
    CHECK(!target.loopback);
    CHECK_STRING(target.interface, "tap0");
}

int main(void)
{
    RUN(addresses_of_a_test_network_are_permitted);
    RUN(every_other_address_is_refused);
    RUN(what_others_might_read_as_an_address_is_none);
    RUN(all_of_version_4_is_judged_as_the_rule_says);
    RUN(all_of_version_6_is_judged_as_the_rule_says);
    RUN(loopback_and_the_interface_are_told);
    return test_result();
}
