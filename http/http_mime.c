/*
 * The table of endings, in order, and the search in it.
 */
#include "base/small.h"

#include "http/http_mime.h"

enum { ENDING_MAX = 12 };

static const struct mime {
    const char ending[ENDING_MAX];
    struct bytes type;
} types[] = {
    {"7z", TEXT("application/x-7z-compressed")},
    {"aac", TEXT("audio/aac")},
    {"atom", TEXT("application/atom+xml")},
    {"avif", TEXT("image/avif")},
    {"bmp", TEXT("image/bmp")},
    {"bz2", TEXT("application/x-bzip2")},
    {"c", TEXT("text/plain; charset=utf-8")},
    {"css", TEXT("text/css; charset=utf-8")},
    {"csv", TEXT("text/csv; charset=utf-8")},
    {"epub", TEXT("application/epub+zip")},
    {"flac", TEXT("audio/flac")},
    {"gif", TEXT("image/gif")},
    {"gz", TEXT("application/gzip")},
    {"h", TEXT("text/plain; charset=utf-8")},
    {"htm", TEXT("text/html; charset=utf-8")},
    {"html", TEXT("text/html; charset=utf-8")},
    {"ico", TEXT("image/x-icon")},
    {"ics", TEXT("text/calendar; charset=utf-8")},
    {"jar", TEXT("application/java-archive")},
    {"jpeg", TEXT("image/jpeg")},
    {"jpg", TEXT("image/jpeg")},
    {"js", TEXT("text/javascript; charset=utf-8")},
    {"json", TEXT("application/json")},
    {"jsonld", TEXT("application/ld+json")},
    {"m4a", TEXT("audio/mp4")},
    {"map", TEXT("application/json")},
    {"md", TEXT("text/markdown; charset=utf-8")},
    {"mjs", TEXT("text/javascript; charset=utf-8")},
    {"mov", TEXT("video/quicktime")},
    {"mp3", TEXT("audio/mpeg")},
    {"mp4", TEXT("video/mp4")},
    {"oga", TEXT("audio/ogg")},
    {"ogg", TEXT("audio/ogg")},
    {"ogv", TEXT("video/ogg")},
    {"opus", TEXT("audio/ogg")},
    {"otf", TEXT("font/otf")},
    {"pdf", TEXT("application/pdf")},
    {"png", TEXT("image/png")},
    {"rss", TEXT("application/rss+xml")},
    {"svg", TEXT("image/svg+xml")},
    {"tar", TEXT("application/x-tar")},
    {"tif", TEXT("image/tiff")},
    {"tiff", TEXT("image/tiff")},
    {"ttf", TEXT("font/ttf")},
    {"txt", TEXT("text/plain; charset=utf-8")},
    {"wasm", TEXT("application/wasm")},
    {"wav", TEXT("audio/wav")},
    {"weba", TEXT("audio/webm")},
    {"webm", TEXT("video/webm")},
    {"webmanifest", TEXT("application/manifest+json")},
    {"webp", TEXT("image/webp")},
    {"woff", TEXT("font/woff")},
    {"woff2", TEXT("font/woff2")},
    {"xhtml", TEXT("application/xhtml+xml")},
    {"xml", TEXT("application/xml")},
    {"xz", TEXT("application/x-xz")},
    {"zip", TEXT("application/zip")},
    {"zst", TEXT("application/zstd")},
};

struct bytes http_mime(struct bytes key)
{
    /* Zeroes behind the ending, as in the table: they can be compared whole. */
    char ending[ENDING_MAX] = {0};
    size_t n = 0;

    while (n < key.len && n < ENDING_MAX && key.at[key.len - 1 - n] != '.' &&
           key.at[key.len - 1 - n] != '/')
        n++;
    /* Without a dot, or with nothing before it (".profile"), there is none. */
    if (n == 0 || n >= ENDING_MAX || n + 1 >= key.len ||
        key.at[key.len - 1 - n] != '.' || key.at[key.len - 2 - n] == '/')
        return TEXT("application/octet-stream");
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = key.at[key.len - n + i];
        if (byte >= 'A' && byte <= 'Z')
            byte |= 0x20;
        ending[i] = (char)byte;
    }

    size_t low = 0, high = COUNT_OF(types);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(ending, types[middle].ending, ENDING_MAX);
        if (order == 0)
            return types[middle].type;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return TEXT("application/octet-stream");
}
