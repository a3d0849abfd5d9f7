/*
 * Links: what frames go through between two devices, and what can happen to
 * them on the way.
 *
 *   device -> port.from (rate, faults, delay) -> switch -> port.to -> device
 */
#include "platform/sim/world.h"

#include <stdlib.h>

enum {
    HEADER = FATA_ETHERNET_HEADER_LEN,
    STANDARD_MTU = 1500,
    STANDARD_QUEUE = 1000,
    STANDARD_RX_QUEUE = 1024,
    STANDARD_TX_QUEUE = 1024,
    CORRUPT_BITS = 15,
    ETHERTYPE_ARP = 0x0806,
    MAC_PROBES = 8,
};

#define STANDARD_REORDER MILLISECONDS(1)

/* ---- frames */

void sim_frames_init(struct sim_frames *frames)
{
    frames->first = NULL;
    frames->last = &frames->first;
    frames->count = 0;
}

void sim_frames_put(struct sim_frames *frames, struct sim_frame *frame)
{
    frame->next = NULL;
    *frames->last = frame;
    frames->last = &frame->next;
    frames->count++;
}

struct sim_frame *sim_frames_take(struct sim_frames *frames)
{
    struct sim_frame *frame = frames->first;

    if (frame == NULL)
        return NULL;
    frames->first = frame->next;
    if (frames->first == NULL)
        frames->last = &frames->first;
    frames->count--;
    return frame;
}

static void frames_clear(struct sim_frames *frames)
{
    struct sim_frame *frame;

    while ((frame = sim_frames_take(frames)) != NULL)
        free(frame);
}

static struct sim_frame *frame_new(uint32_t len)
{
    struct sim_frame *frame =
        (struct sim_frame *)sim_alloc(sizeof *frame + len);

    frame->len = len;
    return frame;
}

static struct sim_frame *frame_copy(const struct sim_frame *frame)
{
    struct sim_frame *copy = frame_new(frame->len);

    memcpy(copy, frame, sizeof *frame + frame->len);
    copy->next = NULL;
    return copy;
}

static struct bytes frame_bytes(const struct sim_frame *frame)
{
    return bytes_of(frame->data, frame->len);
}

static void trace(struct sim_port *port, enum sim_event_kind kind,
                  const struct sim_frame *frame)
{
    const struct sim_options *options = &port->link->sim->options;

    if (options->trace != NULL)
        options->trace(options->context, kind, port->name, frame_bytes(frame));
}

static void drop(struct sim_port *port, enum sim_event_kind kind,
                 uint64_t *counter, struct sim_frame *frame)
{
    ++*counter;
    trace(port, kind, frame);
    free(frame);
}

/* ---- one direction of a port */

/*
 * Flip a burst of 1..15 neighbouring bits behind the Ethernet header: every
 * Internet checksum over them notices that, so that what arrives all the same
 * is a fault of the stack and not bad luck. ARP has no checksum (Ethernet's
 * protects it); with it corrupted, hosts would talk to strangers until their
 * tables expire.
 */
