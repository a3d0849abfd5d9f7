/* Dumps: see hvt.h. */
#define _GNU_SOURCE /* mincore */ // NOLINT(bugprone-reserved-identifier)
#include "tender/hvt/hvt.h"

#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux's struct elf_prstatus for x86-64, of which we fill registers only. */
struct status {
    uint8_t unused[112];
    uint64_t registers[27];
    uint64_t floating;
};

static_assert(sizeof(struct status) == 336, "as Linux has it");

struct __attribute__((packed)) head {
    Elf64_Ehdr header;
    Elf64_Phdr parts[2];
    Elf64_Nhdr note;
    char name[8];
    struct status status;
};

static_assert(offsetof(struct head, note) == 0xb0, "as Solo5 has it");
static_assert(sizeof(struct head) == 0x214, "as Solo5 has it");

/* Known before there is a cage, in which nobody asks for it. */
static char name[48];
static const char *place;

int core_open(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        err(1, "--dumpcore=%s: cannot open the folder", folder);
    if (faccessat(fd, ".", W_OK, 0) != 0)
        err(1, "--dumpcore=%s: cannot write to the folder", folder);
    place = folder;
    (void)snprintf(name, sizeof(name), "core.solo5-hvt.%d", (int)getpid());
    return fd;
}

static struct status status_of(const struct machine *machine,
                               const struct calls *calls)
{
    struct kvm_regs r = {0};
    struct kvm_sregs s = {0};
    struct hvt_trap t = calls->trap;

    (void)ioctl(machine->processor, (int)KVM_GET_REGS, &r);
    (void)ioctl(machine->processor, (int)KVM_GET_SREGS, &s);
    if (!calls->has_trap)
        t = (struct hvt_trap){.rip = r.rip,
                              .cs = s.cs.selector,
                              .flags = r.rflags,
                              .rsp = r.rsp,
                              .ss = s.ss.selector};
    return (struct status){
        .registers = {r.r15,         r.r14,         r.r13,        r.r12,
                      r.rbp,         r.rbx,         r.r11,        r.r10,
                      r.r9,          r.r8,          r.rax,        r.rcx,
                      r.rdx,         r.rsi,         r.rdi,        r.rax,
                      t.rip,         t.cs,          t.flags,      t.rsp,
                      t.ss,          s.fs.base,     s.gs.base,    s.ds.selector,
                      s.es.selector, s.fs.selector, s.gs.selector}};
}

static bool write_all(int fd, const void *from, size_t len, uint64_t at)
{
    return pwrite(fd, from, len, (off_t)at) == (ssize_t)len;
}

void core_dump(const struct machine *machine, const struct calls *calls,
               int folder)
{
    const struct guest *guest = &machine->guest;
    uint64_t total = guest->mem_size / SOLO5_PAGE, written = 0;
    struct head head = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                               ELFDATA2LSB, EV_CURRENT, ELFOSABI_STANDALONE},
                   .e_type = ET_CORE,
                   .e_machine = EM_X86_64,
                   .e_version = EV_CURRENT,
                   .e_phoff = offsetof(struct head, parts),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .parts = {{.p_type = PT_NOTE,
                   .p_offset = offsetof(struct head, note),
                   .p_filesz = sizeof(head) - offsetof(struct head, note)},
                  {.p_type = PT_LOAD,
                   .p_offset = sizeof(head),
                   .p_filesz = guest->mem_size,
                   .p_memsz = guest->mem_size}},
        .note = {.n_namesz = sizeof(head.name),
                 .n_descsz = sizeof(head.status),
                 .n_type = NT_PRSTATUS},
        .name = "CORE",
        .status = status_of(machine, calls),
    };
    int fd = openat(folder, name, HVT_CORE_FLAGS, S_IRUSR | S_IWUSR);

    warnx("dumpcore: dumping guest core to: %s/%s", place, name);
    if (fd < 0 || ftruncate(fd, (off_t)(sizeof(head) + guest->mem_size)) != 0 ||
        !write_all(fd, &head, sizeof(head), 0)) {
        warn("dumpcore: cannot write it");
        return;
    }
    for (uint64_t page = 0; page < total; page++) {
        uint8_t *at = guest->memory + page * SOLO5_PAGE;
        unsigned char resident = 0;
        /* What nobody may read, as a segment without rights, is left out. */
        if (mincore(at, SOLO5_PAGE, &resident) == 0 && (resident & 1) != 0 &&
            write_all(fd, at, SOLO5_PAGE, sizeof(head) + page * SOLO5_PAGE))
            written++;
    }
    warnx("dumpcore: dumped %llu pages of total %llu pages",
          (unsigned long long)written, (unsigned long long)total);
}
