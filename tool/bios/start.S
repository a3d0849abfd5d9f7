/*
 * The boot loader of a raw disk, its part in assembler: sector 0, which loads
 * the rest; the way to 32-bit mode, in which the rest runs; and the way back,
 * for each call of the BIOS.
 */
#include "tool/bios/disk.h"

        .equ CODE32, 0x08
        .equ DATA32, 0x10
        .equ CODE16, 0x18
        .equ DATA16, 0x20
        .equ TASK, 0x28

        /* --- Sector 0 --- */
        .section .sector0, "awx"
        .code16
        .globl sector0
sector0:
        jmp     1f
        nop
        /* Some BIOSes write here, where DOS had parameters of the disk. */
        .org    sector0 + 0x5a
1:      cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $sector0, %sp
        ljmp    $0, $2f
2:      sti
        cld
        movb    %dl, drive
        movb    $0x41, %ah
        movw    $0x55aa, %bx
        int     $0x13
        movw    $no_extensions, %si
        jc      fail
        cmpw    $0xaa55, %bx
        jne     fail
        movb    $0x42, %ah
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        movw    $no_loader, %si
        jc      fail
        ljmp    $0, $start16

fail:   lodsb
        testb   %al, %al
        jz      3f
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        jmp     fail
3:      hlt
        jmp     3b

        .balign 4
packet: .byte   16, 0
        .word   loader_sectors
        .word   DISK_LOADER_ADDRESS, 0
        .quad   DISK_LOADER_AT
drive:  .byte   0
no_extensions:
        .asciz  "fata: this BIOS cannot read disks by sector\r\n"
no_loader:
        .asciz  "fata: cannot read the boot loader\r\n"

        /* The disk's signature and the partitions are the packer's. */
        .org    sector0 + 510
        .word   0xaa55

        /* --- The rest, in 16-bit mode --- */
        .section .start, "awx"
start16:
        cli
        lgdt    descriptors_at
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $CODE32, $start32

        .code32
start32:
        movw    $DATA32, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $sector0, %esp
        movw    $TASK, %ax
        ltr     %ax
        movl    $bss_start, %edi
        movl    $bss_end, %ecx
        subl    %edi, %ecx
        xorl    %eax, %eax
        cld
        rep stosb
        movzbl  drive, %eax
        pushl   %eax
        call    loader
1:      hlt
        jmp     1b

/*
 * void bios(unsigned interrupt, struct registers *registers): as loader.c has
 * it. The stack is one that 16-bit code can use as well.
 */
        .globl  bios
bios:
        pushal
        movl    36(%esp), %eax
        movb    %al, number
        movl    40(%esp), %esi
        movl    %esi, registers_at
        movl    $call_registers, %edi
        movl    $10, %ecx
        cld
        rep movsl
        movl    %esp, stack_at
        lidt    bios_interrupts
        ljmp    $CODE16, $leave
        .code16
leave:  movw    $DATA16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    %ax, %fs
        movw    %ax, %gs
        movl    stack_at, %esp
        movw    call_registers + 28, %es
        movl    call_registers + 0, %eax
        movl    call_registers + 4, %ebx
        movl    call_registers + 8, %ecx
        movl    call_registers + 12, %edx
        movl    call_registers + 16, %esi
        movl    call_registers + 20, %edi
        sti
        .byte   0xcd    /* int */
number: .byte   0
        cli
        cld
        pushfl
        pushw   %ds
        pushw   $0
        popw    %ds
        movl    %eax, call_registers + 0
        movl    %ebx, call_registers + 4
        movl    %ecx, call_registers + 8
        movl    %edx, call_registers + 12
        movl    %esi, call_registers + 16
        movl    %edi, call_registers + 20
        popw    %ax
        popl    call_registers + 24
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdt    descriptors_at
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $CODE32, $2f
        .code32
2:      movw    $DATA32, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    stack_at, %esp
        movl    $call_registers, %esi
        movl    registers_at, %edi
        movl    $10, %ecx
        cld
        rep movsl
        popal
        ret

/* void enter(uint32_t entry, uint32_t start_info): as PVH wants it. */
        .globl  enter
enter:
        cli
        movl    4(%esp), %eax
        movl    8(%esp), %ebx
        xorl    %ebp, %ebp
        xorl    %esi, %esi
        xorl    %edi, %edi
        cld
        jmp     *%eax

        .balign 8
descriptors:
        .quad   0
        .quad   0x00cf9b000000ffff      /* code, 32 bits, all memory */
        .quad   0x00cf93000000ffff      /* data, likewise */
        .quad   0x00009b000000ffff      /* code, 16 bits, 64 KiB */
        .quad   0x000093000000ffff      /* data, likewise */
        .word   0x67, task, 0x8900, 0   /* a task's state, which PVH wants */
descriptors_end:
descriptors_at:
        .word   descriptors_end - descriptors - 1
        .long   descriptors
bios_interrupts:
        .word   0x3ff
        .long   0
        .balign 4
stack_at:
        .long   0
registers_at:
        .long   0
call_registers:
        .fill   10, 4, 0
task:   .fill   104, 1, 0

        .section .note.GNU-stack, "", @progbits
