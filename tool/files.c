/*
 * Files, read and written whole: see files.h.
 */
#include "tool/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int64_t file_changed(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return 0;
    return (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
}

uint64_t file_size(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return 0;
    return (uint64_t)status.st_size;
}

char *file_read(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct text t = {0};
    char part[16384];
    ssize_t got;
    put_text(&t, "", 0);
    while ((got = read(fd, part, sizeof part)) > 0)
        put_text(&t, part, (size_t)got);
    int error = errno;
    (void)close(fd);
    errno = error;
    if (got < 0)
        return NULL;
    if (len != NULL)
        *len = t.len;
    return t.at;
}

bool file_map(const char *path, const uint8_t **at, size_t *len)
{
    struct stat status;
    /* What is no file is not waited for: a pipe counts as empty. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    *at = NULL;
    *len = 0;
    if (fd < 0)
        return false;
    bool good = fstat(fd, &status) == 0;
    if (good && status.st_size > 0) {
        *len = (size_t)status.st_size;
        void *mapped = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
        good = mapped != MAP_FAILED;
        if (good)
            *at = mapped;
    }
    int error = errno;
    (void)close(fd);
    errno = error;
    return good;
}

void make_folders(const char *path)
{
    char *copy = keep_string(path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        /* The last step tells what went wrong, if anything. */
        (void)mkdir(copy, 0777);
        *slash = '/';
    }
    if (mkdir(path, 0777) != 0 && !(errno == EEXIST && is_folder(path)))
        die("the folder %s cannot be made: %s", path, strerror(errno));
}

const char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return ".";
    if (slash == path)
        return "/";
    return keep_bytes(path, (size_t)(slash - path));
}

const char *joined(const char *folder, const char *name)
{
    if (name[0] == '/' || strcmp(folder, ".") == 0)
        return name;
    return format("%s/%s", folder, name);
}

bool file_write(const char *path, const char *at, size_t len)
{
    struct stat status;
    /* A device, a pipe or a link, such as /dev/stdout, is not replaced. */
    bool in_place = lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
    size_t old_len;
    const char *old = in_place ? NULL : file_read(path, &old_len);
    if (old != NULL && old_len == len && memcmp(old, at, len) == 0)
        return false;

    const char *temporary = in_place ? path : format("%s.tmp", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        die("%s cannot be written: %s", path, strerror(errno));
    while (len > 0) {
        ssize_t wrote = write(fd, at, len);
        if (wrote < 0)
            break;
        at += wrote;
        len -= (size_t)wrote;
    }
    bool good = len == 0;
    if (close(fd) != 0)
        good = false;
    if (!good || (!in_place && rename(temporary, path) != 0)) {
        int error = errno;
        if (!in_place)
            (void)unlink(temporary);
        die("%s cannot be written: %s", path, strerror(error));
    }
    return true;
}

void remove_all(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return;
    if (!S_ISDIR(status.st_mode)) {
        if (unlink(path) != 0)
            die("%s cannot be removed: %s", path, strerror(errno));
        return;
    }
    DIR *folder = opendir(path);
    if (folder == NULL)
        die("%s cannot be read: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_all(joined(path, e->d_name));
    (void)closedir(folder);
    if (rmdir(path) != 0)
        die("%s cannot be removed: %s", path, strerror(errno));
}
