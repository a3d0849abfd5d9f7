/*
 * A program of the build: prints, as C, the programs for guests with 0, 1, ...
 * network devices (see cage.h).
 */
#include <stdio.h>

#include "tender/spt/cage.h"

int main(void)
{
    static struct solo5_entry entries[CAGE_TABLES];
    static struct device devices[CAGE_TABLES];
    static struct filter filter;
    unsigned counts[CAGE_TABLES];

    puts("/* Made by tender/spt/cage_table.c. */\n"
         "#include \"tender/spt/cage.h\"");
    for (unsigned n = 0; n < CAGE_TABLES; n++) {
        const struct cage cage = {.epollfd = CAGE_NO_DESCRIPTOR,
                                  .waits = true,
                                  .guards = true,
                                  .thread = 1,
                                  .devices = devices,
                                  .handles = n + 1};
        entries[n] = (struct solo5_entry){.type = SOLO5_DEVICE_NET,
                                          .hostfd = CAGE_NO_DESCRIPTOR + (int)n,
                                          .attached = 1};
        devices[n].entry = &entries[n];
        if (!cage_make(&filter, &cage)) {
            (void)fputs("cage_table: libseccomp cannot make a filter\n",
                        stderr);
            return 1;
        }
        printf("static const struct sock_filter nets_%u[] = {\n", n);
        for (unsigned i = 0; i < filter.count; i++) {
            const struct sock_filter *s = &filter.code[i];
            printf("    {0x%04x, %u, %u, 0x%08x},\n", s->code, s->jt, s->jf,
                   s->k);
        }
        puts("};");
        counts[n] = filter.count;
    }
    puts("const struct cage_table cage_tables[CAGE_TABLES] = {");
    for (unsigned n = 0; n < CAGE_TABLES; n++)
        printf("    {.count = %u, .code = nets_%u},\n", counts[n], n);
    puts("};");
    return ferror(stdout) != 0 || fflush(stdout) != 0;
}
