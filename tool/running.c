/* Running unikernels: see running.h. */
#define _GNU_SOURCE /* O_NOFOLLOW, F_GETLK's pid */ // NOLINT(bugprone-reserved-identifier)
#include "tool/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool/files.h"
#include "tool/project.h"
#include "tool/run_qemu.h"

enum {
    LOOKS = 60,         /* tries to get a copy that is whole, and new enough */
    LOOK_EVERY_MS = 10, /* between them */
};

static const char *run_folder(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (runtime != NULL && runtime[0] == '/' && is_folder(runtime))
        return joined(runtime, "fata");
    return format("/tmp/fata-%u", (unsigned)geteuid());
}

/* Whether the folder is ours alone; what others could write we do not read. */
static bool is_ours(const char *folder, const char **why)
{
    struct stat status;

    *why = NULL;
    if (lstat(folder, &status) != 0)
        *why = strerror(errno);
    else if (!S_ISDIR(status.st_mode))
        *why = "it is not a folder";
    else if (status.st_uid != geteuid())
        *why = "it belongs to another user";
    else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        *why = "others may write to it";
    return *why == NULL;
}

/* "NAME.TARGET.RUN" or "NAME.TARGET.RUN-N"; false if it is no such name. */
static bool parse_name(const char *file, const char **name, const char **target,
                       pid_t *run)
{
    const char *last = strrchr(file, '.');
    if (last == NULL || last == file)
        return false;
    const char *word = last - 1;
    while (word > file && *word != '.')
        word--;
    if (word == file)
        return false;
    char *end;
    errno = 0;
    long number = strtol(last + 1, &end, 10);
    if (end == last + 1 || number <= 0 || number > INT32_MAX || errno != 0 ||
        (*end != 0 && *end != '-'))
        return false;
    *name = keep_bytes(file, (size_t)(word - file));
    *target = keep_bytes(word + 1, (size_t)(last - word - 1));
    *run = (pid_t)number;
    return true;
}

/*
 * Whether a process holds the lock on a file. Its id is 0 if it is of a
 * container, whose processes have no number here.
 */
static bool is_held(int fd, pid_t *holder)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    *holder = 0;
    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return false;
    *holder = lock.l_pid;
    return true;
}

static int open_page(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= FATA_COUNTERS_BYTES_MAX)
        return fd;
    (void)close(fd);
    return -1;
}

/* Remove the files of those that ended without a chance to. */
static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        const char *name, *target;
        pid_t run, holder;
        if (!parse_name(entry->d_name, &name, &target, &run) ||
            kill(run, 0) == 0 || errno != ESRCH)
            continue;
        const char *path = joined(folder, entry->d_name);
        int fd = open_page(path);
        if (fd >= 0 && !is_held(fd, &holder))
            (void)unlink(path);
        if (fd >= 0)
            (void)close(fd);
    }
    (void)closedir(dir);
}

const char *running_file(const char *name, const char *target,
                         unsigned instance)
{
    const char *folder = run_folder();
    const char *why;

    if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST)
        why = strerror(errno);
    else
        (void)is_ours(folder, &why);
    if (why != NULL) {
        (void)fprintf(stderr,
                      "fata: warning: fata ps and fata stats will not show "
                      "this unikernel: %s: %s; remove it, or set "
                      "XDG_RUNTIME_DIR to a folder of yours\n",
                      folder, why);
        return NULL;
    }
    sweep(folder);
    const char *file = format("%s.%s.%d", name, target, (int)getpid());
    if (instance > 0)
        file = format("%s-%u", file, instance);
    return joined(folder, file);
}

void running_hold(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    /* Locks last until the process ends, or closes the file. */
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
                  S_IRUSR | S_IWUSR);

    if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0)
        (void)fprintf(stderr,
                      "fata: warning: fata ps will not show this unikernel: "
                      "%s: %s\n",
                      path, strerror(errno));
}

bool running_unseen(const struct running_unikernel *u)
{
    struct names known = target_names();

    return names_have(&known, u->target) &&
           runs_in_qemu(target_read(u->target));
}

