/* In front of a program's own: each flush to the disk takes FLUSH_MICROSECONDS more. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int after_a_while(const char *name, int file)
{
    const char *wait = getenv("FLUSH_MICROSECONDS");
    int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (wait) {
        long left = atol(wait);
        struct timespec rest = {left / 1000000, left % 1000000 * 1000};
        while (nanosleep(&rest, &rest))
            ; /* a signal ends it early */
    }
    return flush(file);
}

int fsync(int file) { return after_a_while("fsync", file); }
int fdatasync(int file) { return after_a_while("fdatasync", file); }
