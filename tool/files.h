/*
 * Files as the command needs them: read whole, written whole or not at all.
 */
#ifndef TOOL_FILES_H
#define TOOL_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "tool/text.h"

bool file_exists(const char *path);
bool is_folder(const char *path);

/* Nanoseconds since 1970 of the last change; 0 if there is no such file. */
int64_t file_changed(const char *path);

uint64_t file_size(const char *path);

/* The whole file, with a final zero; NULL, with errno, if it cannot be read. */
char *file_read(const char *path, size_t *len);

/* Map a file for reading. False, with errno; an empty file maps to nothing. */
bool file_map(const char *path, const uint8_t **at, size_t *len);

/* Make a folder and those above it; ends the command if that fails. */
void make_folders(const char *path);

/* The folder that `path` is in: "a/b" for "a/b/c", "." for "c". */
const char *folder_of(const char *path);

/* `folder`/`name`; `name` itself if that is absolute or the folder is ".". */
const char *joined(const char *folder, const char *name);

/*
 * Replace a file in one step. One that holds this already is left alone, its
 * time too. Ends the command, leaving nothing half-written, if that fails.
 * True if the file is new or changed.
 */
bool file_write(const char *path, const char *at, size_t len);

/* Remove a folder with all in it, or a file; nothing if there is none. */
void remove_all(const char *path);

#endif
