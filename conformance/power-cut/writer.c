/* The smallest program that makes the broker's promises: proves recorder, replayer and file system.
 *
 *   writer run    DIRECTORY COUNTER ACKS SECONDS MODE      works until the time is over, logs what is safe
 *   writer verify DIRECTORY ACKS CUT                       checks what was safe at CUT; 1 = loss
 *
 * MODE dsync      O_DIRECT writes with RWF_DSYNC to a prewritten and to an unwritten file, new files
 *                 made with fsync, rename and a sync of the directory
 *      plain      the same writes without RWF_DSYNC: must be found out
 *      no-fsync   files are renamed into place unsynced: must be found out
 *      no-dirsync files are renamed into place without the sync of the directory: must be found out
 *
 * ACKS has lines "w FILE BLOCK GENERATION BEFORE SEQ" (block of 4 KiB, all bytes derived from the first
 * three; BEFORE and SEQ: the recorder's counter read before the write and after it returned) and
 * "f NUMBER SEQ" (file f-NUMBER, 8 KiB derived from NUMBER).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096, BLOCKS = 4096, FILES = 2, NEW_FILE_BYTES = 8192, RUN_BLOCKS_MAX = 16 };
static const char *const DATA_FILES[FILES] = {"prewritten", "unwritten"};

static void die(const char *what) {
    fprintf(stderr, "writer: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* All eight-byte words of a block are equal in every sector but for a mix with their position. */
static void fill(void *into, size_t bytes, uint64_t file, uint64_t block, uint64_t generation) {
    uint64_t *words = into, base = (generation << 24) ^ (block << 4) ^ file;
    for (size_t i = 0; i < bytes / 8; i++) words[i] = base * 0x9e3779b97f4a7c15ull ^ i;
    words[0] = generation;
}

static int matches(const void *data, size_t bytes, uint64_t file, uint64_t block) {
    static uint64_t expected[NEW_FILE_BYTES / 8];
    fill(expected, bytes, file, block, *(const uint64_t *)data);
    return memcmp(expected, data, bytes) == 0;
}

static void prewrite(int dir) {
    char *zeros = calloc(1, 1 << 20);
    for (int f = 0; f < FILES; f++) {
        int fd = openat(dir, DATA_FILES[f], O_RDWR | O_CREAT, 0600);
        if (fd < 0 || posix_fallocate(fd, 0, (off_t)BLOCKS * BLOCK_BYTES) != 0) die(DATA_FILES[f]);
        for (int at = 0; f == 0 && at < BLOCKS * BLOCK_BYTES; at += 1 << 20)
            if (pwrite(fd, zeros, 1 << 20, at) != 1 << 20) die("prewrite");
        if (fsync(fd) != 0) die("fsync");
        close(fd);
    }
    if (fsync(dir) != 0) die("fsync of the directory");
    free(zeros);
}

static void new_file(int dir, unsigned number, int sync_file, int sync_directory) {
    static uint64_t data[NEW_FILE_BYTES / 8];
    char name[32], temporary[40];
    snprintf(name, sizeof name, "f-%u", number);
    snprintf(temporary, sizeof temporary, "%s.tmp", name);
    fill(data, sizeof data, 7, number, number);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, sizeof data) != (ssize_t)sizeof data) die(temporary);
    if (sync_file && fsync(fd) != 0) die("fsync");
    close(fd);
    if (renameat(dir, temporary, dir, name) != 0) die("rename");
    if (sync_directory && fsync(dir) != 0) die("fsync of the directory");
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(char **argv) {
    const char *mode = argv[6];
    int durable = strcmp(mode, "plain") != 0 ? RWF_DSYNC : 0;
    int dir = open(argv[2], O_RDONLY | O_DIRECTORY), counter_fd = open(argv[3], O_RDONLY), fd[FILES];
    _Atomic uint64_t *counter = mmap(NULL, 8, PROT_READ, MAP_SHARED, counter_fd, 0);
    FILE *acks = fopen(argv[4], "w");
    if (dir < 0 || counter == MAP_FAILED || !acks) die("open");
    prewrite(dir);
    for (int f = 0; f < FILES; f++)
        if ((fd[f] = openat(dir, DATA_FILES[f], O_RDWR | O_DIRECT)) < 0) die(DATA_FILES[f]);
    char *blocks;
    if (posix_memalign((void **)&blocks, BLOCK_BYTES, RUN_BLOCKS_MAX * BLOCK_BYTES) != 0) die("memory");
    uint64_t random = 1;
    double end = seconds_now() + atof(argv[5]);
    unsigned number = 0;
    for (uint64_t generation = 1; seconds_now() < end; generation++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        unsigned f = (unsigned)(random >> 33) % FILES, run = 1 + (unsigned)(random >> 40) % RUN_BLOCKS_MAX;
        unsigned first = (unsigned)(random >> 45) % (BLOCKS - RUN_BLOCKS_MAX);
        for (unsigned b = 0; b < run; b++) fill(blocks + b * BLOCK_BYTES, BLOCK_BYTES, f, first + b, generation);
        struct iovec part = {blocks, run * BLOCK_BYTES};
        uint64_t before = atomic_load(counter);
        if (pwritev2(fd[f], &part, 1, (off_t)first * BLOCK_BYTES, durable) != (ssize_t)part.iov_len) die("write");
        uint64_t seq = atomic_load(counter);
        for (unsigned b = 0; b < run; b++)
            fprintf(acks, "w %u %u %llu %llu %llu\n", f, first + b, (unsigned long long)generation,
                    (unsigned long long)before, (unsigned long long)seq);
        if (generation % 16 == 0) {
            new_file(dir, number, strcmp(mode, "no-fsync") != 0, strcmp(mode, "no-dirsync") != 0);
            fprintf(acks, "f %u %llu\n", number++, (unsigned long long)atomic_load(counter));
        }
        fflush(acks);
    }
    return 0;
}

