/* What the examples share: ending with the library's own sentence when a call fails. */
#ifndef CHECK_H
#define CHECK_H

#include <choria.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program unless `result` is CHORIA_OK. */
static inline void check(choria_result result, const char *what)
{
    if (result == CHORIA_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, choria_result_name(result), choria_last_error());
    exit(1);
}

/* Ends the program when it was not started with `count` arguments. */
static inline void usage(int argc, char **argv, int count, const char *arguments)
{
    if (argc - 1 == count)
        return;
    fprintf(stderr, "usage: %s %s\n", argv[0], arguments);
    exit(2);
}

#endif
