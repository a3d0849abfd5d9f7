/*
 * A program of the build: prints, as C, the filter programs for guests with
 * 0, 1, ... network devices (see filter.h).
 */
#include <stdio.h>

#include "tender/spt/filter.h"

int main(void)
{
    static struct filter_program program;
    unsigned counts[FILTER_TABLES];

    puts("/* Made by tender/spt/filter_table.c. */\n"
         "#include \"tender/spt/filter.h\"");
    for (unsigned n = 0; n < FILTER_TABLES; n++) {
        int next = FILTER_FIRST_FD;
        struct filter_grants grants = {.net_count = n};

        grants.epollfd = next++;
        grants.timerfd = next++;
        for (unsigned i = 0; i < n; i++)
            grants.nets[i] = next++;
        if (!filter_make(&program, &grants)) {
            perror("filter_table: libseccomp cannot make a filter");
            return 1;
        }
        printf("static struct sock_filter filter_%u_nets[] = {\n", n);
        for (unsigned i = 0; i < program.count; i++) {
            const struct sock_filter *s = &program.instructions[i];
            printf("    {0x%04x, %u, %u, 0x%08x},\n", s->code, s->jt, s->jf,
                   s->k);
        }
        puts("};");
        counts[n] = program.count;
    }
    puts("const struct sock_fprog filter_tables[FILTER_TABLES] = {");
    for (unsigned n = 0; n < FILTER_TABLES; n++)
        printf("    {.len = %u, .filter = filter_%u_nets},\n", counts[n], n);
    puts("};");
    return ferror(stdout) != 0 || fflush(stdout) != 0;
}