/* A later write of the block, safe or not at the cut, may have replaced it, whole or torn: so a block is
 * lost only if its generation is below the safe one, and a torn block only if no later write had begun. */
struct block_state {
    uint64_t safe, begun;
};

static int lost_blocks(int dir, struct block_state state[FILES][BLOCKS], unsigned *checked) {
    static char data[BLOCK_BYTES];
    int lost = 0;
    for (int f = 0; f < FILES; f++) {
        int fd = openat(dir, DATA_FILES[f], O_RDONLY);
        for (unsigned b = 0; b < BLOCKS; b++) {
            if (state[f][b].safe == 0) continue;
            ++*checked;
            int read_all = fd >= 0 && pread(fd, data, sizeof data, (off_t)b * BLOCK_BYTES) == (ssize_t)sizeof data;
            int whole = read_all && matches(data, sizeof data, (uint64_t)f, b);
            int overwritten = state[f][b].begun > state[f][b].safe;
            if ((!whole && !overwritten) || (whole && *(uint64_t *)data < state[f][b].safe)) lost++;
        }
        if (fd >= 0) close(fd);
    }
    return lost;
}

static int lost_file(int dir, unsigned number) {
    static char data[NEW_FILE_BYTES];
    char name[32];
    snprintf(name, sizeof name, "f-%u", number);
    int fd = openat(dir, name, O_RDONLY);
    int good = fd >= 0 && read(fd, data, sizeof data) == (ssize_t)sizeof data && matches(data, sizeof data, 7, number);
    if (fd >= 0) close(fd);
    return !good;
}

static int verify(char **argv) {
    static struct block_state state[FILES][BLOCKS];
    unsigned long long cut = strtoull(argv[4], NULL, 10), generation, before, seq;
    int dir = open(argv[2], O_RDONLY | O_DIRECTORY), lost = 0, files_lost = 0;
    unsigned checked = 0, files = 0, f, b;
    FILE *acks = fopen(argv[3], "r");
    if (!acks || dir < 0) die("open");
    char line[128];
    while (fgets(line, sizeof line, acks)) {
        if (sscanf(line, "w %u %u %llu %llu %llu", &f, &b, &generation, &before, &seq) == 5) {
            if (seq <= cut) state[f][b].safe = generation;
            if (before < cut) state[f][b].begun = generation;
        } else if (sscanf(line, "f %u %llu", &b, &seq) == 2 && seq <= cut) {
            files++;
            files_lost += lost_file(dir, b);
        }
    }
    lost = lost_blocks(dir, state, &checked);
    printf("blocks %u lost %d files %u lost %d\n", checked, lost, files, files_lost);
    return lost + files_lost > 0;
}

int main(int argc, char **argv) {
    if (argc == 7 && strcmp(argv[1], "run") == 0) return run(argv);
    if (argc == 5 && strcmp(argv[1], "verify") == 0) return verify(argv);
    fprintf(stderr, "usage: writer run DIRECTORY COUNTER ACKS SECONDS MODE | writer verify DIRECTORY ACKS CUT\n");
    return 2;
}
