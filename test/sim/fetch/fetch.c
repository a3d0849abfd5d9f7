/*
 * Asks a server for a path over HTTP/1.1, each time on a connection of its
 * own, and prints the status line and the length and hash (FNV-1a, 64 bits) of
 * the body. Ends with 0 if it always got all of an answer.
 */
#include "fetch.h"

#include "base/fmt.h"

#define PATIENCE SECONDS(60)

enum {
    HEADER_MAX = 2048,
    ASK_MAX = 512,
};

struct answer {
    char header[HEADER_MAX + 1];
    size_t header_len;
    bool in_body;
    uint64_t len, hash;
};

static void take(struct answer *answer, struct bytes data)
{
    for (size_t i = 0; i < data.len; i++) {
        if (answer->in_body) {
            answer->len++;
            answer->hash = (answer->hash ^ data.at[i]) * 0x100000001b3;
            continue;
        }
        if (answer->header_len < HEADER_MAX)
            answer->header[answer->header_len++] = (char)data.at[i];
        answer->in_body =
            answer->header_len >= 4 &&
            memcmp(answer->header + answer->header_len - 4, "\r\n\r\n", 4) == 0;
    }
}

/* What the header says of the body's length; false if it says nothing. */
static bool content_length(const struct answer *answer, uint64_t *len)
{
    static const char name[] = "\r\ncontent-length: ";
    const char *header = answer->header;

    for (; *header != 0; header++) {
        size_t i = 0;
        while (name[i] != 0 && (header[i] | 32) == (name[i] | 32))
            i++;
        if (name[i] != 0)
            continue;
        return fmt_parse_u64(bytes_of(header + i, strcspn(header + i, "\r")),
                             UINT64_MAX, len);
    }
    return false;
}

static enum err ask(struct fata_flow *flow, const char *path,
                    struct answer *answer, uint64_t deadline)
{
    char text[ASK_MAX];
    struct writer w = writer_to(text, sizeof text);
    struct bytes data;
    enum err err;

    fmt_put(&w, "GET %s HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n",
            path);
    if (w.failed)
        return ERR_INVALID;
    err = fata_flow_write(flow, written(&w), deadline);
    if (err != OK)
        return err;
    while ((err = fata_flow_read(flow, &data, deadline)) == OK) {
        take(answer, data);
        fata_flow_consume(flow, data.len);
    }
    return err;
}

static int fetch_once(struct fata_env *env, struct fata_stack *stack,
                      const struct fata_endpoint *server, const char *path)
{
    struct answer answer = {.hash = 0xcbf29ce484222325};
    struct fata_flow *flow;
    uint64_t deadline = fata_deadline(env, PATIENCE);
    uint64_t expected;

    enum err err = fata_tcp_connect(stack, server, &flow, deadline);
    if (err != OK) {
        fata_print(env, "cannot connect: %s\n", err_text(err));
        return 1;
    }
    err = ask(flow, path, &answer, deadline);
    if (err != ERR_CLOSED) {
        fata_print(env, "no answer: %s\n", err_text(err));
        fata_flow_abort(flow);
        return 1;
    }
    fata_flow_close(flow);
    if (!content_length(&answer, &expected) || expected != answer.len) {
        fata_print(env, "the answer is not whole\n");
        return 1;
    }
    fata_print(env, "%.*s, %llu bytes, hash %016llx\n",
               (int)strcspn(answer.header, "\r"), answer.header,
               (unsigned long long)answer.len, (unsigned long long)answer.hash);
    return 0;
}

int fetch_main(struct fata_env *env, struct fata_stack *stack,
               struct fata_ip server, int64_t port, const char *path,
               int64_t count)
{
    struct fata_endpoint endpoint = {server, (uint16_t)port};

    if (fata_stack_wait(stack, fata_deadline(env, PATIENCE)) != OK) {
        fata_print(env, "no address\n");
        return 1;
    }
    for (int64_t i = 0; i < count; i++) {
        int status = fetch_once(env, stack, &endpoint, path);
        if (status != 0)
            return status;
    }
    return 0;
}