static int by_name(const void *left, const void *right)
{
    const struct running_unikernel *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    if (order == 0)
        order = (a->pid > b->pid) - (a->pid < b->pid);
    return order;
}

struct running_unikernel *running_all(size_t *count)
{
    const char *folder = run_folder();
    struct running_unikernel *all = NULL;
    size_t room = 0;
    const char *why;
    const struct dirent *entry;
    DIR *dir = opendir(folder);

    *count = 0;
    if (dir == NULL && errno == ENOENT)
        return NULL;
    if (dir == NULL)
        die("%s cannot be read: %s", folder, strerror(errno));
    if (!is_ours(folder, &why))
        die("%s cannot be trusted: %s; remove it", folder, why);
    while ((entry = readdir(dir)) != NULL) {
        struct running_unikernel u = {.path = joined(folder, entry->d_name)};
        pid_t run;
        if (!parse_name(entry->d_name, &u.name, &u.target, &run))
            continue;
        u.path = keep_string(u.path);
        u.fd = open_page(u.path);
        if (u.fd < 0)
            continue;
        if (!is_held(u.fd, &u.pid) || u.pid <= 0) {
            (void)close(u.fd);
            continue;
        }
        if (*count == room) {
            struct running_unikernel *more =
                keep((room * 2 + 16) * sizeof *more);
            if (room > 0)
                memcpy(more, all, room * sizeof *more);
            all = more;
            room = room * 2 + 16;
        }
        all[(*count)++] = u;
    }
    (void)closedir(dir);
    if (*count > 0)
        qsort(all, *count, sizeof *all, by_name);
    return all;
}

bool running_still(const struct running_unikernel *u)
{
    pid_t holder;

    return is_held(u->fd, &holder) && holder == u->pid;
}

static bool is_meant(const struct running_unikernel *u, const char *name_or_pid)
{
    return strcmp(u->name, name_or_pid) == 0 ||
           strcmp(format("%d", (int)u->pid), name_or_pid) == 0;
}

bool running_means(const char *name_or_pid)
{
    size_t count;
    const struct running_unikernel *all = running_all(&count);

    for (size_t i = 0; i < count; i++)
        if (is_meant(&all[i], name_or_pid))
            return true;
    return false;
}

struct running_unikernel *running_one(const char *name_or_pid)
{
    size_t count, found = 0;
    struct running_unikernel *all = running_all(&count);
    struct running_unikernel *one = NULL;
    struct names known = {0};

    for (size_t i = 0; i < count; i++) {
        names_add(&known, format("%s (%d)", all[i].name, (int)all[i].pid));
        if (name_or_pid == NULL || is_meant(&all[i], name_or_pid)) {
            found++;
            one = &all[i];
        }
    }
    if (count == 0)
        die("no unikernel of yours is running: start one with fata run");
    if (found == 0)
        die("no unikernel \"%s\" is running; those that are: %s", name_or_pid,
            listed(&known));
    if (found > 1)
        die_usage("more than one unikernel is running: give the process id "
                  "of one of: %s",
                  listed(&known));
    return one;
}

/* Copy the whole file. False if it cannot be read. */
static bool copy_page(int fd, struct text *copy)
{
    if (copy->at == NULL) {
        copy->at = keep(FATA_COUNTERS_BYTES_MAX);
        copy->room = FATA_COUNTERS_BYTES_MAX;
    }
    copy->len = 0;
    while (copy->len < copy->room) {
        ssize_t n = pread(fd, copy->at + copy->len, copy->room - copy->len,
                          (off_t)copy->len);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        copy->len += (size_t)n;
    }
    return true;
}

/* The word at this place of the page's header, now. */
static uint32_t word_now(int fd, size_t place)
{
    uint8_t word[4] = {0};

    (void)!pread(fd, word, sizeof word, (off_t)place);
    struct reader r = reader_of(BYTES(word));
    return get_le32(&r);
}

static void ask(int fd, uint32_t asked)
{
    uint8_t word[4];
    struct writer w = WRITER(word);

    put_le32(&w, asked);
    (void)!pwrite(fd, word, sizeof word,
                  offsetof(struct fata_counters_header, asked));
}

