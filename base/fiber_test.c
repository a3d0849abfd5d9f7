/* Tests of base/fiber.h. */
#include "base/fiber.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "test/test.h"

enum { STACK = 16384, MEMORY = 1 << 20 };

static _Alignas(4096) uint8_t memory[MEMORY];
static struct loop loop;
static char trace[256];
static size_t trace_len;
static enum err outcome;
static char name_a[] = "a", name_b[] = "b", name_c[] = "c";

static void note(char c)
{
    if (trace_len + 1 < sizeof trace)
        trace[trace_len++] = c;
    trace[trace_len] = '\0';
}

static void set_up(uint32_t fibers)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    struct loop_options options = {.fibers = fibers, .stack_size = STACK};
    CHECK_EQ(loop_init(&loop, &arena, &options, SECONDS(1)), OK);
    trace_len = 0;
    trace[0] = '\0';
    outcome = ERR_IO;
}

/* Rounds at the times the loop asks for, until nothing is left to do. */
static void run(void)
{
    uint64_t next = loop.now;
    do {
        next = loop_round(&loop, next < loop.now ? loop.now : next);
    } while (next != TIME_NEVER);
}

static struct fiber *start(fiber_entry *entry, void *argument)
{
    struct fiber *fiber = NULL;
    CHECK_EQ(fiber_start(&loop, "test", entry, argument, &fiber), OK);
    return fiber;
}

static void note_thrice(void *argument)
{
    for (int i = 0; i < 3; i++) {
        note(*(const char *)argument);
        if (fiber_sleep(&loop, 0) != OK)
            return;
    }
}

static void fibers_run_in_turn(void)
{
    set_up(3);
    start(note_thrice, name_a);
    start(note_thrice, name_b);
    start(note_thrice, name_c);
    run();
    CHECK_STRING(trace, "abcabcabc");
    CHECK_EQ(loop.fiber_count, 0);
}

static void a_round_runs_each_ready_fiber_once(void)
{
    set_up(2);
    start(note_thrice, name_a);
    start(note_thrice, name_b);
    CHECK_EQ(loop_round(&loop, loop.now), loop.now);
    CHECK_STRING(trace, "ab");
    run();
}

static void wait_and_note(void *argument)
{
    uint64_t deadline = *(uint64_t *)argument;
    note('<');
    outcome = fiber_wait(&loop, deadline);
    note('>');
}

static void a_wait_ends_when_woken(void)
{
    uint64_t never = TIME_NEVER;
    set_up(1);
    struct fiber *fiber = start(wait_and_note, &never);
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_STRING(trace, "<");
    fiber_wake(fiber);
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_STRING(trace, "<>");
    CHECK_EQ(outcome, OK);
}

static void a_wake_before_the_wait_ends_it_at_once(void)
{
    uint64_t never = TIME_NEVER;
    set_up(1);
    struct fiber *fiber = start(wait_and_note, &never);
    fiber_wake(fiber);
    run();
    CHECK_STRING(trace, "<>");
    CHECK_EQ(outcome, OK);
}

static void wait_thrice(void *argument)
{
    (void)argument;
    for (int i = 0; i < 3; i++) {
        outcome = fiber_wait(&loop, time_add(loop.now, SECONDS(1)));
        note((char)('0' + (int)outcome));
    }
}

static void wakes_do_not_count(void)
{
    set_up(1);
    struct fiber *fiber = start(wait_thrice, NULL);
    fiber_wake(fiber);
    fiber_wake(fiber);
    fiber_wake(fiber);
    run();
    CHECK_STRING(trace, "022");
}

static void a_wait_ends_at_its_deadline_and_not_before(void)
{
    uint64_t deadline = SECONDS(1) + MILLISECONDS(20);
    set_up(1);
    start(wait_and_note, &deadline);
    loop_round(&loop, loop.now);
    loop_round(&loop, deadline - 1);
    CHECK_STRING(trace, "<");
    run();
    CHECK_STRING(trace, "<>");
    CHECK_EQ(outcome, ERR_TIMEOUT);
    CHECK(loop.now >= deadline);
    CHECK(loop.now < deadline + MICROSECONDS(66));
}

static void a_wait_whose_deadline_has_passed_times_out_at_once(void)
{
    uint64_t deadline = MILLISECONDS(1);
    set_up(1);
    start(wait_and_note, &deadline);
    loop_round(&loop, loop.now);
    CHECK_STRING(trace, "<>");
    CHECK_EQ(outcome, ERR_TIMEOUT);
}

