/*
 * The inside of the HTTP server: what its parts share.
 *
 *     server.c    connections: their states, deadlines and places
 *     answer.c    the heads of answers, and writing answers out
 *     site.c      answers from files
 *     exchange.c  answers from handlers, and bodies of requests
 *
 * A connection is in one of these states, and in the list of that name:
 *
 *              +------------------------------------------------+
 *              v        whole head, answered at once            |
 *     accept  IDLE ---------------------------------------------+
 *              | part of a head                                 |
 *              v                                                |
 *           READING --> BODY --> (handler) --> SENDING ---------+
 *                        |                        |
 *                        +--> FIBER --------------+--> LINGERING --> closed
 *
 * BODY, FIBER and SENDING are only entered by requests with a body, handlers
 * with a fiber and answers that do not fit into the flow at once.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "fata/clock.h"
#include "fata/http.h"
#include "fata/log.h"
#include "http/http_chunked.h"
#include "http/http_date.h"
#include "http/http_request.h"

enum {
    HTTP_HEAD_MOST = 8192, /* option head_bytes */
    HTTP_LINE_MOST = 4096, /* option line_bytes; so no path is longer */
    HTTP_BODY_MOST = 8192, /* collected for a handler without a fiber */
    HTTP_EXTRA = 512,      /* header lines a handler, or an option, adds */
    HTTP_HEAD_ROOM = 2048, /* the head of any answer */
    /* A body up to this long is copied behind its head: cheaper than lending
     * it, and it leaves in the same segment. */
    HTTP_COPY_MOST = 1024,
    HTTP_ALLOW = 80, /* the value of Allow */
};

static_assert((int)FATA_HTTP_ANSWER_MAX <= (int)HTTP_BODY_MOST,
              "fits a buffer");

enum http_state {
    HTTP_IDLE,
    HTTP_READING,
    HTTP_BUSY, /* BODY, FIBER or SENDING, see the exchange */
    HTTP_LINGERING,
    HTTP_STATES,
};

/* All that an idle connection costs. */
struct connection {
    struct list link; /* in server->lists[state], oldest first */
    struct fata_flow *flow;
    struct fata_http_server *server;
    struct fata_http_exchange *exchange; /* NULL while idle or lingering */
    uint64_t since;                      /* when it entered its list */
    enum http_state state;
};

/* A request on its way in, or an answer on its way out. */
struct buffer {
    union {
        struct {
            uint8_t head[HTTP_HEAD_MOST];
            uint8_t body[HTTP_BODY_MOST];
            uint8_t path[HTTP_LINE_MOST + 16];
        };
        uint8_t out[HTTP_HEAD_ROOM + HTTP_BODY_MOST];
    };
};

enum exchange_stage {

    EXCHANGE_BODY, /* the body is being read */
    EXCHANGE_FIBER,
    EXCHANGE_FIBER_ENDED,
    EXCHANGE_SENDING,
};

enum exchange_answer {
    ANSWER_NONE,
    ANSWER_WHOLE,   /* all of it is emitted, or queued */
    ANSWER_LENGTH,  /* begun, `to_write` bytes to come */
    ANSWER_CHUNKED, /* begun, a last chunk will come */
    ANSWER_TO_END,  /* begun, the end of the connection ends it */
};

/* How far writing an answer went. */
enum emitted {
    EMITTED,         /* all of it is with the flow */
    EMITTED_QUEUED,  /* the rest waits in the exchange */
    EMITTED_BLOCKED, /* nothing: the flow has no room */
    EMITTED_BROKEN,  /* the connection is of no more use */
};

struct fata_http_exchange {
    struct connection *connection;
    const struct fata_http_route *route;
    struct fata_http_request request;
    struct http_parser parser;
    struct buffer *buffer;
    size_t held; /* bytes of the head in the buffer */
    enum exchange_stage stage;
    bool close;          /* the connection ends with this exchange */
    bool continue_first; /* 100 Continue is still to be sent */

    /* The body of the request. */
    struct http_chunked chunked;
    bool is_chunked, body_ended;
    uint64_t body_left; /* to come, if not chunked */
    uint64_t body_read;
    uint64_t body_most;
    unsigned refusal; /* status for a body that was found wrong; 0: fine */