bool running_look(const struct running_unikernel *u, bool tables,
                  struct text *copy, struct snapshot *snapshot,
                  const char **why)
{
    struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    size_t place = offsetof(struct fata_counters_header, sequence);
    bool have_asked = false;
    uint32_t asked = 0;
    bool found = false;

    *why = "it does not finish what it shows: it is stuck, or in foreign hands";
    for (int i = 0; i < LOOKS; i++) {
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        if (!copy_page(u->fd, copy)) {
            *why = strerror(errno);
            return false;
        }
        struct reader r = reader_of(bytes_of(copy->at, copy->len));
        (void)get_bytes(&r, place);
        uint32_t sequence = get_le32(&r);
        if (sequence % 2 != 0 || word_now(u->fd, place) != sequence)
            continue;
        found = snapshot_open(snapshot, bytes_of(copy->at, copy->len), why);
        if (found && (!tables || !snapshot->tables_old ||
                      (have_asked && snapshot->answered == asked)))
            return true;
        /* A busy one answers soon; one that is not shows its last tables
         * as soon as nothing happens. */
        if (found && !have_asked) {
            asked = snapshot->asked + 1;
            ask(u->fd, asked);
            have_asked = true;
        }
    }
    return found;
}

double running_seconds(const struct running_unikernel *u)
{
    const char *stat = file_read(format("/proc/%d/stat", (int)u->pid), NULL);
    struct timespec now = {0};
    unsigned long long ticks = 0;
    const char *at = stat == NULL ? NULL : strrchr(stat, ')');

    /* The 22nd field, the second one being in parentheses. */
    for (int i = 2; at != NULL && i < 22; i++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return 0;
    ticks = strtoull(at, NULL, 10);
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    double seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
                     (double)ticks / (double)sysconf(_SC_CLK_TCK);
    return seconds > 0 ? seconds : 0;
}

uint64_t running_memory(const struct running_unikernel *u)
{
    const char *sizes = file_read(format("/proc/%d/statm", (int)u->pid), NULL);
    const char *resident = sizes == NULL ? NULL : strchr(sizes, ' ');

    if (resident == NULL)
        return 0;
    return strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What follows `key` in a list of options of QEMU's, to the next one. */
static const char *value_in(const char *list, const char *key)
{
    const char *at = strstr(list, key);

    if (at == NULL)
        return NULL;
    at += strlen(key);
    return keep_bytes(at, strcspn(at, ","));
}

static const char *harmless(const char *word)
{
    char *copy = keep_string(word);

    for (char *c = copy; *c != 0; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            *c = '?';
    return copy;
}

/* A tender's word for a device, or QEMU's, as NAME=HOW; NULL for others. */
static const char *device_in(const char *option, const char *word)
{
    const struct names tenders = words_of("--net: --block: --block-read-only:");

    for (size_t i = 0; i < tenders.count; i++) {
        if (!starts_with(word, tenders.at[i]))
            continue;
        const char *device = word + strlen(tenders.at[i]);
        const char *fd = strstr(device, "=@");
        return fd == NULL ? device : keep_bytes(device, (size_t)(fd - device));
    }
    if (strcmp(option, "-netdev") != 0 && strcmp(option, "-drive") != 0)
        return NULL;
    const char *name = value_in(word, ",id=");
    const char *how = value_in(word, ",ifname=");
    if (how == NULL)
        how = value_in(word, ",file=");
    if (name == NULL || how == NULL)
        return name;
    return format("%s=%s", name, starts_with(how, "./") ? how + 2 : how);
}

struct names running_devices(const struct running_unikernel *u)
{
    struct names devices = {0};
    size_t len = 0;
    const char *words =
        file_read(format("/proc/%d/cmdline", (int)u->pid), &len);
    const char *option = "";

    /* It ends with a zero, and so does what was read. */
    for (size_t at = 0; words != NULL && at < len;
         at += strlen(words + at) + 1) {
        const char *device = device_in(option, words + at);
        if (strcmp(words + at, "--") == 0)
            break;
        if (device != NULL)
            names_add(&devices, harmless(device));
        option = words + at;
    }
    return devices;
}
