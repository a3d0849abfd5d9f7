/*
 * Where an image is entered, in one of three ways:
 *
 *     multiboot 1   32 bits, EBX: its information   (QEMU, GRUB)
 *     PVH           32 bits, EBX: its information   (Cloud Hypervisor, Xen, ...)
 *     Linux         64 bits, RSI: the zero page     (older Firecracker)
 *
 * The first two are brought to 64 bits, on tables that map the image and what
 * is below it; pc.c replaces those. All three call boot_start(which, information).
 */
#include "platform/virtio/x86_64/boot.h"

#define CR0_PE 0x1
#define CR0_MP 0x2
#define CR0_NE 0x20
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define CR4_SSE 0x600
#define EFER 0xc0000080
#define EFER_LME 0x100
#define PAGE_TABLE 0x3
#define PAGE_2MIB 0x83

#define MULTIBOOT_MAGIC 0x1badb002
/* Pages aligned, memory wanted, and addresses here rather than in ELF. */
#define MULTIBOOT_FLAGS 0x00010003

        .section .boot.header, "a", @progbits
        .p2align 2
multiboot_header:
        .long   MULTIBOOT_MAGIC
        .long   MULTIBOOT_FLAGS
        .long   -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
        .long   multiboot_header
        .long   boot_image_start
        .long   boot_file_end
        .long   boot_image_end
        .long   start_multiboot

        .section .note.pvh, "a", @note
        .p2align 2
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start_pvh

        .section .text.start, "ax", @progbits
        .code32
start_multiboot:
        movl    $BOOT_MULTIBOOT, %edi
        jmp     1f
start_pvh:
        movl    $BOOT_PVH, %edi
1:      cld
        movl    %ebx, %esi
        movl    $early_root, %ebx
        movl    $(early_middle + PAGE_TABLE), (%ebx)
        movl    $(early_pages + PAGE_TABLE), early_middle
        movl    $early_pages, %ebp
        movl    $PAGE_2MIB, %eax
        movl    $boot_early_pages, %ecx
2:      movl    %eax, (%ebp)
        addl    $0x200000, %eax
        addl    $8, %ebp
        decl    %ecx
        jnz     2b
        movl    %ebx, %cr3
        movl    $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    $EFER, %ecx
        rdmsr
        orl     $EFER_LME, %eax
        wrmsr
        movl    $(CR0_PG | CR0_NE | CR0_MP | CR0_PE), %eax
        movl    %eax, %cr0
        lgdt    early_segments_pointer
        ljmp    $8, $start_long

        .code64
start_long:
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %esi, %esi
        jmp     3f

        .globl  start_linux
start_linux:
        movl    $BOOT_LINUX, %edi
3:      cli
        cld
        movq    %cr4, %rax
        orq     $CR4_SSE, %rax
        movq    %rax, %cr4
        leaq    boot_stack_end(%rip), %rsp
        xorl    %ebp, %ebp
        call    boot_start
        ud2

        .section .rodata.start, "a", @progbits
        .p2align 3
early_segments:
        .quad   0, 0x00af9b000000ffff
early_segments_pointer:
        .word   15
        .long   early_segments

        /* Where nothing of the image is that is used before they are not. */
        .section .bss.early, "aw", @nobits
        .p2align 12
early_root:
        .skip   4096
early_middle:
        .skip   4096
early_pages:
        .skip   4096

        /* Its lowest page is the guard. */
        .globl  boot_stack
boot_stack:
        .skip   4096 + BOOT_STACK
        .globl  boot_stack_end
boot_stack_end:

        .section .note.GNU-stack, "", @progbits
