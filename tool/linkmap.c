/*
 * Reading a linker's map: see linkmap.h.
 *
 * The part we read looks like this; a long name has the rest on a line of its
 * own:
 *
 *     Linker script and memory map
 *
 *     .text           0x0000000000100000     0x1234
 *      .text.fmt_put  0x0000000000100000       0x51 fata/base/fmt.o
 *      .text.fmt_parse_duration
 *                     0x0000000000100051       0x7c fata/base/fmt.o
 *      *fill*         0x00000000001000cd        0x3
 */
#include "tool/linkmap.h"

#include <stdlib.h>
#include <string.h>

#define MAP_TITLE "\nLinker script and memory map\n"

/* A hexadecimal number at *at, which moves behind it; false if there is none */
static bool take_hex(const char **at, uint64_t *value)
{
    const char *s = *at + strspn(*at, " ");
    if (!starts_with(s, "0x"))
        return false;
    char *end;
    *value = strtoull(s, &end, 16);
    *at = end;
    return true;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return strcmp(x->object, y->object);
}

struct linkmap linkmap_parse(const char *text)
{
    struct linkmap map = {0};
    size_t room = 0;
    const char *output = "", *section = "";
    const char *line = strstr(text, MAP_TITLE);
    if (line == NULL)
        return map;
    line += strlen(MAP_TITLE);
    while (*line != 0) {
        size_t len = strcspn(line, "\n");
        const char *at = line;
        bool named = false;
        if (line[0] != ' ' && len > 0) {
            output = keep_bytes(line, strcspn(line, " \n"));
        } else if (line[0] == ' ' && line[1] != ' ' && line[1] != '*') {
            size_t name_len = strcspn(line + 1, " \n");
            section = keep_bytes(line + 1, name_len);
            at = line + 1 + name_len;
            named = true;
        }
        uint64_t address, size;
        bool continued = len > 15 && strspn(line, " ") == 16;
        const char *next = line + len + (line[len] == '\n');
        if ((named || continued) && take_hex(&at, &address) &&
            take_hex(&at, &size) && at[0] == ' ' && at[1] > ' ' && size > 0 &&
            address > 0 && section[0] == '.' &&
            !starts_with(output, ".debug") &&
            !starts_with(output, ".comment")) {
            if (map.count == room) {
                room = 2 * room + 256;
                struct piece *pieces = keep(room * sizeof *pieces);
                if (map.count > 0)
                    memcpy(pieces, map.pieces, map.count * sizeof *pieces);
                map.pieces = pieces;
            }
            map.pieces[map.count++] = (struct piece){
                .address = address,
                .size = size,
                .section = section,
                .object = keep_bytes(at + 1, strcspn(at + 1, "\n")),
                .in_file = strstr(output, "bss") == NULL,
            };
        }
        line = next;
    }
    if (map.count > 1)
        qsort(map.pieces, map.count, sizeof map.pieces[0], compare_pieces);
    return map;
}

const struct piece *linkmap_find(const struct linkmap *map, uint64_t address)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (map->pieces[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 ||
        address - map->pieces[low - 1].address >= map->pieces[low - 1].size)
        return NULL;
    return &map->pieces[low - 1];
}

const char *library_of(const char *object)
{
    size_t len = strlen(object);
    if (len > 0 && object[len - 1] == ')') {
        const char *open = strrchr(object, '(');
        if (open != NULL) {
            const char *path = keep_bytes(object, (size_t)(open - object));
            const char *slash = strrchr(path, '/');
            const char *name = slash == NULL ? path : slash + 1;
            return keep_bytes(name, strcspn(name, "."));
        }
    }
    if (starts_with(object, "fata/"))
        return keep_bytes(object + 5, strcspn(object + 5, "/"));
    if (starts_with(object, "data/"))
        return keep_bytes(object + 5, strcspn(object + 5, "."));
    if (starts_with(object, "app/"))
        return "app";
    if (strchr(object, '/') == NULL)
        return "main";
    return "libc"; /* what the compiler adds: crt1.o and its kin */
}

const char *object_name(const char *object)
{
    size_t len = strlen(object);
    const char *open = strrchr(object, '(');
    if (open != NULL && object[len - 1] == ')')
        return keep_bytes(open + 1, len - 2 - (size_t)(open - object));
    const char *slash = strrchr(object, '/');
    return slash == NULL ? object : slash + 1;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct library_size *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->library, y->library);
}

struct library_size *linkmap_sizes(const struct linkmap *map, size_t *count)
{
    struct library_size *sizes = keep((map->count + 1) * sizeof *sizes);
    const char *last = NULL;
    size_t last_index = 0;
    *count = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct piece *piece = &map->pieces[i];
        if (!piece->in_file)
            continue;
        /* Neighbours mostly come from one object. */
        if (last == NULL || strcmp(last, piece->object) != 0) {
            const char *library = library_of(piece->object);
            size_t j = 0;
            while (j < *count && strcmp(sizes[j].library, library) != 0)
                j++;
            if (j == *count)
                sizes[(*count)++].library = library;
            last = piece->object;
            last_index = j;
        }
        sizes[last_index].bytes += piece->size;
    }
    qsort(sizes, *count, sizeof sizes[0], compare_sizes);
    return sizes;
}
