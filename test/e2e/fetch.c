/*
 * A client that needs nothing but a kernel: fetches a page by HTTP/1.0, over
 * and over until it is there, and writes what comes after the headers.
 *
 *     fetch ADDRESS PORT PATH [SECONDS]
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The status of the response; 0: there was none. */
static int fetch(const struct sockaddr_in *to, const char *path)
{
    static char text[1 << 20];
    struct timeval limit = {.tv_sec = 5};
    size_t len = 0;
    ssize_t n;
    int s = socket(AF_INET, SOCK_STREAM, 0);

    (void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(s, (const struct sockaddr *)to, sizeof *to) == 0) {
        (void)dprintf(s, "GET %s HTTP/1.0\r\nHost: there\r\n\r\n", path);
        while (len < sizeof text - 1 &&
               (n = read(s, text + len, sizeof text - 1 - len)) > 0)
            len += (size_t)n;
    }
    (void)close(s);
    text[len] = 0;
    char *body = strstr(text, "\r\n\r\n");
    if (body == NULL || strncmp(text, "HTTP/1.", 7) != 0)
        return 0;
    body += 4;
    (void)fwrite(body, 1, len - (size_t)(body - text), stdout);
    return (int)strtol(text + strlen("HTTP/1.x "), NULL, 10);
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    time_t end = time(NULL) + (argc > 4 ? strtol(argv[4], NULL, 10) : 20);
    int status;

    if (argc < 4 || inet_aton(argv[1], &to.sin_addr) == 0)
        return 64;
    to.sin_port = htons((unsigned short)strtol(argv[2], NULL, 10));
    while ((status = fetch(&to, argv[3])) == 0 && time(NULL) < end)
        (void)usleep(50000);
    return status == 200 ? 0 : 1;
}
