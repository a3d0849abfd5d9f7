/*
 * Boot arguments: the command line a unikernel is started with.
 *
 * Solo5's interface hands over one string. We split it into words at blanks,
 * with quoting as in a shell reduced to its plain part: '...' takes all as it
 * is, "..." and a backslash outside quotes keep blanks together (inside "..."
 * a backslash escapes only " and itself). Then each word is an option
 * --name=value, --name value, --flag, or after `--` or not starting with -- an
 * operand, which is an error unless operands are declared.
 *
 * The generated main.c declares a table of options; bootargs_parse fills it.
 * An option --gateway is also known as --ipv4-gateway, as engines write it.
 *
 * `--help` lists the table and ends with status 63, a mistake names the
 * option, what is wrong and the nearest right one, and ends with 64.
 */
#ifndef BASE_BOOTARGS_H
#define BASE_BOOTARGS_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    BOOTARGS_WORDS = 128,  /* the most words on a command line */
    BOOTARGS_BYTES = 8192, /* the longest command line (Solo5: 8191) */

    BOOTARGS_EXIT_HELP = 63,
    BOOTARGS_EXIT_WRONG = 64,
};

enum bootarg_kind {
    BOOTARG_FLAG,     /* bool; --name, --name=true, --name=false, --no-name */
    BOOTARG_INT,      /* int64_t within min..max */
    BOOTARG_STRING,   /* const char * */
    BOOTARG_DURATION, /* uint64_t nanoseconds */
    BOOTARG_IPV4,     /* uint8_t[4]; "10.0.0.2" */
    BOOTARG_IPV4_NET, /* uint8_t[5]; "10.0.0.2/24", the last byte is 24 */
};

union bootarg_value {
    bool flag;
    int64_t integer;
    const char *string; /* lent by the bootargs' own copy of the command line */
    uint64_t duration;
    uint8_t ipv4[4];
    uint8_t ipv4_net[5];
};

struct bootarg {
    const char *name; /* without the dashes */
    enum bootarg_kind kind;
    bool given; /* set by bootargs_parse */
    const char *help;
    const char *placeholder; /* "PORT"; NULL for a usual one of the kind */
    const char *standard; /* default in the command line's notation, or NULL */
    int64_t min, max;     /* of a BOOTARG_INT; both 0 for no bounds */
    union bootarg_value value; /* set from the command line or the default */
};

struct bootargs {
    const char *program;
    const char *about; /* one sentence for --help, or NULL */
    struct bootarg *table;
    size_t count;
    /* Filled in by bootargs_parse. */
    char text[BOOTARGS_BYTES];
    char *words[BOOTARGS_WORDS];
    size_t word_count;
};

/*
 * Split `text` into words, which are then zero-terminated inside args->text.
 * False, with a message in `why`, if a quote is not closed or there are too
 * many bytes or words.
 */
MUST_USE bool bootargs_split(struct bootargs *args, struct bytes text,
                             struct writer *why);

/*
 * Split and parse `text`. Returns 0; or BOOTARGS_EXIT_HELP with the help text
 * in `out`; or BOOTARGS_EXIT_WRONG with a message in `out`, a line that begins
 * with the program's name. A table entry without a default that was not given
 * keeps a zero value and given == false.
 */
int bootargs_parse(struct bootargs *args, struct bytes text,
                   struct writer *out);

/* The entry called `name`, which must exist. */
const struct bootarg *bootargs_get(const struct bootargs *args,
                                   const char *name);

/*
 * How far apart two names are: insertions, deletions, replacements and swaps
 * of neighbours. For suggesting the nearest of several names.
 */
unsigned name_distance(const char *a, const char *b);

#endif
