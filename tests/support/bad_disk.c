/* Makes the disk below BAD_DISK slow or full, for a process that is started with LD_PRELOAD.

   While there is a file $BAD_DISK_ORDERS/slow each access there takes two seconds; while there is $BAD_DISK_ORDERS/full,
   nothing there can be written or made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int ordered(const char *what) {
    const char *orders = getenv("BAD_DISK_ORDERS");
    char path[4096];
    if (!orders) return 0;
    snprintf(path, sizeof path, "%s/%s", orders, what);
    return access(path, F_OK) == 0;
}

static int below(const char *path) {
    const char *disk = getenv("BAD_DISK");
    return disk && path && strncmp(path, disk, strlen(disk)) == 0;
}

static int bad_path(const char *path, int writes) {
    struct timespec two = {2, 0};
    if (!below(path)) return 0;
    if (ordered("slow")) while (nanosleep(&two, &two)) {}
    return writes && ordered("full");
}

static int bad_file(int file, int writes) {
    char name[64], path[4096];
    ssize_t length;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    length = readlink(name, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return bad_path(path, writes);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FULL return errno = ENOSPC, -1

ssize_t write(int file, const void *data, size_t size) { if (bad_file(file, 1)) FULL; return REAL(write)(file, data, size); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { if (bad_file(file, 1)) FULL; return REAL(pwrite)(file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) { if (bad_file(file, 1)) FULL; return REAL(pwrite64)(file, data, size, at); }
ssize_t pread(int file, void *data, size_t size, off_t at) { bad_file(file, 0); return REAL(pread)(file, data, size, at); }
ssize_t pread64(int file, void *data, size_t size, off64_t at) { bad_file(file, 0); return REAL(pread64)(file, data, size, at); }
ssize_t read(int file, void *data, size_t size) { bad_file(file, 0); return REAL(read)(file, data, size); }
int fsync(int file) { bad_file(file, 0); return REAL(fsync)(file); }
int fdatasync(int file) { bad_file(file, 0); return REAL(fdatasync)(file); }
int mkdir(const char *path, mode_t mode) { if (bad_path(path, 1)) FULL; return REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { bad_path(from, 0); return REAL(rename)(from, to); }
int unlink(const char *path) { bad_path(path, 0); return REAL(unlink)(path); }

static mode_t mode_of(int flags, va_list rest) { return flags & O_CREAT ? va_arg(rest, mode_t) : 0; }

#define OPEN(call) \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = mode_of(flags, rest); \
    va_end(rest); \
    if (bad_path(path, flags & O_CREAT)) FULL; \
    return call

int open(const char *path, int flags, ...) { OPEN(REAL(open)(path, flags, mode)); }
int open64(const char *path, int flags, ...) { OPEN(REAL(open64)(path, flags, mode)); }
int openat(int folder, const char *path, int flags, ...) { OPEN(REAL(openat)(folder, path, flags, mode)); }
int openat64(int folder, const char *path, int flags, ...) { OPEN(REAL(openat64)(folder, path, flags, mode)); }