static void corrupt(struct sim_pipe *pipe, struct sim_frame *frame)
{
    struct prng *prng = &pipe->prng;

    if (frame->len <= HEADER ||
        (frame->data[12] << 8 | frame->data[13]) == ETHERTYPE_ARP)
        return;
    uint32_t bits = (frame->len - HEADER) * 8;
    uint32_t first = prng_below(prng, bits);
    uint32_t pattern = 1 | prng_below(prng, 1 << CORRUPT_BITS);
    for (uint32_t i = 0; i < CORRUPT_BITS && first + i < bits; i++) {
        uint32_t bit = first + i;
        if (pattern >> i & 1)
            frame->data[HEADER + bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
    pipe->port->link->counters.corrupted++;
    trace(pipe->port, SIM_CORRUPTED, frame);
}

static void pipe_arrived(struct sim_event *event)
{
    struct sim_frame *frame = CONTAINER_OF(event, struct sim_frame, event);

    frame->pipe->arrived(frame->pipe->port, frame);
}

static void pipe_delay(struct sim_pipe *pipe, struct sim_frame *frame)
{
    struct sim *sim = pipe->port->link->sim;
    const struct sim_faults *faults = &pipe->faults;
    uint64_t delay = faults->delay;

    if (faults->jitter > 0)
        delay = time_add(delay, prng_u64(&pipe->prng) % faults->jitter);
    if (prng_chance(&pipe->prng, faults->reorder_ppm)) {
        pipe->port->link->counters.reordered++;
        delay =
            time_add(delay, faults->reorder_delay == 0 ? STANDARD_REORDER
                                                       : faults->reorder_delay);
    }
    frame->event.fire = pipe_arrived;
    sim_schedule(sim, &frame->event, time_add(sim->now, delay));
}

/* One copy of a frame sets out. */
static void pipe_travel(struct sim_pipe *pipe, struct sim_frame *frame)
{
    struct sim_frames cut;

    if (!prng_chance(&pipe->prng, pipe->faults.corrupt_ppm)) {
        pipe_delay(pipe, frame);
        return;
    }
    /* Corrupted is what a device sends, with its checksums: no one after it
     * may compute them over the wrong bits. */
    sim_frames_init(&cut);
    sim_frame_segment(frame, &cut);
    corrupt(pipe, cut.first);
    while ((frame = sim_frames_take(&cut)) != NULL) {
        frame->pipe = pipe;
        pipe_delay(pipe, frame);
    }
}

static void pipe_depart(struct sim_pipe *pipe, struct sim_frame *frame)
{
    struct sim_counters *counters = &pipe->port->link->counters;

    if (prng_chance(&pipe->prng, pipe->faults.loss_ppm)) {
        drop(pipe->port, SIM_LOST, &counters->lost, frame);
        return;
    }
    if (prng_chance(&pipe->prng, pipe->faults.duplicate_ppm)) {
        counters->duplicated++;
        trace(pipe->port, SIM_DUPLICATED, frame);
        pipe_travel(pipe, frame_copy(frame));
    }
    pipe_travel(pipe, frame);
}

static void pipe_departed(struct sim_event *event)
{
    struct sim_frame *frame = CONTAINER_OF(event, struct sim_frame, event);

    frame->pipe->queued--;
    pipe_depart(frame->pipe, frame);
}

/* Has as many frames waiting for the rate as may. */
static bool pipe_full(const struct sim_pipe *pipe)
{
    uint32_t limit = pipe->faults.queue;

    if (limit == 0)
        limit = STANDARD_QUEUE;
    return pipe->faults.rate > 0 && pipe->queued >= limit;
}

static bool has_faults(const struct sim_faults *faults)
{
    return faults->loss_ppm > 0 || faults->duplicate_ppm > 0 ||
           faults->corrupt_ppm > 0 || faults->reorder_ppm > 0 ||
           faults->delay > 0 || faults->jitter > 0 || faults->rate > 0;
}

static void pipe_put(struct sim_pipe *pipe, struct sim_frame *frame)
{
    struct sim *sim = pipe->port->link->sim;

    frame->pipe = pipe;
    if (pipe->faults.rate == 0) {
        pipe_depart(pipe, frame);
        return;
    }
    if (pipe_full(pipe)) {
        drop(pipe->port, SIM_QUEUE_FULL, &pipe->port->link->counters.queue_full,
             frame);
        return;
    }
    uint64_t takes = SECONDS(frame->len * 8ULL) / pipe->faults.rate;
    if (pipe->busy_until < sim->now)
        pipe->busy_until = sim->now;
    pipe->busy_until = time_add(pipe->busy_until, takes);
    pipe->queued++;
    frame->event.fire = pipe_departed;
    sim_schedule(sim, &frame->event, pipe->busy_until);
}

/* ---- the switch */

static bool mac_equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, 6) == 0;
}

/*
 * The place of an address: where it is, or else where it may go, which may
 * hold another one that is then forgotten.
 */
static struct sim_mac *find_mac(struct sim_link *link, const uint8_t *address)
{
    uint64_t hash = 0;

    for (int i = 0; i < 6; i++)
        hash = (hash ^ address[i]) * 0x100000001b3;
    hash ^= hash >> 32;
    for (uint32_t i = 0; i < MAC_PROBES; i++) {
        struct sim_mac *mac = &link->macs[(hash + i) % SIM_MACS];
        if (mac->port == NULL || mac_equal(mac->address, address))
            return mac;
    }
    return &link->macs[hash % SIM_MACS];
}

static void learn(struct sim_port *port, const uint8_t *address)
{
    struct sim_mac *mac = find_mac(port->link, address);

    memcpy(mac->address, address, sizeof mac->address);
    mac->port = port;
}

static struct sim_port *port_of_entry(struct list *entry)
{
    return CONTAINER_OF(entry, struct sim_port, link_entry);
}

static void deliver(struct sim_port *port, struct sim_frame *frame);

/* Hand a frame to the cable of a port, in the form that its device takes. */
static void hand_over(struct sim_port *port, struct sim_frame *frame)
{
    struct sim_counters *counters = &port->link->counters;
    struct sim_frames cut;

    sim_frames_init(&cut);
    if (port->features & FATA_NETIF_RX_MERGED)
        sim_frames_put(&cut, frame);
    else
        sim_frame_segment(frame, &cut);
    while ((frame = sim_frames_take(&cut)) != NULL) {
        if (frame->gso_size == 0 && frame->len > port->mtu + (uint32_t)HEADER)
            drop(port, SIM_TOO_BIG, &counters->too_big, frame);
        else if (has_faults(&port->to.faults))
            pipe_put(&port->to, frame);
        else
            deliver(port, frame);
    }
}

