/* Tests of platform/spin.h. */
#include "platform/spin.h"

#include "test/test.h"

enum { LIMIT = 50000, SHORT = 20000, LONG = 1000000000 };

/* One wait, in which looking finds something if `found`. Whether it looked. */
static bool wait(struct spin *spin, uint64_t duration, bool found)
{
    bool looked = spin_budget(spin) > 0;
    if (looked)
        spin_looked(spin, found);
    spin_waited(spin, duration);
    return looked;
}

static struct spin busy(void)
{
    struct spin spin;
    spin_init(&spin, LIMIT);
    for (int i = 0; i < 100; i++)
        (void)wait(&spin, SHORT, true);
    return spin;
}

static void with_a_limit_of_zero_it_never_looks(void)
{
    struct spin spin = {0};
    for (int i = 0; i < 1000; i++)
        CHECK(!wait(&spin, 0, true));
    spin_init(&spin, 0);
    for (int i = 0; i < 1000; i++)
        CHECK(!wait(&spin, 0, true));
}

static void it_looks_once_waits_have_been_short(void)
{
    struct spin spin;
    int waits = 0;
    spin_init(&spin, LIMIT);
    CHECK_EQ(spin_budget(&spin), 0);
    while (!wait(&spin, SHORT, true) && waits < 100)
        waits++;
    CHECK(waits > 2 && waits < 30);
    CHECK_EQ(spin_budget(&spin), LIMIT);
}

static void an_idle_one_stops_looking(void)
{
    struct spin spin = busy();
    int looked = 0;
    for (int i = 0; i < 1000000; i++)
        looked += wait(&spin, LONG, false);
    CHECK(looked <= 3);
}

static void a_pause_does_not_take_long_to_forget(void)
{
    struct spin spin = busy();
    int waits = 0;
    for (int i = 0; i < 1000; i++)
        (void)wait(&spin, LONG, false);
    while (!wait(&spin, SHORT, true) && waits < 100)
        waits++;
    CHECK(waits < 40);
}

/* Waits are short, but whom we wait for runs only when we sleep. */
static void looking_in_vain_becomes_rare(void)
{
    struct spin spin = busy();
    int looked = 0;
    for (int i = 0; i < 100000; i++)
        looked += wait(&spin, SHORT, false);
    CHECK(looked > 50 && looked < 200);
    /* And is no longer so when it helps again. */
    int waits = 0;
    while (!wait(&spin, SHORT, true) && waits < 2000)
        waits++;
    CHECK(waits <= 1024);
    for (int i = 0; i < 100; i++)
        CHECK(wait(&spin, SHORT, true));
}

int main(void)
{
    RUN(with_a_limit_of_zero_it_never_looks);
    RUN(it_looks_once_waits_have_been_short);
    RUN(an_idle_one_stops_looking);
    RUN(a_pause_does_not_take_long_to_forget);
    RUN(looking_in_vain_becomes_rare);
    return test_result();
}
