/* The manifest's devices, and frames with virtio-net headers: see solo5.h. */
#include "platform/solo5/solo5.h"

#include "platform/vnet.h"

static_assert((int)SOLO5_FRAME_MAX >= (int)VNET_LEN_LONG + (int)UINT16_MAX, "");

const struct solo5_entry *solo5_entry(const struct solo5_manifest *manifest,
                                      uint32_t handle, uint32_t type)
{
    assert(handle < manifest->count);
    const struct solo5_entry *entry = &manifest->entries[handle];
    assert(entry->type == type && entry->attached);
    return entry;
}

uint32_t solo5_find(const struct solo5_manifest *manifest, const char *name,
                    uint32_t type)
{
    for (uint32_t i = 1; i < manifest->count; i++) {
        const struct solo5_entry *entry = &manifest->entries[i];
        if (entry->type == type && entry->attached &&
            strcmp(entry->name, name) == 0)
            return i;
    }
    return 0;
}

enum err solo5_net_open(const struct solo5_manifest *manifest, const char *name,
                        struct platform_net_info *info, struct solo5_net *net)
{
    uint32_t handle = solo5_find(manifest, name, SOLO5_DEVICE_NET);

    if (handle == 0)
        return ERR_NOT_FOUND;
    const struct solo5_entry *entry =
        solo5_entry(manifest, handle, SOLO5_DEVICE_NET);
    *info = (struct platform_net_info){.handle = handle, .mtu = entry->net.mtu};
    memcpy(info->mac, entry->net.mac, sizeof(info->mac));
    *net = (struct solo5_net){.most = entry->net.mtu +
                                      (uint32_t)SOLO5_ETHERNET_HEADER};
    for (struct reader r = reader_of(solo5_answer(FATA_ANSWER_NET));
         r.rest.len > 0;) {
        uint8_t about = get_u8(&r);
        uint8_t header_len = get_u8(&r);
        (void)get_le16(&r);
        uint32_t features = get_le32(&r);
        if (about != handle || r.failed)
            continue;
        /* Unknown headers would be taken for frames. */
        if (header_len != 0 && header_len != VNET_LEN &&
            header_len != VNET_LEN_LONG)
            return ERR_IO;
        net->header = header_len;
        info->features = features;
        if ((features & FATA_NET_RX_MERGED) != 0)
            net->most = PBUF_LARGE_ROOM;
    }
    return OK;
}

enum err solo5_block_open(const struct solo5_manifest *manifest,
                          const char *name, struct platform_block_info *info)
{
    uint32_t handle = solo5_find(manifest, name, SOLO5_DEVICE_BLOCK);

    if (handle == 0)
        return ERR_NOT_FOUND;
    const struct solo5_entry *entry =
        solo5_entry(manifest, handle, SOLO5_DEVICE_BLOCK);
    struct reader r = reader_of(solo5_answer(FATA_ANSWER_BLOCK_READ_ONLY));
    *info = (struct platform_block_info){
        .handle = handle,
        .read_only = (get_le64(&r) >> handle & 1) != 0,
        .capacity = entry->block.capacity,
        .block_size = entry->block.block_size,
    };
    return OK;
}

void solo5_put_header(struct writer *w, const struct solo5_net *net,
                      struct bytes first,
                      const struct platform_net_offload *offload)
{
    if (net->header > 0)
        vnet_put(w, net->header, offload, first);
}

void solo5_put_frame(struct writer *w, const struct solo5_net *net,
                     const struct bytes *parts, size_t count,
                     const struct platform_net_offload *offload)
{
    solo5_put_header(w, net, parts[0], offload);
    for (size_t i = 0; i < count; i++)
        put_bytes(w, parts[i]);
    assert(!w->failed);
}

struct pbuf *solo5_piece_for(struct pbuf_pool *pool,
                             const struct solo5_net *net)
{
    if (net->most > PBUF_ROOM - PBUF_HEADROOM)
        return pbuf_take_large(pool);
    return pbuf_take(pool);
}

struct pbuf *solo5_packet_of(struct pbuf_pool *pool,
                             const struct solo5_net *net, struct pbuf *p,
                             const uint8_t *aside, size_t n)
{
    uint8_t bytes[VNET_LEN_LONG];
    size_t header = net->header;

    if (n <= header) { /* not even a frame */
        pbuf_give(p);
        return NULL;
    }
    if (p == NULL) {
        memcpy(bytes, aside, header);
        p = pbuf_take_copy(pool, bytes_of(aside + header, n - header));
        if (p == NULL)
            return NULL; /* lost, as on any network */
    } else {
        memcpy(bytes, p->at - header, header);
        p->len = (uint32_t)(n - header);
        if (pbuf_is_large(p))
            p = pbuf_compact(p);
    }
    if (header > 0 && !vnet_accept(bytes_of(bytes, header), p))
        vnet_void(p);
    return p;
}