    /* The answer. */
    enum exchange_answer answer;
    enum emitted emitted;
    uint64_t to_write;
    struct bytes queued; /* in the buffer, first */
    struct bytes lent;   /* for ever, after it */
    size_t extra_len;
    uint8_t extra[HTTP_EXTRA];

    /* Against slow clients: see rate_grace. */
    struct timer timer; /* armed in the stages BODY and SENDING */
    uint64_t started;   /* when that stage began */
    uint64_t waited;    /* by a handler on a fiber, for the client */
    uint64_t moved;     /* bytes, meanwhile */

    struct fiber *fiber;
    struct list resume; /* in server->resume once the fiber has ended */
};

struct fata_http_server {
    struct fata_env *env;
    struct fata_http_options options; /* with the usual values filled in */
    struct http_limits limits;
    struct log_source log;
    struct fata_http_counters counters;
    struct pool connections, exchanges, buffers;
    struct list lists[HTTP_STATES];
    uint64_t timeouts[HTTP_STATES];
    struct timer timer; /* for the oldest of each list */
    bool stopping;
    struct loop_task resume_task;
    struct list resume;

    /* "Server: ...", "Date: ..." and the option's lines, renewed each second;
     * behind the status line of a 200. */
    uint64_t date_until; /* monotonic */
    size_t status_len, date_at, common_len;
    uint8_t common[64 + HTTP_DATE_LEN + 64 + HTTP_EXTRA];
};

/* answer.c */

const char *http_reason(unsigned status);

/* Begin a head: status line and the lines of all answers. */
void answer_begin(struct fata_http_server *server, struct writer *w,
                  unsigned status);

void answer_field(struct writer *w, struct bytes name_and_colon,
                  struct bytes value);
void answer_number(struct writer *w, struct bytes name_and_colon,
                   uint64_t value);

/* End a head; `close`: the connection ends with it. */
void answer_end(struct writer *w, const struct http_head *request, bool close);

/*
 * Write the head in `w` and a body. A body not lent for ever is copied. Counts
 * the answer, unless it is EMITTED_BLOCKED, which only an idle connection gets.
 */
enum emitted answer_emit(struct connection *c, unsigned status,
                         struct writer *w, struct bytes body, bool lent);

/* Answer with the status and a line of text. `request` NULL: not understood. */
enum emitted answer_status(struct connection *c,
                           const struct http_head *request, unsigned status,
                           bool close, struct bytes more_fields);

/* Write what is queued. EMITTED, EMITTED_QUEUED or EMITTED_BROKEN. */
enum emitted answer_flush(struct fata_http_exchange *x);

/* site.c */

enum emitted site_answer(struct connection *c, const struct http_head *request,
                         struct bytes path, bool close);

/* exchange.c */

/* Prepare for the body that the head announces, at most `most` bytes. */
void exchange_body_begin(struct fata_http_exchange *x,
                         const struct http_head *head, uint64_t most);

/*
 * Lend the next bytes of the body, without waiting. OK; ERR_AGAIN; ERR_CLOSED
 * at its end; ERR_INVALID with x->refusal set; ERR_RESET.
 */
enum err exchange_body(struct fata_http_exchange *x, struct bytes *data);

/* Done with the first `n` bytes lent. */
void exchange_body_took(struct fata_http_exchange *x, size_t n);

/* How long, in all, may be waited for the client in what is under way. */
uint64_t exchange_allowance(const struct fata_http_exchange *x);

/* The entry of a fiber that runs a handler; the argument is the exchange. */
void exchange_fiber(void *exchange);

/*
 * The handler has returned: end what it began, or answer in its place. Tells
 * how far that went.
 */
enum emitted exchange_finish(struct fata_http_exchange *x);

/* server.c */

/* A buffer, perhaps from the connection that has held one longest, or NULL. */
struct buffer *buffer_take(struct fata_http_server *server);

/* Make `c` have an exchange; there is one for every connection. */
struct fata_http_exchange *exchange_take(struct connection *c);

#endif
