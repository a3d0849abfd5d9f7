/*
 * Joins a serial line with a TCP connection on this machine, until one of the
 * two ends: what is outside of an emulated machine talks to what is inside.
 *
 *     serial DEVICE PORT
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct termios mode;
    char text[4096];

    if (argc < 3)
        return 64;
    int line = open(argv[1], O_RDWR | O_NOCTTY);
    if (line < 0 || tcgetattr(line, &mode) != 0)
        return 1;
    cfmakeraw(&mode);
    (void)cfsetspeed(&mode, B115200);
    (void)tcsetattr(line, TCSAFLUSH, &mode);
    to.sin_port = htons((unsigned short)strtol(argv[2], NULL, 10));
    int s = socket(AF_INET, SOCK_STREAM, 0);
    for (int i = 0; connect(s, (struct sockaddr *)&to, sizeof to) != 0; i++) {
        if (i == 100)
            return 1;
        (void)close(s);
        (void)usleep(50000);
        s = socket(AF_INET, SOCK_STREAM, 0);
    }
    puts("the line is open");
    (void)fflush(stdout);
    for (;;) {
        struct pollfd both[] = {{.fd = line, .events = POLLIN},
                                {.fd = s, .events = POLLIN}};
        if (poll(both, 2, 20000) <= 0)
            return 1;
        for (int i = 0; i < 2; i++) {
            if (both[i].revents == 0)
                continue;
            ssize_t n = read(both[i].fd, text, sizeof text);
            if (n <= 0 || write(both[1 - i].fd, text, (size_t)n) != n)
                return 0;
        }
    }
}
