/* Reading a page of counters: see snapshot.h. */
#include "tool/snapshot.h"

uint32_t snapshot_cell_len(char kind)
{
    switch (kind) {
    case FATA_COLUMN_WORD:
        return FATA_CELL_WORD;
    case FATA_COLUMN_NUMBER:
    case FATA_COLUMN_TIME:
        return FATA_CELL_NUMBER;
    case FATA_COLUMN_ENDPOINT:
    case FATA_COLUMN_NETWORK:
        return FATA_CELL_ADDRESS;
    default:
        return 0;
    }
}

static bool is_word_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Take a word and its zero; NULL if there is none. */
static const char *get_word(struct reader *r)
{
    const uint8_t *start = r->rest.at;

    for (size_t i = 0; i < r->rest.len && i <= FATA_COUNTERS_WORD_MAX; i++) {
        if (start[i] == 0) {
            (void)get_bytes(r, i + 1);
            return (const char *)start;
        }
        if (!is_word_byte(start[i]))
            break;
    }
    *r = (struct reader){.failed = true};
    return NULL;
}

static void get_text(struct reader *r, struct snapshot_record *record,
                     uint32_t len)
{
    struct reader text = reader_of(get_bytes(r, len));

    (void)get_bytes(r, -(size_t)len % 8);
    record->name = get_word(&text);
    record->device = get_word(&text);
    record->words = (const char *)text.rest.at;
    while (text.rest.len > 0) {
        const char *word = get_word(&text);
        if (word == NULL || word[0] == 0)
            break;
        record->count++;
    }
    if (text.failed || text.rest.len > 0 || record->name[0] == 0)
        r->failed = true;
}

/* Words in cells are words, and end with zeroes only. */
static bool is_good_cell(char kind, struct bytes cell)
{
    size_t i = 0;

    if (kind == FATA_COLUMN_NETWORK)
        return cell.at[16] <= 128;
    if (kind != FATA_COLUMN_WORD)
        return true;
    while (i < cell.len && is_word_byte(cell.at[i]))
        i++;
    while (i < cell.len && cell.at[i] == 0)
        i++;
    return i == cell.len;
}

static bool are_good_rows(const struct snapshot_record *record)
{
    struct reader r = reader_of(record->data);
    uint64_t row_len = 0;
    const char *word = record->words;

    for (uint32_t i = 0; i < record->count; i++) {
        uint32_t len = snapshot_cell_len(word[0]);
        if (len == 0 || word[1] == 0)
            return false;
        row_len += len;
        word = snapshot_word_after(word);
    }
    if (row_len == 0 || row_len != record->row_len ||
        record->rows > record->total ||
        (uint64_t)record->rows * row_len != record->data.len)
        return false;
    while (r.rest.len > 0) {
        word = record->words;
        for (uint32_t i = 0; i < record->count; i++) {
            struct bytes cell = get_bytes(&r, snapshot_cell_len(word[0]));
            if (!is_good_cell(word[0], cell))
                return false;
            word = snapshot_word_after(word);
        }
    }
    return true;
}

static bool parse_record(struct snapshot_record *record, uint32_t tag,
                         struct bytes contents)
{
    struct reader r = reader_of(contents);
    uint32_t count = 0;

    *record = (struct snapshot_record){.tag = tag};
    if (tag == FATA_COUNTERS_GROUP) {
        count = get_le32(&r);
    } else {
        record->rows = get_le32(&r);
        record->row_len = get_le32(&r);
        record->total = get_le32(&r);
    }
    get_text(&r, record, get_le32(&r));
    if (r.failed)
        return false;
    record->data = r.rest;
    if (tag == FATA_COUNTERS_GROUP)
        return record->count == count &&
               r.rest.len == (size_t)count * FATA_CELL_NUMBER;
    return are_good_rows(record);
}

/* Take the next record that is known. False at the end, or if it is wrong. */
static bool get_record(struct reader *from, struct snapshot_record *record,
                       bool *wrong)
{
    while (from->rest.len > 0) {
        uint32_t tag = get_le32(from);
        uint32_t len = get_le32(from);
        struct bytes contents = get_bytes(from, len);
        (void)get_bytes(from, -(size_t)len % 8);
        *wrong = from->failed;
        if (tag == FATA_COUNTERS_GROUP || tag == FATA_COUNTERS_TABLE)
            *wrong = *wrong || !parse_record(record, tag, contents);
        else if (!*wrong)
            continue;
        return !*wrong;
    }
    return false;
}

bool snapshot_open(struct snapshot *s, struct bytes copy, const char **why)
{
    struct reader r = reader_of(copy);
    struct snapshot_record record;
    bool wrong = false;

    *s = (struct snapshot){0};
    uint64_t magic = get_le64(&r);
    uint32_t version = get_le32(&r);
    (void)get_le32(&r);
    s->sequence = get_le32(&r);
    uint32_t length = get_le32(&r);
    s->published = get_le64(&r);
    s->answered = get_le32(&r);
    s->tables_old = (get_le32(&r) & FATA_COUNTERS_TABLES_OLD) != 0;
    s->asked = get_le32(&r);
    (void)get_bytes(&r, 20);
    struct bytes records = get_bytes(&r, length);
    *why = "what it shows makes no sense: it is broken, or in foreign hands";
    if (!r.failed && magic == 0 && s->sequence == 0)
        *why = "it has not shown anything yet: try again in a moment";
    else if (!r.failed && magic == FATA_COUNTERS_MAGIC &&
             version != FATA_COUNTERS_VERSION)
        *why = "its counters have a format of another version of Fata";
    if (r.failed || magic != FATA_COUNTERS_MAGIC ||
        version != FATA_COUNTERS_VERSION)
        return false;
    s->rest = reader_of(records);
    struct reader all = s->rest;
    while (get_record(&all, &record, &wrong))
        ;
    return !wrong;
}

bool snapshot_next(struct snapshot *s, struct snapshot_record *record)
{
    bool wrong = false;

    return get_record(&s->rest, record, &wrong);
}
