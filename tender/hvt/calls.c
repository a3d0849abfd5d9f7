/* Hypercalls: see calls.h. */
#define _GNU_SOURCE /* ppoll */ // NOLINT(bugprone-reserved-identifier)
#include "tender/hvt/calls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ = ELF_READ, WRITE = ELF_WRITE };

#define SECOND UINT64_C(1000000000)

volatile sig_atomic_t calls_stop;

void calls_init(struct calls *calls, const struct guest *guest,
                const union manifest *manifest)
{
    *calls = (struct calls){.guest = guest, .manifest = manifest};
    for (uint32_t i = 1; i < manifest->count; i++) {
        const struct solo5_entry *entry = &manifest->entries[i];
        if (entry->type != SOLO5_DEVICE_NET || !entry->attached)
            continue;
        calls->handles[calls->count] = (uint8_t)i;
        calls->polled[calls->count++] = (struct pollfd){.fd = entry->hostfd};
    }
    (void)sigprocmask(SIG_BLOCK, NULL, &calls->awake);
    (void)sigdelset(&calls->awake, SIGTERM);
    (void)sigdelset(&calls->awake, SIGINT);
    (void)sigdelset(&calls->awake, SIGIO);
}

/*
 * The guest's memory, if it is all there, and is the guest's by these rights.
 * Segments are protected from us as well, so that to touch one without asking
 * would be our own end.
 */
static uint8_t *at(struct calls *calls, uint64_t address, uint64_t len,
                   uint32_t rights)
{
    uint8_t *memory = guest_may(calls->guest, address, len, rights);

    if (memory == NULL)
        (void)snprintf(calls->why, sizeof(calls->why),
                       "Invalid guest access: gpa=0x%llx, sz=%llu",
                       (unsigned long long)address, (unsigned long long)len);
    return memory;
}

/* The attached device `handle` of this type, or NULL. */
static const struct solo5_entry *device(const struct calls *calls,
                                        uint64_t handle, uint32_t type)
{
    if (handle == 0 || handle >= calls->manifest->count ||
        calls->manifest->entries[handle].type != type ||
        !calls->manifest->entries[handle].attached)
        return NULL;
    return &calls->manifest->entries[handle];
}

/*
 * Wait until a write to the console does not block, in which no signal could
 * come; once an end is asked for what is not taken at once is lost.
 */
static bool console_takes(const struct calls *calls)
{
    struct pollfd console = {.fd = STDOUT_FILENO, .events = POLLOUT};
    static const struct timespec none;
    int count;

    do
        count = ppoll(&console, 1, calls_stop ? &none : NULL, &calls->awake);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

/* A console that nobody reads any more is no reason to end. */
static enum calls_end do_puts(struct calls *calls, const struct hvt_puts *call)
{
    const uint8_t *from = at(calls, call->data, call->len, READ);
    ssize_t n = 1;

    if (from == NULL)
        return CALLS_BAD;
    for (uint64_t done = 0; done < call->len && n > 0; done += (uint64_t)n) {
        uint64_t len = call->len - done;
        /* A pipe that takes anything takes as much. */
        if (len > PIPE_BUF)
            len = PIPE_BUF;
        n = console_takes(calls) ? write(STDOUT_FILENO, from + done, len) : 0;
    }
    return CALLS_DONE;
}

/*
 * Wait for input; the set of handles that have some. Or until the queue of the
 * device `full`, if there is one, has room again.
 */
static uint64_t wait_for(struct calls *calls, uint64_t timeout, uint32_t full)
{
    struct timespec time = {.tv_sec = (time_t)(timeout / SECOND),
                            .tv_nsec = (long)(timeout % SECOND)};
    uint64_t ready = 0;

    if (calls_stop)
        time = (struct timespec){0};
    for (nfds_t i = 0; i < calls->count; i++)
        calls->polled[i].events =
            (short)(calls->handles[i] == full ? POLLIN | POLLOUT : POLLIN);
    int count = ppoll(calls->polled, calls->count, &time, &calls->awake);
    for (nfds_t i = 0; count > 0 && i < calls->count; i++)
        if ((calls->polled[i].revents & ~POLLOUT) != 0)
            ready |= UINT64_C(1) << calls->handles[i];
    return ready;
}

static int32_t transfer(const struct solo5_entry *entry, uint64_t offset,
                        uint8_t *memory, uint64_t len, bool writes)
{
    for (uint64_t done = 0; done < len;) {
        ssize_t n;
        if (writes)
            n = pwrite(entry->hostfd, memory + done, len - done,
                       (off_t)(offset + done));
        else
            n = pread(entry->hostfd, memory + done, len - done,
                      (off_t)(offset + done));
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return HVT_ERROR;
        if (n > 0)
            done += (uint64_t)n;
    }
    return HVT_OK;
}

static enum calls_end do_block(struct calls *calls, struct hvt_block *call,
                               uint32_t number)
{
    const struct solo5_entry *entry =
        device(calls, call->handle, SOLO5_DEVICE_BLOCK);
    bool writes = number == HVT_BLOCK_WRITE;

    call->result = HVT_INVALID;
    if (entry != NULL && number == HVT_BLOCK_FLUSH) {
        call->result = fdatasync(entry->hostfd) == 0 ? HVT_OK : HVT_ERROR;
    } else if (entry != NULL && call->len <= entry->block.capacity &&
               call->offset <= entry->block.capacity - call->len) {
        uint8_t *memory =
            at(calls, call->data, call->len, writes ? READ : WRITE);
        if (memory == NULL)
            return CALLS_BAD;
        call->result = transfer(entry, call->offset, memory, call->len, writes);
    }
    return CALLS_DONE;
}

/* What became of a frame, by what the system call has returned. */
static uint8_t outcome(ssize_t n)
{
    if (n > 0)
        return HVT_OK;
    if (n == 0)
        return HVT_ERROR;
    switch (errno) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS:
    case ENOMEM:
    case EINVAL: /* the host does not like what is in the frame */
    case EIO:    /* a tap interface that is down, perhaps for a while */
        return HVT_AGAIN;
    default:
        return HVT_ERROR;
    }
}