static void a_wake_disarms_the_deadline(void)
{
    uint64_t deadline = SECONDS(2);
    set_up(1);
    struct fiber *fiber = start(wait_and_note, &deadline);
    loop_round(&loop, loop.now);
    fiber_wake(fiber);
    loop_round(&loop, loop.now);
    CHECK_EQ(outcome, OK);
    CHECK_EQ(loop.timers.armed, 0);
}

static void sleep_and_note(void *argument)
{
    uint64_t deadline = *(uint64_t *)argument;
    note('<');
    outcome = fiber_sleep(&loop, deadline);
    note('>');
}

static void sleep_is_not_disturbed_by_wakes(void)
{
    uint64_t deadline = SECONDS(2);
    set_up(1);
    struct fiber *fiber = start(sleep_and_note, &deadline);
    loop_round(&loop, loop.now);
    fiber_wake(fiber);
    loop_round(&loop, deadline - MILLISECONDS(1));
    CHECK_STRING(trace, "<");
    run();
    CHECK_STRING(trace, "<>");
    CHECK_EQ(outcome, OK);
}

static void sleep_then_wait(void *argument)
{
    (void)argument;
    if (fiber_sleep(&loop, SECONDS(2)) == OK)
        outcome = fiber_wait(&loop, TIME_NEVER);
    note('x');
}

static void a_wake_during_sleep_is_kept_for_the_next_wait(void)
{
    set_up(1);
    struct fiber *fiber = start(sleep_then_wait, NULL);
    loop_round(&loop, loop.now);
    fiber_wake(fiber);
    run();
    CHECK_STRING(trace, "x");
    CHECK_EQ(outcome, OK);
}

static void cancelling_ends_a_sleep_and_all_later_waits(void)
{
    set_up(1);
    struct fiber *fiber = start(wait_thrice, NULL);
    loop_round(&loop, loop.now);
    fiber_cancel(fiber);
    loop_round(&loop, loop.now);
    CHECK_STRING(trace, "333");
    CHECK_EQ(loop.timers.armed, 0);

    uint64_t deadline = SECONDS(9);
    fiber = start(sleep_and_note, &deadline);
    loop_round(&loop, loop.now);
    fiber_cancel(fiber);
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_EQ(outcome, ERR_CANCELLED);
}

static void a_fiber_cancelled_before_its_first_turn_still_runs(void)
{
    uint64_t deadline = SECONDS(9);
    set_up(1);
    struct fiber *fiber = start(sleep_and_note, &deadline);
    fiber_cancel(fiber);
    run();
    CHECK_STRING(trace, "<>");
    CHECK_EQ(outcome, ERR_CANCELLED);
}

static void cancel_myself(void *argument)
{
    (void)argument;
    fiber_cancel(loop.current);
    outcome = fiber_wait(&loop, TIME_NEVER);
}

static void a_fiber_can_cancel_itself(void)
{
    set_up(1);
    start(cancel_myself, NULL);
    run();
    CHECK_EQ(outcome, ERR_CANCELLED);
}

static void join_and_note(void *argument)
{
    outcome = fiber_join((struct fiber *)argument, SECONDS(3));
    note('j');
}

static void join_waits_for_the_end(void)
{
    uint64_t deadline = SECONDS(2);
    set_up(2);
    struct fiber *other = start(sleep_and_note, &deadline);
    start(join_and_note, other);
    run();
    CHECK_STRING(trace, "<>j");
    CHECK_EQ(outcome, OK);
}

static void join_is_not_fooled_by_wakes(void)
{
    uint64_t deadline = SECONDS(2);
    set_up(2);
    struct fiber *other = start(sleep_and_note, &deadline);
    struct fiber *joiner = start(join_and_note, other);
    loop_round(&loop, loop.now);
    fiber_wake(joiner);
    loop_round(&loop, loop.now);
    CHECK_STRING(trace, "<");
    run();
    CHECK_STRING(trace, "<>j");
}

static void join_times_out(void)
{
    uint64_t deadline = SECONDS(5);
    set_up(2);
    struct fiber *other = start(sleep_and_note, &deadline);
    struct fiber *joiner = start(join_and_note, other);
    run();
    CHECK_STRING(trace, "<j>");
    CHECK(joiner != other);

    outcome = ERR_IO;
    other = start(sleep_and_note, &(uint64_t){SECONDS(9)});
    start(join_and_note, other);
    loop_round(&loop, loop.now);
    CHECK_EQ(outcome, ERR_TIMEOUT);
    CHECK(other->joiner == NULL);
    run();
}

