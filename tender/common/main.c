/*
 * What every tender does: reads the options, maps and checks the file, opens
 * its devices; then it is the back end's turn, which has us fill the memory it
 * made. All that can fail fails before the guest runs.
 */
#define _GNU_SOURCE /* environ */ // NOLINT(bugprone-reserved-identifier)
#include <ctype.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tender/common/answers.h"
#include "tender/common/backend.h"
#include "tender/common/counters.h"
#include "tender/common/options.h"

/*
 * Show the guest's counters, if both it and the command line want to. The
 * file's descriptor is none that its filter grants.
 */
static bool share_counters(const struct guest *guest, const struct image *image,
                           const char *path)
{
    size_t size = 0;

    if (path == NULL)
        return false;
    uint8_t *region =
        counters_region(guest, &image->elf, image->counters_note, &size);
    if (region == NULL || image->fata_note.len == 0) {
        warnx("--counters=%s: this image has none to show", path);
        return false;
    }
    counters_map(region, size, path);
    return true;
}

/*
 * How many processors the machine has, be it that we may use but one of them:
 * whom the guest talks to is on another then.
 */
static uint32_t processors(void)
{
    char text[64] = {0}; /* such as "0-3,6" */
    uint32_t count = 0;
    int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    for (char *at = text; n > 0 && isdigit((unsigned char)*at);) {
        unsigned long first = strtoul(at, &at, 10), last = first;
        if (*at == '-')
            last = strtoul(at + 1, &at, 10);
        if (last >= first)
            count += (uint32_t)(last - first + 1);
        if (*at == ',')
            at++;
    }
    return count;
}

void launch_load(const struct launch *launch, const struct guest *guest)
{
    if (!guest_load(guest, &launch->image.elf, launch->image.fd))
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

bool launch_answer(const struct launch *launch, const struct guest *guest,
                   uint32_t transfer, struct bytes more)
{
    const struct image *image = &launch->image;
    uint8_t random[ANSWERS_RANDOM_BYTES];
    bool counters = share_counters(guest, image, launch->counters);

    if (image->fata_note.len == 0)
        return false;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        err(1, "no random bytes for the guest");
    struct answers answers = {.random = random,
                              .transfer = transfer,
                              .counters = counters,
                              .processors = processors(),
                              .traits = image->traits,
                              .more = more};
    bool told = answers_write(guest, &image->elf, image->fata_note, &answers);
    explicit_bzero(random, sizeof(random));
    /* It would take headers for frames. */
    for (uint32_t i = 1; i < image->manifest.count && !told; i++)
        if (image->traits[i].header_len > 0)
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

/* No file of ours is to get the number of one that was closed. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    static struct launch launch; /* large, and mostly not touched */

    fill_standard_descriptors();
    struct options options = options_parse(argv + (argc > 0));

    launch.mem_size = options.mem_size;
    launch.counters = options.counters;
    launch.arguments = options.arguments;
    image_open(&launch.image, options.image, options.mem_size);
    options_attach(&options, &launch.image);
    backend.start(&launch);
}