static enum calls_end do_net(struct calls *calls, struct hvt_net *call,
                             bool writes)
{
    const struct solo5_entry *entry =
        device(calls, call->handle, SOLO5_DEVICE_NET);
    ssize_t n;

    call->result = HVT_INVALID;
    if (entry == NULL)
        return CALLS_DONE;
    uint8_t *memory = at(calls, call->data, call->len, writes ? READ : WRITE);
    if (memory == NULL)
        return CALLS_BAD;
    if (writes)
        n = write(entry->hostfd, memory, call->len);
    else
        n = read(entry->hostfd, memory, call->len);
    call->result = outcome(n);
    if (!writes && n > 0)
        call->len = (uint64_t)n;
    return CALLS_DONE;
}

static enum calls_end do_halt(struct calls *calls, const struct hvt_halt *call)
{
    calls->status = call->status & 0xff;
    calls->has_trap = call->cookie != 0;
    if (calls->has_trap) {
        const uint8_t *from = at(calls, call->cookie, HVT_COOKIE, READ);
        if (from == NULL)
            return CALLS_BAD;
        memcpy(&calls->trap, from, sizeof(calls->trap));
    }
    return CALLS_HALT;
}

/* --- Rings --- */

/* A ring of the guest's, and the slots in it that are not taken yet. */
struct ring {
    uint8_t *memory;
    uint32_t taken, left;
    uint32_t full; /* device whose queue keeps the next one waiting, or 0 */
};

static bool ring_open(struct calls *calls, struct ring *ring, uint64_t address)
{
    uint32_t counts[2]; /* given, taken */

    *ring = (struct ring){0};
    if (address == 0)
        return true;
    ring->memory = at(calls, address, sizeof(struct hvt_ring), READ | WRITE);
    if (ring->memory == NULL)
        return false;
    memcpy(counts, ring->memory, sizeof(counts));
    ring->taken = counts[1];
    ring->left = counts[0] - counts[1];
    if (ring->left > HVT_RING)
        ring->left = HVT_RING;
    return true;
}

static uint8_t *slot_at(const struct ring *ring, uint32_t ahead)
{
    return ring->memory + offsetof(struct hvt_ring, slots) +
           (ring->taken + ahead) % HVT_RING * sizeof(struct hvt_slot);
}

static void ring_take(struct ring *ring, uint32_t count)
{
    ring->taken += count;
    ring->left -= count;
    memcpy(ring->memory + offsetof(struct hvt_ring, taken), &ring->taken,
           sizeof(ring->taken));
}

/*
 * The parts of the next frame to be sent. Returns how many slots they take; 0
 * if there is none, or no sense in it (then `why` is set).
 */
static uint32_t gather(struct calls *calls, const struct ring *ring,
                       struct iovec *parts, struct hvt_slot *last)
{
    uint32_t count = 0;

    do {
        if (count == ring->left || count == HVT_PARTS_MAX) {
            if (count > 0)
                (void)snprintf(calls->why, sizeof(calls->why),
                               "a frame of %u parts has no end",
                               (unsigned)count);
            return 0;
        }
        memcpy(last, slot_at(ring, count), sizeof(*last));
        uint8_t *memory = at(calls, last->data, last->len, READ);
        if (memory == NULL)
            return 0;
        parts[count++] =
            (struct iovec){.iov_base = memory, .iov_len = last->len};
    } while ((last->flags & HVT_MORE) != 0);
    return count;
}

/* False: there is no sense in the ring. */
static bool send_all(struct calls *calls, struct ring *ring)
{
    struct iovec parts[HVT_PARTS_MAX];
    struct hvt_slot slot;
    uint32_t count;

    calls->why[0] = 0;
    while ((count = gather(calls, ring, parts, &slot)) > 0) {
        const struct solo5_entry *entry =
            device(calls, slot.handle, SOLO5_DEVICE_NET);
        slot.result = HVT_INVALID;
        if (entry != NULL) {
            ssize_t n = writev(entry->hostfd, parts, (int)count);
            if (n < 0 && errno == EAGAIN) {
                ring->full = slot.handle;
                return true;
            }
            slot.result = outcome(n);
        }
        memcpy(slot_at(ring, count - 1), &slot, sizeof(slot));
        ring_take(ring, count);
    }
    return calls->why[0] == 0;
}

