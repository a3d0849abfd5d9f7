/*
 * Whatever command line comes, its words lie within the copy of it and hold no
 * zero bytes; quoted and split again they are the same. Parsing them ends with
 * one of three statuses, and a mistake always with a message.
 */
#include "base/bootargs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct bootarg table[] = {
    {.name = "verbose", .kind = BOOTARG_FLAG, .help = "flag"},
    {.name = "count", .kind = BOOTARG_INT, .help = "int", .min = 1, .max = 9},
    {.name = "name", .kind = BOOTARG_STRING, .help = "string"},
    {.name = "pause", .kind = BOOTARG_DURATION, .help = "duration"},
    {.name = "gateway", .kind = BOOTARG_IPV4, .help = "address"},
    {.name = "ipv4", .kind = BOOTARG_IPV4_NET, .help = "network"},
};

static struct bootargs first, second;
static uint8_t text[4 * BOOTARGS_BYTES + 4 * BOOTARGS_WORDS];
static uint8_t message[4 * BOOTARGS_BYTES];

/* The word in '...', where each ' is written '\''. */
static void put_quoted(struct writer *w, const char *word)
{
    put_u8(w, '\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            put_bytes(w, TEXT("'\\''"));
        else
            put_u8(w, (uint8_t)*word);
    }
    put_bytes(w, TEXT("' "));
}

static void check_words(struct bytes input)
{
    struct writer why = WRITER(message);
    struct writer quoted = WRITER(text);

    if (!bootargs_split(&first, input, &why)) {
        assert(why.len > 0 && !why.failed);
        return;
    }
    assert(first.word_count <= BOOTARGS_WORDS);
    const char *end = first.text;
    for (size_t i = 0; i < first.word_count; i++) {
        /* They follow each other without a gap: no zero is inside one. */
        assert(first.words[i] == end);
        end += strlen(first.words[i]) + 1;
        assert(end <= first.text + BOOTARGS_BYTES);
        put_quoted(&quoted, first.words[i]);
    }
    if (quoted.failed || quoted.len >= BOOTARGS_BYTES)
        return;

    bool again = bootargs_split(&second, written(&quoted), &why);
    assert(again && second.word_count == first.word_count);
    for (size_t i = 0; i < first.word_count; i++)
        assert(strcmp(first.words[i], second.words[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct writer out = WRITER(message);

    check_words(bytes_of(data, len));

    first.program = "fuzz";
    first.table = table;
    first.count = COUNT_OF(table);
    int status = bootargs_parse(&first, bytes_of(data, len), &out);
    assert(status == 0 || status == BOOTARGS_EXIT_HELP ||
           status == BOOTARGS_EXIT_WRONG);
    assert((status == 0) == (out.len == 0) && !out.failed);
    const struct bootarg *count = bootargs_get(&first, "count");
    if (status == 0 && count->given)
        assert(count->value.integer >= 1 && count->value.integer <= 9);
    return 0;
}
