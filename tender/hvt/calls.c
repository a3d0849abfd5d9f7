/* Hypercalls: see calls.h. */
#define _GNU_SOURCE /* ppoll */ // NOLINT(bugprone-reserved-identifier)
#include "tender/hvt/calls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ = 4, WRITE = 2 }; /* as enum elf_flag has them */

#define SECOND UINT64_C(1000000000)

volatile sig_atomic_t calls_stop;

void calls_init(struct calls *calls, const struct guest *guest,
                const struct elf *elf, const union manifest *manifest)
{
    *calls = (struct calls){.guest = guest, .elf = elf, .manifest = manifest};
    for (uint32_t i = 1; i < manifest->count; i++) {
        const struct solo5_entry *entry = &manifest->entries[i];
        if (entry->type != SOLO5_DEVICE_NET || !entry->attached)
            continue;
        calls->handles[calls->count] = (uint8_t)i;
        calls->polled[calls->count++] =
            (struct pollfd){.fd = entry->hostfd, .events = POLLIN};
    }
    (void)sigprocmask(SIG_BLOCK, NULL, &calls->awake);
    (void)sigdelset(&calls->awake, SIGTERM);
    (void)sigdelset(&calls->awake, SIGINT);
    (void)sigdelset(&calls->awake, SIGIO);
}

static enum calls_end bad(struct calls *calls, const char *what,
                          uint64_t address, uint64_t len)
{
    (void)snprintf(calls->why, sizeof(calls->why), "%s: gpa=0x%llx, sz=%llu",
                   what, (unsigned long long)address, (unsigned long long)len);
    return CALLS_BAD;
}

/*
 * The guest's memory, if it is all there, and is the guest's to read (READ) or
 * to write to. Segments are protected from us as well, so that to touch one
 * without asking would be our own end.
 */
static uint8_t *at(struct calls *calls, uint64_t address, uint64_t len,
                   uint32_t right)
{
    uint8_t *memory = guest_at(calls->guest, address, len);

    for (size_t i = 0; memory != NULL && i < calls->elf->count; i++) {
        const struct elf_segment *segment = &calls->elf->segments[i];
        uint32_t flags = segment->flags;
        if (flags & ELF_EXECUTE)
            flags |= READ;
        if ((flags & right) == 0 && address < segment->end &&
            segment->start < address + len)
            memory = NULL;
    }
    if (memory == NULL)
        (void)bad(calls, "Invalid guest access", address, len);
    return memory;
}

/* The structure of a hypercall: from the guest, and with results back to it. */
static bool fetch(struct calls *calls, uint64_t address, void *to, size_t size)
{
    const uint8_t *from = at(calls, address, size, READ);

    /* Results are written later; what cannot be is not even begun. */
    if (from == NULL || at(calls, address, size, WRITE) == NULL)
        return false;
    memcpy(to, from, size);
    return true;
}

