/*
 * Where a machine with an arm64 processor begins with a virtio image: by the
 * ELF file's entry, or as Linux's kernel (Documentation/arm64/booting.rst),
 * with the device tree's address in x0; the file's beginning is such a header.
 * At EL1 or EL2, without address translation. To leave memory alone before
 * there is, the first table lies ready in the image.
 */
#define HCR_RW          (1 << 31)       /* EL1 is of 64 bits */
#define CPTR_NO_TRAPS   0x33ff
#define SPSR_EL1T       0x3c4           /* on the stack of SP_EL0, all masked */
#define SCTLR_RESERVED  0x30d00800      /* bits that are to be ones */
#define SCTLR           (SCTLR_RESERVED | 0x101d) /* translation, caches */
#define MAIR            0x04ff          /* 0: cached memory, 1: devices */
#define TCR_LOW         0x351c          /* 36 bits, cached and shared tables */
#define TCR_HIGH        0x809c          /* the upper half is not there */

        .section .boot.text, "ax", %progbits
        .globl  start_header, start_linux
start_header:
        b       start_linux
        .long   0
        .quad   0x200000                /* from the start of memory */
        .quad   boot_image_size
        .quad   2                       /* little-endian, pages of 4 KiB */
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

start_linux:
        msr     daifset, #15
        mov     x20, x0
        mrs     x9, CurrentEL
        cmp     x9, #8
        b.ne    1f

        /* Leave EL2, which keeps nothing from us. */
        mov     x9, #HCR_RW
        msr     hcr_el2, x9
        mov     x9, #3
        msr     cnthctl_el2, x9
        msr     cntvoff_el2, xzr
        mov     x9, #CPTR_NO_TRAPS
        msr     cptr_el2, x9
        msr     hstr_el2, xzr
        mrs     x9, midr_el1
        msr     vpidr_el2, x9
        mrs     x9, mpidr_el1
        msr     vmpidr_el2, x9
        mrs     x9, id_aa64pfr0_el1
        ubfx    x9, x9, #24, #4         /* has it a GICv3's registers? */
        cbz     x9, 2f
        mrs     x9, s3_4_c12_c9_5       /* ICC_SRE_EL2 */
        orr     x9, x9, #1
        orr     x9, x9, #8
        msr     s3_4_c12_c9_5, x9
        isb
        msr     s3_4_c12_c11_0, xzr     /* ICH_HCR_EL2 */
2:      ldr     w9, =SCTLR_RESERVED
        msr     sctlr_el1, x9
        mov     x9, #SPSR_EL1T
        msr     spsr_el2, x9
        adr     x9, 1f
        msr     elr_el2, x9
        eret

1:      msr     spsel, #0
        mov     x9, #(3 << 20)          /* floating point */
        msr     cpacr_el1, x9
        mov     x9, #MAIR
        msr     mair_el1, x9
        movz    x9, #TCR_LOW
        movk    x9, #TCR_HIGH, lsl #16
        movk    x9, #1, lsl #32         /* addresses of 36 bits */
        msr     tcr_el1, x9
        adr     x9, early_table
        msr     ttbr0_el1, x9
        isb
        tlbi    vmalle1
        dsb     nsh
        isb
        ldr     w9, =SCTLR
        msr     sctlr_el1, x9
        isb
        adrp    x9, boot_stack_end
        add     x9, x9, :lo12:boot_stack_end
        mov     sp, x9
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x20
        bl      boot_start
        brk     #0
        .ltorg

        /* GiB 0 are devices, the others memory. */
        .p2align 9
early_table:
        .quad   0x0060000000000405
        .set    gib, 1
        .rept   63
        .quad   0x0040000000000701 + (gib << 30)
        .set    gib, gib + 1
        .endr

        /* Its lowest page is the guard. */
        .section .bss.stack, "aw", %nobits
        .p2align 12
        .globl  boot_stack, boot_stack_end
boot_stack:
        .skip   4096 + 65536
boot_stack_end:

        .section .note.GNU-stack, "", %progbits
