/*
 * Decoding and flattening paths, segment by segment.
 */
#include "base/small.h"

#include "http/http_path.h"

#include "http/http_syntax.h"

/* Most paths are: nothing encoded, no segment that begins with a dot. */
static bool is_plain(struct bytes path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (http_is(path.at[i], HTTP_PLAIN) || path.at[i] == '.')
            continue;
        if (path.at[i] != '/' || (i + 1 < path.len && path.at[i + 1] == '.'))
            return false;
    }
    return true;
}

/* Decode one segment to `to`; *len tells how long it became. */
static enum http_path_result decode(struct bytes segment, uint8_t *to,
                                    size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < segment.len; i++) {
        uint8_t byte = segment.at[i];
        if (byte == '%') {
            if (segment.len - i < 3)
                return HTTP_PATH_MALFORMED;
            int high = http_hex(segment.at[i + 1]);
            int low = http_hex(segment.at[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return HTTP_PATH_MALFORMED;
            byte = (uint8_t)(high << 4 | low);
            if (byte == '/')
                return HTTP_PATH_NOWHERE;
            i += 2;
        }
        to[n++] = byte;
    }
    *len = n;
    return HTTP_PATH_FINE;
}

enum http_path_result http_path(struct bytes path, uint8_t *room,
                                struct bytes *plain)
{
    assert(path.len > 0 && path.at[0] == '/');
    if (is_plain(path)) {
        *plain = path;
        return HTTP_PATH_FINE;
    }

    size_t n = 0; /* written, each segment with its slash before it */
    bool folder = false;
    while (path.len > 0) {
        path = bytes_after(path, 1);
        const uint8_t *slash =
            path.len == 0 ? NULL : memchr(path.at, '/', path.len);
        size_t len = path.len;
        if (slash != NULL)
            len = (size_t)(slash - path.at);

        size_t decoded;
        enum http_path_result result =
            decode(bytes_first(path, len), room + n + 1, &decoded);
        if (result != HTTP_PATH_FINE)
            return result;
        path = bytes_after(path, len);

        struct bytes segment = bytes_of(room + n + 1, decoded);
        folder = true;
        if (bytes_equal(segment, TEXT(".."))) {
            while (n > 0 && room[--n] != '/')
                ;
        } else if (!bytes_equal(segment, TEXT("."))) {
            room[n] = '/';
            n += 1 + decoded;
            folder = false;
        }
    }
    if (folder)
        room[n++] = '/';
    *plain = bytes_of(room, n);
    return HTTP_PATH_FINE;
}