static void joining_a_fiber_that_has_ended_succeeds(void)
{
    uint64_t deadline = 0;
    set_up(2);
    struct fiber *joiner = start(sleep_then_wait, NULL);
    struct fiber *other = start(sleep_and_note, &deadline);
    run();
    CHECK_EQ(other->state, FIBER_FREE);
    fiber_cancel(joiner);
    run();

    /* The last to end is reused first: this is not `other`. */
    start(join_and_note, other);
    run();
    CHECK_EQ(outcome, OK);
}

static void nothing(void *argument)
{
    (void)argument;
}

static void a_full_table_refuses_and_counts(void)
{
    set_up(2);
    start(nothing, NULL);
    start(nothing, NULL);
    CHECK_EQ(fiber_start(&loop, "more", nothing, NULL, NULL), ERR_FULL);
    CHECK_EQ(loop.refused, 1);
    run();
    CHECK_EQ(fiber_start(&loop, "more", nothing, NULL, NULL), OK);
    run();
}

static int use_much_stack(int depth)
{
    volatile char room[256];
    room[0] = (char)depth;
    if (depth > 0)
        return use_much_stack(depth - 1) + room[0];
    return 0;
}

static void count_up(void *argument)
{
    *(int *)argument += 1;
    (void)use_much_stack(10);
    if (fiber_sleep(&loop, 0) == OK)
        *(int *)argument += 1;
}

static void a_thousand_fibers_in_turn_reuse_one_stack(void)
{
    int count = 0;
    set_up(4);
    struct fiber *first = start(count_up, &count);
    run();
    uint64_t generation = first->generation;
    for (int i = 0; i < 1000; i++) {
        struct fiber *fiber = start(count_up, &count);
        CHECK(fiber == first);
        run();
    }
    CHECK_EQ(count, 2002);
    CHECK_EQ(first->generation, generation + 1000);
    CHECK_EQ(loop.fiber_fresh, 1);
}

static void start_another(void *argument)
{
    int *left = (int *)argument;
    if ((*left)-- > 0)
        start(start_another, left);
}

static void fibers_that_start_fibers_do_not_hold_up_time(void)
{
    int left = 100;
    set_up(4);
    start(start_another, &left);
    loop_round(&loop, loop.now);
    CHECK(left > 90);
    run();
    CHECK_EQ(left, -1);
}

static struct fiber *partner;

static void wake_partner(void *argument)
{
    (void)argument;
    note('w');
    fiber_wake(partner);
}

static void a_fiber_woken_by_another_runs_in_the_same_round(void)
{
    uint64_t never = TIME_NEVER;
    set_up(2);
    partner = start(wait_and_note, &never);
    loop_round(&loop, loop.now);
    start(wake_partner, NULL);
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_STRING(trace, "<w>");
}

static int guards;

static void count_guard(void *at, size_t size)
{
    CHECK_EQ((uintptr_t)at % 4096, 0);
    CHECK_EQ(size, 4096);
    guards++;
}

static void each_stack_is_guarded_once(void)
{
    struct arena arena = {.at = memory + 8, .room = sizeof memory - 8};
    struct loop_options options = {
        .fibers = 3, .stack_size = STACK, .guard = count_guard};
    CHECK_EQ(loop_init(&loop, &arena, &options, SECONDS(1)), OK);
    guards = 0;
    int count = 0;
    for (int i = 0; i < 5; i++) {
        start(count_up, &count);
        start(count_up, &count);
        run();
    }
    CHECK_EQ(count, 20);
    CHECK_EQ(guards, 2);
}

static void an_arena_too_small_is_refused(void)
{
    struct arena arena = {.at = memory, .room = (size_t)3 * STACK};
    struct loop_options options = {.fibers = 4, .stack_size = STACK};
    CHECK_EQ(loop_init(&loop, &arena, &options, 0), ERR_FULL);
}

static struct loop_task first_task, second_task;
static int again;

static void run_first(struct loop_task *task)
{
    CHECK(task == &first_task);
    CHECK(loop.current == NULL);
    note('1');
    if (again-- > 0)
        loop_defer(&loop, task);
}

static void run_second(struct loop_task *task)
{
    CHECK(task == &second_task);
    note('2');
    loop_defer(&loop, &first_task);
}

static void defer_both(void *argument)
{
    (void)argument;
    loop_defer(&loop, &first_task);
    loop_defer(&loop, &first_task);
    note('f');
}

static void deferred_tasks_run_once_at_the_end_of_the_round(void)
{
    set_up(1);
    first_task = (struct loop_task){.run = run_first};
    again = 0;
    start(defer_both, NULL);
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_STRING(trace, "f1");
    loop_round(&loop, loop.now);
    CHECK_STRING(trace, "f1");
}

