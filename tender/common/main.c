/*
 * What every tender does: see backend.h. All that can fail fails before the
 * guest runs.
 */
#define _GNU_SOURCE /* environ */ // NOLINT(bugprone-reserved-identifier)
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tender/common/backend.h"
#include "tender/common/counters.h"

/*
 * How many processors the machine has, be it that we may use but one of them:
 * whom the guest talks to is on another then.
 */
static uint32_t processors(void)
{
    char text[64] = {0}, *last = text; /* such as "0-3,6" */
    int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return 1;
    (void)close(fd);
    for (char *at = text; *at != 0; at++)
        if (*at == '-' || *at == ',')
            last = at + 1;
    return (uint32_t)strtoul(last, NULL, 10) + 1;
}

void launch_load(const struct launch *launch, const struct guest *guest)
{
    if (!guest_load(guest, launch->image.fd))
        err(1, "%s: cannot load it", launch->image.name);
}

void launch_boot(const struct launch *launch, const struct guest *guest,
                 uint64_t address, struct bytes info)
{
    if (!guest_write_boot_info(guest, address, info, &launch->image.manifest,
                               launch->arguments))
        errx(1, "Guest command line too long (max=%d characters)",
             SOLO5_CMDLINE_MAX);
}

bool launch_answer(struct launch *launch, const struct guest *guest)
{
    const struct image *image = &launch->image;
    struct writer *w = &launch->answers;
    uint8_t random[ANSWERS_RANDOM_BYTES];

    if (launch->counters != NULL) {
        if (image->answers.size > 0 &&
            counters_share(guest, &image->counters, launch->counters))
            answer_put_number(w, FATA_ANSWER_COUNTERS, 1);
        else
            warnx("--counters=%s: this image has none to show",
                  launch->counters);
    }
    if (image->answers.size == 0)
        return false;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        err(1, "no random bytes for the guest");
    answer_put_number(w, FATA_ANSWER_PROCESSORS, processors());
    bool told = answers_write(guest, &image->answers, random, image->devices,
                              written(w));
    explicit_bzero(random, sizeof(random));
    /* It would take headers for frames. */
    for (uint32_t i = 1; i < image->manifest.count && !told; i++)
        if (image->devices[i].header_len > 0)
            errx(1,
                 "%s: there is no room for answers where it wants them: give "
                 "--net-offload:%s=off",
                 image->name, image->manifest.entries[i].name);
    return told;
}

void launch_seal(void)
{
    /* A console that nobody reads any more is no reason to end, and of a
     * socket's other end the guest learns from the error. */
    (void)signal(SIGPIPE, SIG_IGN);
    for (char **variable = environ; *variable != NULL; variable++)
        explicit_bzero(*variable, strlen(*variable));
}

int main(int argc, char **argv)
{
    static uint8_t answers[FATA_ANSWERS_BYTES];
    static struct launch launch; /* large, and mostly not touched */

    /* No file of ours is to get the number of one that was closed. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return EXIT_FAILURE;
    options_parse(&launch, argv + (argc > 0));
    launch.answers = WRITER(answers);
    image_open(&launch.image, launch.mem_size);
    options_attach(&launch);
    backend.start(&launch);
}
