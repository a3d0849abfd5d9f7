/* The table of path MTUs. */
#include "net/path_mtu.h"

#include "test/test.h"

static struct path_mtus paths;

static void set_up(void)
{
    static struct hash_key key;
    for (uint32_t i = 0; i < COUNT_OF(key.words); i++)
        key.words[i] = 0x9e3779b97f4a7c15u * (i + 1);
    memset(&paths, 0, sizeof paths);
    path_mtus_init(&paths, &key);
}

static struct fata_ip host(uint32_t n)
{
    struct fata_ip ip = {.at = {0x20, 0x01, 0x0d, 0xb8}};
    ip.at[13] = (uint8_t)(n >> 16);
    ip.at[14] = (uint8_t)(n >> 8);
    ip.at[15] = (uint8_t)n;
    return ip;
}

static void a_path_has_the_mtu_learned_for_it(void)
{
    struct fata_ip a = host(1), b = host(2), c = fata_ip4(192, 0, 2, 1);

    set_up();
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, 5), 1500);
    path_mtu_put(&paths, &a, 1400, 5);
    path_mtu_put(&paths, &c, 1300, 5);
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, 6), 1400);
    CHECK_EQ(path_mtu_get(&paths, &b, 1500, 6), 1500);
    CHECK_EQ(path_mtu_get(&paths, &c, 1500, 6), 1300);
    path_mtu_put(&paths, &a, 1350, 7);
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, 8), 1350);
}

static void no_path_is_wider_than_the_link(void)
{
    struct fata_ip a = host(1);

    set_up();
    path_mtu_put(&paths, &a, 9000, 5);
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, 6), 1500);
}

/* RFC 8201 section 4; RFC 791 for version 4. */
static void nothing_below_the_floor_is_believed(void)
{
    struct fata_ip a = host(1), c = fata_ip4(192, 0, 2, 1);

    set_up();
    path_mtu_put(&paths, &a, 68, 5);
    path_mtu_put(&paths, &c, 0, 5);
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, 6), 1280);
    CHECK_EQ(path_mtu_get(&paths, &c, 1500, 6), 552);
}

/* RFC 8201 section 4: at least five, better ten minutes. */
static void what_was_learned_ages(void)
{
    struct fata_ip a = host(1), b = host(2);

    set_up();
    path_mtu_put(&paths, &a, 1400, SECONDS(1));
    path_mtu_put(&paths, &b, 1400, SECONDS(300));
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, SECONDS(600)), 1400);
    CHECK_EQ(path_mtu_get(&paths, &a, 1500, SECONDS(601)), 1500);
    CHECK_EQ(path_mtu_get(&paths, &b, 1500, SECONDS(601)), 1400);
    CHECK_EQ(path_mtu_get(&paths, &b, 1500, SECONDS(900)), 1500);
}

static void a_flood_leaves_the_newest(void)
{
    set_up();
    for (uint32_t n = 0; n < 100000; n++) {
        struct fata_ip a = host(n);
        path_mtu_put(&paths, &a, 1400, SECONDS(1) + n);
        CHECK_EQ(path_mtu_get(&paths, &a, 1500, SECONDS(1) + n), 1400);
    }
}

int main(void)
{
    RUN(a_path_has_the_mtu_learned_for_it);
    RUN(no_path_is_wider_than_the_link);
    RUN(nothing_below_the_floor_is_believed);
    RUN(what_was_learned_ages);
    RUN(a_flood_leaves_the_newest);
    return test_result();
}
