/*
 * The peer of examples/hello: a static C program that prints the same. What
 * it prints is given, so that both print the same bytes.
 */
#include <stdio.h>

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (puts(argv[i]) == EOF)
            return 1;
    }
    return 0;
}