static void flood(struct sim_port *from, struct sim_frame *frame)
{
    LIST_EACH(entry, &from->link->ports)
    {
        struct sim_port *port = port_of_entry(entry);
        if (port != from && port->plugged)
            hand_over(port, frame_copy(frame));
    }
    free(frame);
}

/* A frame has come through port.from: decide where it goes. */
static void forward(struct sim_port *from, struct sim_frame *frame)
{
    static const uint8_t group_bit = 1;
    struct sim_link *link = from->link;
    const uint8_t *destination = frame->data;

    if (link->capture != NULL)
        pcap_frame(link->capture, link->sim->now, frame_bytes(frame));
    if (link->port_count <= 2 || destination[0] & group_bit) {
        if (link->port_count > 2)
            learn(from, frame->data + 6);
        flood(from, frame);
        return;
    }
    learn(from, frame->data + 6);
    struct sim_mac *mac = find_mac(link, destination);
    if (mac->port == NULL || !mac_equal(mac->address, destination)) {
        flood(from, frame);
    } else if (mac->port == from || !mac->port->plugged) {
        free(frame);
    } else {
        hand_over(mac->port, frame);
    }
}

struct sim_link *sim_link_new(struct sim *sim,
                              const struct sim_link_options *options)
{
    struct sim_link *link = (struct sim_link *)sim_alloc(sizeof *link);

    link->sim = sim;
    link->mtu = STANDARD_MTU;
    if (options != NULL) {
        link->faults = options->faults;
        if (options->mtu != 0)
            link->mtu = options->mtu;
    }
    list_init(&link->ports);
    list_append(&sim->links, &link->entry);
    return link;
}

void sim_link_free(struct sim_link *link)
{
    for (struct list *entry = link->ports.next; entry != &link->ports;) {
        struct sim_port *port = port_of_entry(entry);
        entry = entry->next;
        frames_clear(&port->rx);
        frames_clear(&port->tx);
        free(port);
    }
    free(link);
}

void sim_link_capture(struct sim_link *link, FILE *file)
{
    link->capture = file;
    pcap_begin(file);
}

const struct sim_counters *sim_link_counters(const struct sim_link *link)
{
    return &link->counters;
}

/* ---- ports */

/* A frame has reached the end of its way. */
static void deliver(struct sim_port *port, struct sim_frame *frame)
{
    struct sim_link *link = port->link;

    if (!port->plugged) {
        free(frame);
        return;
    }
    if (port->receive == NULL && port->rx.count >= port->rx_limit) {
        drop(port, SIM_OVERRUN, &link->counters.overrun, frame);
        return;
    }
    link->counters.delivered++;
    trace(port, SIM_DELIVERED, frame);
    if (port->capture != NULL)
        pcap_frame(port->capture, link->sim->now, frame_bytes(frame));
    if (port->receive == NULL) {
        sim_frames_put(&port->rx, frame);
        return;
    }
    port->receive(port->context, frame_bytes(frame));
    free(frame);
}

static struct sim_port *port_new(struct sim_link *link, const char *name)
{
    struct sim_port *port = (struct sim_port *)sim_alloc(sizeof *port);
    struct sim *sim = link->sim;

    port->link = link;
    port->name = name;
    port->plugged = true;
    port->mtu = link->mtu;
    port->from = (struct sim_pipe){
        .port = port,
        .faults = link->faults,
        .prng = sim_stream(sim),
        .arrived = forward,
    };
    port->to = (struct sim_pipe){
        .port = port,
        .prng = sim_stream(sim),
        .arrived = deliver,
    };
    sim_frames_init(&port->rx);
    sim_frames_init(&port->tx);
    list_append(&link->ports, &port->link_entry);
    link->port_count++;
    return port;
}

struct sim_port *sim_port_new(struct sim_link *link, const char *name,
                              void (*receive)(void *context,
                                              struct bytes frame),
                              void *context)
{
    struct sim_port *port = port_new(link, name);

    assert(receive != NULL);
    port->receive = receive;
    port->context = context;
    return port;
}

static uint32_t usual(uint32_t given, uint32_t standard)
{
    if (given == 0)
        return standard;
    return given;
}

