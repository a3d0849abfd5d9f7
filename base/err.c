/* The outcomes in words, for messages. */
#include "base/err.h"

const char *err_text(enum err err)
{
    switch (err) {
    case OK:
        return "done";
    case ERR_AGAIN:
        return "nothing now";
    case ERR_TIMEOUT:
        return "timed out";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_CLOSED:
        return "closed";
    case ERR_RESET:
        return "connection reset";
    case ERR_REFUSED:
        return "refused";
    case ERR_UNREACHABLE:
        return "unreachable";
    case ERR_FULL:
        return "no room";
    case ERR_NOT_FOUND:
        return "not found";
    case ERR_INVALID:
        return "invalid";
    case ERR_IO:
        return "device failed";
    }
    return "unknown error";
}