/* Read a frame to each slot; the handles of devices that had some. */
static bool receive_all(struct calls *calls, struct ring *ring, uint64_t *ready)
{
    struct hvt_slot slot;

    while (ring->left > 0) {
        memcpy(&slot, slot_at(ring, 0), sizeof(slot));
        const struct solo5_entry *entry =
            device(calls, slot.handle, SOLO5_DEVICE_NET);
        slot.result = HVT_INVALID;
        if (entry != NULL) {
            uint8_t *memory = at(calls, slot.data, slot.len, WRITE);
            if (memory == NULL)
                return false;
            ssize_t n = read(entry->hostfd, memory, slot.len);
            if (n < 0 && outcome(n) == HVT_AGAIN)
                break;
            slot.result = outcome(n);
            if (n > 0) {
                slot.len = (uint32_t)n;
                *ready |= UINT64_C(1) << slot.handle;
            }
        }
        memcpy(slot_at(ring, 0), &slot, sizeof(slot));
        ring_take(ring, 1);
    }
    return true;
}

static enum calls_end do_exchange(struct calls *calls,
                                  struct hvt_exchange *call)
{
    struct ring sent, received;

    if (!ring_open(calls, &sent, call->send) ||
        !ring_open(calls, &received, call->receive) || !send_all(calls, &sent))
        return CALLS_BAD;
    uint32_t room = received.left;
    call->ready = 0;
    if (!receive_all(calls, &received, &call->ready))
        return CALLS_BAD;
    if (received.left == room && call->timeout != HVT_NO_WAIT) {
        call->ready = wait_for(calls, call->timeout, sent.full);
        if (sent.full != 0 && !send_all(calls, &sent))
            return CALLS_BAD;
    }
    call->told = calls_stop ? HVT_STOP : 0;
    return CALLS_DONE;
}

union call {
    struct hvt_walltime walltime;
    struct hvt_puts puts;
    struct hvt_poll poll;
    struct hvt_block block;
    struct hvt_net net;
    struct hvt_halt halt;
    struct hvt_exchange exchange;
};

static enum calls_end act(struct calls *calls, uint32_t number,
                          union call *call)
{
    struct timespec now;

    switch (number) {
    case HVT_WALLTIME:
        (void)clock_gettime(CLOCK_REALTIME, &now);
        call->walltime.ns =
            (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
        return CALLS_DONE;
    case HVT_PUTS:
        return do_puts(calls, &call->puts);
    case HVT_POLL:
        call->poll.ready = wait_for(calls, call->poll.timeout, 0);
        call->poll.result = __builtin_popcountll(call->poll.ready);
        return CALLS_DONE;
    case HVT_NET_WRITE:
    case HVT_NET_READ:
        return do_net(calls, &call->net, number == HVT_NET_WRITE);
    case HVT_HALT:
        return do_halt(calls, &call->halt);
    case HVT_EXCHANGE:
        return do_exchange(calls, &call->exchange);
    default:
        return do_block(calls, &call->block, number);
    }
}

enum calls_end calls_do(struct calls *calls, uint32_t number, uint64_t address)
{
    /* Of the structures; those that have no result may be constants. */
    static const struct {
        uint8_t size, rights;
    } known[] = {
        [HVT_WALLTIME] = {sizeof(struct hvt_walltime), READ | WRITE},
        [HVT_PUTS] = {sizeof(struct hvt_puts), READ},
        [HVT_POLL] = {sizeof(struct hvt_poll), READ | WRITE},
        [HVT_BLOCK_WRITE] = {sizeof(struct hvt_block), READ | WRITE},
        [HVT_BLOCK_READ] = {sizeof(struct hvt_block), READ | WRITE},
        [HVT_NET_WRITE] = {sizeof(struct hvt_net), READ | WRITE},
        [HVT_NET_READ] = {sizeof(struct hvt_net), READ | WRITE},
        [HVT_HALT] = {sizeof(struct hvt_halt), READ},
        [HVT_EXCHANGE] = {sizeof(struct hvt_exchange), READ | WRITE},
        [HVT_BLOCK_FLUSH] = {sizeof(struct hvt_block), READ | WRITE},
    };
    union call call;

    if (number > HVT_BLOCK_FLUSH || known[number].size == 0 ||
        (number > HVT_HALT && !calls->extended)) {
        (void)snprintf(calls->why, sizeof(calls->why),
                       "Invalid guest hypercall: num=%u", (unsigned)number);
        return CALLS_BAD;
    }
    size_t size = known[number].size;
    uint8_t *structure = at(calls, address, size, known[number].rights);
    if (structure == NULL)
        return CALLS_BAD;
    memcpy(&call, structure, size);
    enum calls_end end = act(calls, number, &call);
    if (end == CALLS_DONE && (known[number].rights & WRITE) != 0)
        memcpy(structure, &call, size);
    return end;
}
