/* Programs of the build, filled in: see cage.h. */
#include "tender/spt/cage.h"

bool cage_quickly(struct filter *f, const struct cage *cage)
{
    uint32_t descriptors[CAGE_TABLES] = {(uint32_t)cage->epollfd};
    uint32_t count = 1;

    if (!cage->waits || cage->thread == 0 || !cage->guards)
        return cage_make(f, cage);
    for (uint32_t i = 1; i < cage->handles; i++) {
        const struct solo5_entry *entry = cage->devices[i].entry;
        if (!entry->attached)
            continue;
        if (entry->type != SOLO5_DEVICE_NET || count == CAGE_TABLES ||
            cage->devices[i].rings.tx != NULL)
            return cage_make(f, cage);
        descriptors[count++] = (uint32_t)entry->hostfd;
    }
    const struct cage_table *table = &cage_tables[count - 1];
    f->count = table->count;
    for (uint16_t i = 0; i < f->count; i++) {
        f->code[i] = table->code[i];
        uint32_t which = f->code[i].k - CAGE_NO_DESCRIPTOR;
        if (which < count)
            f->code[i].k = descriptors[which];
    }
    return true;
}