static void store(struct calls *calls, uint64_t address, const void *from,
                  size_t size)
{
    uint8_t *to = at(calls, address, size, WRITE);

    assert(to != NULL); /* fetch has looked */
    memcpy(to, from, size);
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

static enum calls_end do_walltime(struct calls *calls, uint64_t address)
{
    struct hvt_walltime call;
    struct timespec now;

    if (!fetch(calls, address, &call, sizeof(call)))
        return CALLS_BAD;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    call.ns = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
    store(calls, address, &call, sizeof(call));
    return CALLS_DONE;
}

static enum calls_end do_puts(struct calls *calls, uint64_t address)
{
    struct hvt_puts call;
    const uint8_t *from = at(calls, address, sizeof(call), READ);

    if (from == NULL)
        return CALLS_BAD;
    memcpy(&call, from, sizeof(call));
    from = at(calls, call.data, call.len, READ);
    if (from == NULL)
        return CALLS_BAD;
    /* A console that nobody reads any more is no reason to end. */
    for (uint64_t done = 0; done < call.len;) {
        ssize_t n = write(STDOUT_FILENO, from + done, call.len - done);
        if (n <= 0 && errno != EINTR)
            break;
        if (n > 0)
            done += (uint64_t)n;
    }
    return CALLS_DONE;
}

/* Wait for input; the set of handles that have some. */
static uint64_t wait_for(struct calls *calls, uint64_t timeout, int *count)
{
    struct timespec time = {.tv_sec = (time_t)(timeout / SECOND),
                            .tv_nsec = (long)(timeout % SECOND)};
    uint64_t ready = 0;

    if (calls_stop)
        time = (struct timespec){0};
    *count = ppoll(calls->polled, calls->count, &time, &calls->awake);
    for (nfds_t i = 0; *count > 0 && i < calls->count; i++)
        if (calls->polled[i].revents != 0)
            ready |= UINT64_C(1) << calls->handles[i];
    if (*count < 0) /* a signal */
        *count = 0;
    return ready;
}

static enum calls_end do_poll(struct calls *calls, uint64_t address)
{
    struct hvt_poll call;
    int count;

    if (!fetch(calls, address, &call, sizeof(call)))
        return CALLS_BAD;
    call.ready = wait_for(calls, call.timeout, &count);
    call.result = count;
    store(calls, address, &call, sizeof(call));
    return CALLS_DONE;
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

static enum calls_end do_block(struct calls *calls, uint64_t address,
                               uint32_t number)
{
    struct hvt_block call;
    uint32_t right = number == HVT_BLOCK_WRITE ? READ : WRITE;

    if (!fetch(calls, address, &call, sizeof(call)))
        return CALLS_BAD;
    const struct solo5_entry *entry =
        device(calls, call.handle, SOLO5_DEVICE_BLOCK);
    call.result = HVT_INVALID;
    if (entry != NULL && number == HVT_BLOCK_FLUSH) {
        call.result = fdatasync(entry->hostfd) == 0 ? HVT_OK : HVT_ERROR;
    } else if (entry != NULL && call.len <= entry->block.capacity &&
               call.offset <= entry->block.capacity - call.len) {
        uint8_t *memory = at(calls, call.data, call.len, right);
        if (memory == NULL)
            return CALLS_BAD;
        call.result = transfer(entry, call.offset, memory, call.len,
                               number == HVT_BLOCK_WRITE);
    }
    store(calls, address, &call, sizeof(call));
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

static enum calls_end do_net(struct calls *calls, uint64_t address, bool writes)
{
    struct hvt_net call;

    if (!fetch(calls, address, &call, sizeof(call)))
        return CALLS_BAD;
    const struct solo5_entry *entry =
        device(calls, call.handle, SOLO5_DEVICE_NET);
    call.result = HVT_INVALID;
    if (entry != NULL) {
        uint8_t *memory = at(calls, call.data, call.len, writes ? READ : WRITE);
        ssize_t n;
        if (memory == NULL)
            return CALLS_BAD;
        if (writes)
            n = write(entry->hostfd, memory, call.len);
        else
            n = read(entry->hostfd, memory, call.len);
        call.result = outcome(n);
        if (!writes && n > 0)
            call.len = (uint64_t)n;
    }
    store(calls, address, &call, sizeof(call));
    return CALLS_DONE;
}

static enum calls_end do_halt(struct calls *calls, uint64_t address)
{
    struct hvt_halt call;
    const uint8_t *from = at(calls, address, sizeof(call), READ);

    if (from == NULL)
        return CALLS_BAD;
    memcpy(&call, from, sizeof(call));
    calls->status = call.status & 0xff;
    if (call.cookie != 0) {
        from = at(calls, call.cookie, HVT_COOKIE, READ);
        if (from == NULL)
            return CALLS_BAD;
        memcpy(&calls->trap, from, sizeof(calls->trap));
        calls->has_trap = true;
    }
    return CALLS_HALT;
}

/* --- Rings --- */

/* A ring of the guest's, and the slots in it that are not taken yet. */
struct ring {
    uint8_t *memory;
    uint32_t taken, left;
};

static bool ring_open(struct calls *calls, struct ring *ring, uint64_t address)
{
    struct hvt_ring *header = NULL; /* for its fields' places alone */
    uint32_t given;

    *ring = (struct ring){0};
    if (address == 0)
        return true;
    if (at(calls, address, sizeof(*header), READ) == NULL)
        return false;
    ring->memory = at(calls, address, sizeof(*header), WRITE);
    if (ring->memory == NULL)
        return false;
    memcpy(&given, ring->memory + offsetof(struct hvt_ring, given),
           sizeof(given));
    memcpy(&ring->taken, ring->memory + offsetof(struct hvt_ring, taken),
           sizeof(ring->taken));
    ring->left = given - ring->taken;
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
                (void)bad(calls, "Unfinished frame", count, 0);
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
            /* A queue that is full has room again: the guest tries again. */
            if (n < 0 && errno == EAGAIN)
                return true;
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

static enum calls_end do_exchange(struct calls *calls, uint64_t address)
{
    struct hvt_exchange call;
    struct ring sent, received;

    if (!fetch(calls, address, &call, sizeof(call)) ||
        !ring_open(calls, &sent, call.send) ||
        !ring_open(calls, &received, call.receive) || !send_all(calls, &sent))
        return CALLS_BAD;
    uint32_t room = received.left;
    call.ready = 0;
    if (!receive_all(calls, &received, &call.ready))
        return CALLS_BAD;
    int count;
    if (received.left == room && call.timeout != HVT_NO_WAIT)
        call.ready = wait_for(calls, call.timeout, &count);
    call.told = calls_stop ? HVT_STOP : 0;
    store(calls, address, &call, sizeof(call));
    return CALLS_DONE;
}

enum calls_end calls_do(struct calls *calls, uint32_t number, uint64_t address)
{
    switch (number) {
    case HVT_WALLTIME:
        return do_walltime(calls, address);
    case HVT_PUTS:
        return do_puts(calls, address);
    case HVT_POLL:
        return do_poll(calls, address);
    case HVT_BLOCK_WRITE:
    case HVT_BLOCK_READ:
        return do_block(calls, address, number);
    case HVT_NET_WRITE:
    case HVT_NET_READ:
        return do_net(calls, address, number == HVT_NET_WRITE);
    case HVT_HALT:
        return do_halt(calls, address);
    default:
        break;
    }
    if (calls->extended && number == HVT_EXCHANGE)
        return do_exchange(calls, address);
    if (calls->extended && number == HVT_BLOCK_FLUSH)
        return do_block(calls, address, number);
    (void)snprintf(calls->why, sizeof(calls->why),
                   "Invalid guest hypercall: num=%u", (unsigned)number);
    return CALLS_BAD;
}
