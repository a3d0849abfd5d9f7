/* The file of an image, and all that it says of itself: see backend.h. */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tender/common/backend.h"

#ifdef __aarch64__
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

/* Nothing, if there is no such note, or no sense in it. */
static struct wish wish_in(const struct elf *elf,
                           const struct elf_note_kind *kind)
{
    struct bytes note = {0};
    const char *why;

    (void)!elf_note(elf, kind, &note, &why);
    return wish_of(note);
}

void image_open(struct image *image, uint64_t mem_size)
{
    const char *why, *name = image->name;
    struct bytes file = {0}, abi_note, manifest_note;
    struct stat status;

    /* Not to wait for whoever may write to a FIFO. */
    image->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (image->fd < 0 || fstat(image->fd, &status) != 0)
        err(1, "%s", name);
    if (!S_ISREG(status.st_mode))
        errx(1, "%s: not a file", name);
    if (status.st_size > 0) {
        file.len = (size_t)status.st_size;
        file.at = mmap(NULL, file.len, PROT_READ, MAP_PRIVATE, image->fd, 0);
        if (file.at == MAP_FAILED)
            err(1, "%s: cannot map it", name);
    }
    if (!elf_parse(&image->elf, file, mem_size, &why) ||
        !elf_note(&image->elf, &elf_note_abi, &abi_note, &why))
        errx(1, "%s: %s", name, why);
    if (image->elf.machine != MACHINE)
        errx(1, "%s: made for another processor", name);
    struct reader abi = reader_of(abi_note);
    uint32_t target = get_le32(&abi), version = get_le32(&abi);
    if (abi.failed || target != backend.target)
        errx(1, "%s: Executable is not for the solo5-%s target", name,
             backend.name);
    /* They differ in what loaders got wrong, not in the interface. */
    if (version < 1 || version > backend.version)
        errx(1, "%s: Executable requests unsupported ABI version %u", name,
             (unsigned)version);
    if (!elf_note(&image->elf, &elf_note_manifest, &manifest_note, &why))
        errx(1, "%s: %s", name, why);
    if (!manifest_parse(&image->manifest, manifest_note))
        errx(1, "%s: Solo5 manifest is invalid", name);
    for (uint32_t i = 0; i < image->manifest.count; i++)
        image->devices[i].entry = &image->manifest.entries[i];
    image->answers = wish_in(&image->elf, &elf_note_fata);
    image->counters = wish_in(&image->elf, &elf_note_counters);
}
