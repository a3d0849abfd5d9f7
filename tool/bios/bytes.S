/* The boot loader as `fata pack` puts it on disks. */
        .section .rodata
        .globl  bios_loader_start, bios_loader_end
bios_loader_start:
        .incbin "build/bios/loader.bin"
bios_loader_end:
        .section .note.GNU-stack, "", @progbits