static void a_task_that_defers_itself_runs_again_in_the_next_round(void)
{
    set_up(1);
    first_task = (struct loop_task){.run = run_first};
    second_task = (struct loop_task){.run = run_second};
    again = 1;
    loop_defer(&loop, &first_task);
    loop_defer(&loop, &second_task);
    CHECK_EQ(loop_round(&loop, loop.now), loop.now);
    CHECK_STRING(trace, "12");
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_STRING(trace, "121");
}

static void a_task_that_another_defers_still_has_its_turn_in_the_round(void)
{
    set_up(1);
    first_task = (struct loop_task){.run = run_first};
    second_task = (struct loop_task){.run = run_second};
    again = 0;
    loop_defer(&loop, &second_task);
    CHECK_EQ(loop_round(&loop, loop.now), TIME_NEVER);
    CHECK_STRING(trace, "21");
}

/* Registers and locals survive switches: many fibers compute in turn. */
struct sum {
    unsigned seed;
    unsigned long result;
};

static void add_up(void *argument)
{
    struct sum *sum = (struct sum *)argument;
    unsigned long a = sum->seed, b = a * 3, c = a * 5, d = a * 7, e = a * 11;
    double x = (double)a;
    for (int i = 0; i < 50; i++) {
        a += b ^ c;
        b += c ^ d;
        c += d ^ e;
        d += e ^ a;
        e += a ^ b;
        x = x * 1.5 + 1;
        if (fiber_sleep(&loop, 0) != OK)
            return;
    }
    sum->result = a ^ b ^ c ^ d ^ e ^ (unsigned long)(x / 1e9);
}

static void what_a_fiber_computes_does_not_depend_on_the_others(void)
{
    struct sum alone[16], together[16];
    set_up(16);
    for (unsigned i = 0; i < 16; i++) {
        alone[i] = together[i] = (struct sum){.seed = i + 1};
        start(add_up, &alone[i]);
        run();
    }
    for (int i = 0; i < 16; i++)
        start(add_up, &together[i]);
    run();
    for (int i = 0; i < 16; i++)
        CHECK_EQ(together[i].result, alone[i].result);
}

static void check_alignment(void *argument)
{
    /* movaps on the stack faults where the start of it is not aligned. */
    _Alignas(16) volatile char aligned[16];
    aligned[0] = 1;
    *(uintptr_t *)argument = (uintptr_t)aligned % 16;
}

static void stacks_start_aligned(void)
{
    uintptr_t off = 1;
    set_up(1);
    start(check_alignment, &off);
    run();
    CHECK_EQ(off, 0);
}

static void overflow(void *argument)
{
    (void)argument;
    memset(loop.current->stack, 0, 8);
    outcome = fiber_sleep(&loop, 0);
}

static void a_fiber_that_overflows_its_stack_does_not_get_away(void)
{
    set_up(1);
    start(overflow, NULL);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)close(STDERR_FILENO);
        run();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    RUN(fibers_run_in_turn);
    RUN(a_round_runs_each_ready_fiber_once);
    RUN(a_wait_ends_when_woken);
    RUN(a_wake_before_the_wait_ends_it_at_once);
    RUN(wakes_do_not_count);
    RUN(a_wait_ends_at_its_deadline_and_not_before);
    RUN(a_wait_whose_deadline_has_passed_times_out_at_once);
    RUN(a_wake_disarms_the_deadline);
    RUN(sleep_is_not_disturbed_by_wakes);
    RUN(a_wake_during_sleep_is_kept_for_the_next_wait);
    RUN(cancelling_ends_a_sleep_and_all_later_waits);
    RUN(a_fiber_cancelled_before_its_first_turn_still_runs);
    RUN(a_fiber_can_cancel_itself);
    RUN(join_waits_for_the_end);
    RUN(join_is_not_fooled_by_wakes);
    RUN(join_times_out);
    RUN(joining_a_fiber_that_has_ended_succeeds);
    RUN(a_full_table_refuses_and_counts);
    RUN(a_thousand_fibers_in_turn_reuse_one_stack);
    RUN(fibers_that_start_fibers_do_not_hold_up_time);
    RUN(a_fiber_woken_by_another_runs_in_the_same_round);
    RUN(each_stack_is_guarded_once);
    RUN(an_arena_too_small_is_refused);
    RUN(deferred_tasks_run_once_at_the_end_of_the_round);
    RUN(a_task_that_defers_itself_runs_again_in_the_next_round);
    RUN(a_task_that_another_defers_still_has_its_turn_in_the_round);
    RUN(what_a_fiber_computes_does_not_depend_on_the_others);
    RUN(stacks_start_aligned);
    RUN(a_fiber_that_overflows_its_stack_does_not_get_away);
    return test_result();
}
