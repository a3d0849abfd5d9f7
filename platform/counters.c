/* Publishing counters: see counters.h, and abi/counters.h for the format. */
#include "base/small.h"

#include "platform/counters.h"

static_assert(FATA_CELL_WORD == 16 && FATA_CELL_NUMBER == 8 &&
                  FATA_CELL_ADDRESS == 24,
              "as fata/counters.h writes them");

void publisher_init(struct publisher *p, struct fata_env *env, void *page,
                    size_t size)
{
    *p = (struct publisher){.env = env};
    env->unseen = page == NULL || size <= sizeof(struct fata_counters_header);
    if (env->unseen)
        return;
    p->page = page;
    p->size = size;
    p->changed = true;
    p->tables_at = sizeof(struct fata_counters_header);
    p->page->size = (uint32_t)size;
    p->page->version = FATA_COUNTERS_VERSION;
    p->page->magic = FATA_COUNTERS_MAGIC;
}

/* From `place` in the page to its end. */
static struct writer writer_at(struct publisher *p, uint32_t place)
{
    return writer_to((uint8_t *)p->page + place, p->size - place);
}

static void put_word(struct writer *w, const char *word)
{
    put_bytes(w, bytes_of(word, strlen(word) + 1));
}

static void pad(struct writer *w)
{
    put_zeros(w, -w->len % 8);
}

/* The bytes of `count` words, with their zeroes. */
static struct bytes words_at(const char *words, uint32_t count)
{
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++)
        len += strlen(words + len) + 1;
    return bytes_of(words, len);
}

/* Give a group its place. False: the page is full, and it is not shown. */
static bool lay_out(struct publisher *p, struct fata_counters *group)
{
    struct writer w = writer_at(p, p->tables_at);
    struct bytes names = words_at(group->names, group->count);
    size_t text =
        strlen(group->group) + 1 + strlen(group->device) + 1 + names.len;

    size_t len = sizeof(uint64_t) * (2 + (text + 7) / 8 + group->count);
    if (len > w.room)
        return false;
    put_le32(&w, FATA_COUNTERS_GROUP);
    put_le32(&w, (uint32_t)len - 8);
    put_le32(&w, group->count);
    put_le32(&w, (uint32_t)text);
    put_word(&w, group->group);
    put_word(&w, group->device);
    put_bytes(&w, names);
    pad(&w);
    group->place = p->tables_at + (uint32_t)w.len;
    p->tables_at += (uint32_t)len;
    return true;
}

/* Groups registered since the last time go behind those that were. */
static void lay_out_new(struct publisher *p)
{
    struct fata_counters *group = p->env->counters;

    if (p->last != NULL)
        group = p->last->next;
    for (; group != NULL && lay_out(p, group); group = group->next)
        p->last = group;
}

static void publish_groups(struct publisher *p)
{
    const struct fata_counters *group = p->env->counters;

    for (; group != NULL && group->place != 0; group = group->next) {
        void *values = (uint8_t *)p->page + group->place;
        if (group->read != NULL)
            group->read(group->source, values);
        else
            memcpy(values, group->source, sizeof(uint64_t) * group->count);
    }
}

static uint32_t cell_len(char kind)
{
    switch (kind) {
    case FATA_COLUMN_WORD:
        return FATA_CELL_WORD;
    case FATA_COLUMN_ENDPOINT:
    case FATA_COLUMN_NETWORK:
        return FATA_CELL_ADDRESS;
    default:
        return FATA_CELL_NUMBER;
    }
}

/* Append a table, or nothing if not even its head fits. */
static void publish_table(struct writer *w, const struct fata_table *table)
{
    uint32_t row_len = 0, columns = 0;
    size_t start = w->len;

    const char *word = table->columns;
    for (; *word != 0; word += strlen(word) + 1) {
        row_len += cell_len(*word);
        columns++;
    }
    struct bytes text = words_at(table->columns, columns);
    put_zeros(w, 24);
    size_t text_at = w->len;
    put_word(w, table->name);
    put_word(w, table->device);
    put_bytes(w, text);
    size_t text_len = w->len - text_at;
    pad(w);
    if (w->failed) {
        w->failed = false;
        w->len = start;
        return;
    }
    struct fata_rows rows = {.to = *w, .row_len = row_len};
    size_t rows_at = w->len;
    table->rows(table->source, &rows);
    assert(!rows.to.failed);
    assert(rows.to.len - rows_at == (size_t)rows.count * row_len);
    w->len = rows.to.len;
    if (rows.total < rows.count)
        rows.total = rows.count;
    struct writer head = writer_to(w->at + start, 24);
    put_le32(&head, FATA_COUNTERS_TABLE);
    put_le32(&head, (uint32_t)(w->len - start - 8));
    put_le32(&head, rows.count);
    put_le32(&head, row_len);
    put_le32(&head, rows.total);
    put_le32(&head, (uint32_t)text_len);
}

static void publish_tables(struct publisher *p)
{
    struct writer w = writer_at(p, p->tables_at);

    for (const struct fata_table *table = p->env->tables; table != NULL;
         table = table->next)
        publish_table(&w, table);
    p->page->length = p->tables_at + (uint32_t)w.len -
                      (uint32_t)sizeof(struct fata_counters_header);
}

uint64_t publisher_publish(struct publisher *p, uint64_t now)
{
    struct fata_counters_header *page = p->page;
    uint32_t asked = __atomic_load_n(&page->asked, __ATOMIC_RELAXED);
    uint32_t sequence = page->sequence | 1;
    const struct fata_counters *last = p->last;
    /* Nothing has happened for a while, or somebody wants to know. */
    bool tables = !p->changed || asked != page->answered || last == NULL;

    __atomic_store_n(&page->sequence, sequence, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    lay_out_new(p);
    /* They lie where the tables were. */
    if (p->last != last)
        tables = true;
    publish_groups(p);
    if (tables) {
        publish_tables(p);
        page->answered = asked;
    }
    page->flags = tables ? 0 : FATA_COUNTERS_TABLES_OLD;
    page->published = now;
    __atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELEASE);

    p->changed = false;
    p->tables_old = !tables;
    p->due = time_add(now, PUBLISH_GAP);
    return p->tables_old ? p->due : TIME_NEVER;
}
