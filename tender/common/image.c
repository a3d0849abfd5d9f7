/* The file of an image: see image.h. */
#include "tender/common/image.h"

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

void image_open(struct image *image, const char *name, uint64_t mem_size)
{
    const char *why;
    struct stat status;
    struct bytes note;
    struct reader abi;

    image->name = name;
    /* Not to wait for whoever may write to a FIFO. */
    image->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (image->fd < 0 || fstat(image->fd, &status) != 0)
        err(1, "%s", name);
    if (!S_ISREG(status.st_mode))
        errx(1, "%s: not a file", name);
    if (status.st_size > 0) {
        image->file.len = (size_t)status.st_size;
        image->file.at =
            mmap(NULL, image->file.len, PROT_READ, MAP_PRIVATE, image->fd, 0);
        if (image->file.at == MAP_FAILED)
            err(1, "%s: cannot map it", name);
    }
    if (!elf_parse(&image->elf, image->file, mem_size, &why) ||
        !elf_note(&image->elf, &elf_note_abi, &note, &why))
        errx(1, "%s: %s", name, why);
    if (image->elf.machine != MACHINE)
        errx(1, "%s: made for another processor", name);
    abi = reader_of(note);
    uint32_t target = get_le32(&abi);
    uint32_t version = get_le32(&abi);
    if (abi.failed || target != backend.target)
        errx(1, "%s: Executable is not for the solo5-%s target", name,
             backend.name);
    /* They differ in what loaders got wrong, not in the interface. */
    if (version < 1 || version > backend.version)
        errx(1, "%s: Executable requests unsupported ABI version %u", name,
             (unsigned)version);
    if (!elf_note(&image->elf, &elf_note_manifest, &note, &why))
        errx(1, "%s: %s", name, why);
    if (!manifest_parse(&image->manifest, note))
        errx(1, "%s: Solo5 manifest is invalid", name);
    if (!elf_note(&image->elf, &elf_note_fata, &image->fata_note, &why))
        image->fata_note = (struct bytes){0};
    if (!elf_note(&image->elf, &elf_note_counters, &image->counters_note, &why))
        image->counters_note = (struct bytes){0};
}