struct sim_port *sim_port_of_node(struct sim_link *link, struct sim_node *node,
                                  const struct sim_netif_options *options,
                                  uint8_t mac[6])
{
    static const uint8_t none[6];
    struct sim_port *port = port_new(link, node->name);

    port->node = node;
    port->mtu = (uint16_t)usual(options->mtu, link->mtu);
    port->features = options->features;
    port->rx_limit = usual(options->rx_queue, STANDARD_RX_QUEUE);
    port->tx_limit = usual(options->tx_queue, STANDARD_TX_QUEUE);
    port->refuse_ppm = options->refuse_ppm;

    memcpy(mac, options->mac, 6);
    if (mac_equal(mac, none)) {
        mac[0] = 2; /* locally administered */
        mac[3] = (uint8_t)(node->index >> 8);
        mac[4] = (uint8_t)node->index;
        mac[5] = (uint8_t)node->port_count;
    }
    node->port_count++;
    return port;
}

void sim_port_faults_from(struct sim_port *port,
                          const struct sim_faults *faults)
{
    port->from.faults = *faults;
}

void sim_port_faults_to(struct sim_port *port, const struct sim_faults *faults)
{
    port->to.faults = *faults;
}

void sim_port_plug(struct sim_port *port, bool plugged)
{
    port->plugged = plugged;
}

void sim_port_capture(struct sim_port *port, FILE *file)
{
    port->capture = file;
    pcap_begin(file);
}

/* A frame leaves its device. */
static void port_emit(struct sim_port *port, struct sim_frame *frame)
{
    struct sim_link *link = port->link;

    link->counters.sent++;
    trace(port, SIM_SENT, frame);
    if (port->capture != NULL)
        pcap_frame(port->capture, link->sim->now, frame_bytes(frame));
    if (!port->plugged) {
        free(frame);
        return;
    }
    uint32_t largest = link->mtu + (uint32_t)HEADER;
    if (frame->gso_size == 0 && frame->len > largest)
        drop(port, SIM_TOO_BIG, &link->counters.too_big, frame);
    else
        pipe_put(&port->from, frame);
}

void sim_port_send(struct sim_port *port, struct bytes frame)
{
    assert(frame.len >= HEADER && frame.len <= UINT16_MAX);
    struct sim_frame *copy = frame_new((uint32_t)frame.len);

    memcpy(copy->data, frame.at, frame.len);
    port_emit(port, copy);
}

enum err sim_port_transmit(struct sim_port *port,
                           const struct fata_frame *given)
{
    assert(given->checksum_offset == 0 ||
           port->features & FATA_NETIF_TX_CHECKSUM);
    assert(given->gso_size == 0 ||
           port->features &
               (given->ipv6 ? FATA_NETIF_TX_TCP6 : FATA_NETIF_TX_TCP4));
    if (port->tx.count >= port->tx_limit || pipe_full(&port->from) ||
        prng_chance(&port->from.prng, port->refuse_ppm)) {
        port->link->counters.queue_full++;
        return ERR_AGAIN;
    }

    struct sim_frame *frame = frame_new(given->len);
    struct writer w = writer_to(frame->data, frame->len);
    for (uint32_t i = 0; i < given->count; i++)
        put_bytes(&w, given->parts[i]);
    assert(!w.failed && w.len == given->len);
    frame->checksum_start = given->checksum_start;
    frame->checksum_offset = given->checksum_offset;
    frame->gso_size = given->gso_size;
    frame->header_len = given->header_len;
    frame->ipv6 = given->ipv6;
    /* Held until the flush: code that forgets it must not go unnoticed. */
    sim_frames_put(&port->tx, frame);
    return OK;
}

void sim_port_flush(struct sim_port *port)
{
    struct sim_frame *frame;

    while ((frame = sim_frames_take(&port->tx)) != NULL)
        port_emit(port, frame);
}

/* Copy a frame into packet buffers; NULL if there are not enough. */
static struct pbuf *to_pbufs(const struct sim_frame *frame,
                             struct pbuf_pool *pool)
{
    struct bytes bytes = frame_bytes(frame);
    struct pbuf *first = NULL;

    /* As real devices do: first into a large one, where it stays if that is
     * worth it. */
    if (frame->gso_size != 0)
        first = pbuf_take_large(pool);
    if (first != NULL) {
        (void)pbuf_append(first, bytes);
        first = pbuf_compact(first);
    } else {
        first = pbuf_take_copy(pool, bytes);
        if (first == NULL)
            return NULL;
    }
    if (frame->checksum_offset != 0)
        first->flags |= PBUF_CHECKSUM_GOOD;
    first->gso_size = frame->gso_size;
    return first;
}

size_t sim_port_take(struct sim_port *port, struct pbuf_pool *pool,
                     struct pbuf **packets, size_t max, uint64_t *no_buffer)
{
    size_t count = 0;
    struct sim_frame *frame;

    while (count < max && (frame = sim_frames_take(&port->rx)) != NULL) {
        packets[count] = to_pbufs(frame, pool);
        if (packets[count] != NULL)
            count++;
        else
            ++*no_buffer;
        free(frame);
    }
    return count;
}
