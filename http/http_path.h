/*
 * From the path of a request to a plain one: percent-encoding decoded (RFC
 * 3986 section 2.1), dot segments removed (section 5.2.4). The result begins
 * with a slash and has no "." or ".." segment, so that nothing outside a
 * folder can be named by it.
 */
#ifndef HTTP_HTTP_PATH_H
#define HTTP_HTTP_PATH_H

#include "base/bytes.h"

enum http_path_result {
    HTTP_PATH_FINE,
    HTTP_PATH_MALFORMED, /* a bad percent-encoding, or of a zero byte: 400 */
    HTTP_PATH_NOWHERE,   /* an encoded slash within a segment: 404 */
};

/*
 * Set `*plain` to the plain form of `path`, which begins with a slash: to
 * `path` itself if that is plain already, otherwise to what is written to
 * `room`, which has at least path.len bytes.
 */
enum http_path_result http_path(struct bytes path, uint8_t *room,
                                struct bytes *plain);

#endif
