/*
 * Media types of files, by the ending of their names.
 */
#ifndef HTTP_HTTP_MIME_H
#define HTTP_HTTP_MIME_H

#include "base/bytes.h"

/*
 * The media type of a file called `key`, "application/octet-stream" if its
 * ending is not known. Upper and lower case are alike. Text is UTF-8.
 */
struct bytes http_mime(struct bytes key);

#endif
