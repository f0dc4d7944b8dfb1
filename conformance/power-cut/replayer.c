/* Builds the disk as a power cut would have left it.
 *
 *   replayer LOG DURABLE CUT SEED OUT
 *
 * DURABLE  starts as a copy of the image that the recording began with and is moved forward to what is
 *          on stable storage at CUT; cuts must be asked for in ascending order. How far it has come
 *          stands in DURABLE.position.
 * OUT      DURABLE plus the writes in doubt: begun by CUT and not covered by a flush completed by CUT.
 *
 * The seed draws one fate for the cut (everything in doubt lost; everything kept; or, mostly, each
 * write on its own: kept, lost, or torn into an arbitrary subset of its 512-byte sectors).
 * The kernel does not have two overlapping writes in flight; of writes one after the other to the same
 * sector, an older one may be on the medium and the newer not, never the other way round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording.h"

struct write_event {
    uint64_t seq, done, offset, length;
    off_t data; /* position in the log, -1 for zeros */
};

struct recording {
    struct write_event *writes;
    size_t count;
    uint64_t flushed_before; /* writes done before this sequence are on stable storage */
};

enum fate { FATE_LOST, FATE_KEPT, FATE_TORN };

struct tally {
    uint64_t durable, kept, lost, torn;
};

static void die(const char *what) {
    fprintf(stderr, "replayer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void *grow(void *list, size_t *capacity, size_t item) {
    *capacity = *capacity ? *capacity * 2 : 1024;
    list = realloc(list, *capacity * item);
    if (!list) die("memory");
    return list;
}

static struct write_event *find_write(struct recording *rec, uint64_t seq) {
    size_t low = 0, high = rec->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rec->writes[middle].seq < seq) low = middle + 1;
        else high = middle;
    }
    return low < rec->count && rec->writes[low].seq == seq ? &rec->writes[low] : NULL;
}

/* Reads all events up to and including `cut`. */
static struct recording read_log(int log, uint64_t cut) {
    struct recording rec = {0};
    size_t capacity = 0;
    off_t position = 0;
    struct event event;
    uint64_t expected = 1;
    while (pread(log, &event, sizeof event, position) == (ssize_t)sizeof event && event.seq <= cut) {
        if (event.magic != RECORDING_MAGIC || event.seq != expected++) errno = EBADMSG, die("log");
        position += (off_t)sizeof event;
        if (event.kind == EVENT_WRITE || event.kind == EVENT_ZERO) {
            if (rec.count == capacity) rec.writes = grow(rec.writes, &capacity, sizeof *rec.writes);
            rec.writes[rec.count++] = (struct write_event){event.seq, UINT64_MAX, event.offset, event.length,
                                                           event.kind == EVENT_WRITE ? position : -1};
            if (event.kind == EVENT_WRITE) position += (off_t)event.length;
        } else if (event.kind == EVENT_DONE) {
            struct write_event *write = find_write(&rec, event.refers);
            if (!write) errno = EBADMSG, die("log");
            write->done = event.seq;
        } else if (event.kind == EVENT_FLUSHED && event.refers > rec.flushed_before) {
            rec.flushed_before = event.refers;
        }
    }
    return rec;
}

static void apply_sectors(int log, int image, const struct write_event *write, enum fate fate, uint64_t *random) {
    char *data = calloc(1, write->length);
    if (!data) die("memory");
    if (write->data >= 0 && pread(log, data, write->length, write->data) != (ssize_t)write->length) die("log data");
    uint64_t step = fate == FATE_TORN ? SECTOR_BYTES : write->length;
    for (uint64_t at = 0; at < write->length; at += step) {
        uint64_t length = write->length - at < step ? write->length - at : step;
        if (fate == FATE_TORN && (next_random(random) & 1)) continue;
        if (pwrite(image, data + at, length, (off_t)(write->offset + at)) != (ssize_t)length) die("image");
    }
    free(data);
}

static enum fate draw_fate(uint64_t mode, uint64_t *random) {
    if (mode == 0) return FATE_LOST;
    if (mode == 1) return FATE_KEPT;
    return (enum fate)(next_random(random) % 3);
}

/* A whole large write of zeros is a hole: keeps the copies small. */
static void apply(int log, int image, const struct write_event *write, enum fate fate, uint64_t *random) {
    if (fate == FATE_LOST) return;
    if (write->data < 0 && fate == FATE_KEPT &&
        fallocate(image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)write->offset, (off_t)write->length) == 0)
        return;
    apply_sectors(log, image, write, fate, random);
}

static uint64_t read_position(const char *durable_path, char *position_path, size_t size) {
    unsigned long long position = 0;
    snprintf(position_path, size, "%s.position", durable_path);
    FILE *file = fopen(position_path, "r");
    if (!file) return 0;
    if (fscanf(file, "%llu", &position) != 1) die(position_path);
    fclose(file);
    return position;
}

static void copy_sparse(int from, const char *path) {
    unlink(path);
    int to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t end = lseek(from, 0, SEEK_END);
    if (to < 0 || end < 0 || ftruncate(to, end) != 0) die(path);
    for (off_t at = lseek(from, 0, SEEK_DATA); at >= 0 && at < end; at = lseek(from, at, SEEK_DATA)) {
        off_t hole = lseek(from, at, SEEK_HOLE), source = at, target = at;
        while (source < hole)
            if (copy_file_range(from, &source, to, &target, (size_t)(hole - source), 0) <= 0) die("copy");
        at = hole;
    }
    close(to);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: replayer LOG DURABLE CUT SEED OUT\n");
        return 2;
    }
    uint64_t cut = strtoull(argv[3], NULL, 10), random = strtoull(argv[4], NULL, 10) ^ (cut * 0x2545f4914f6cdd1dull);
    char position_path[4096];
    uint64_t position = read_position(argv[2], position_path, sizeof position_path);
    int log = open(argv[1], O_RDONLY | O_CLOEXEC), durable = open(argv[2], O_RDWR | O_CLOEXEC);
    if (log < 0 || durable < 0) die("open");
    struct recording rec = read_log(log, cut);
    if (rec.flushed_before < position) errno = EINVAL, die("cuts must ascend");
    struct tally tally = {0};
    for (size_t i = 0; i < rec.count; i++) {
        struct write_event *write = &rec.writes[i];
        if (write->done < rec.flushed_before) {
            tally.durable++;
            if (write->done >= position) apply(log, durable, write, FATE_KEPT, &random);
        }
    }
    copy_sparse(durable, argv[5]);
    int out = open(argv[5], O_RDWR | O_CLOEXEC);
    if (out < 0) die(argv[5]);
    uint64_t mode = next_random(&random) % 8;
    for (size_t i = 0; i < rec.count; i++) {
        struct write_event *write = &rec.writes[i];
        if (write->done < rec.flushed_before) continue;
        enum fate fate = draw_fate(mode, &random);
        tally.lost += fate == FATE_LOST, tally.kept += fate == FATE_KEPT, tally.torn += fate == FATE_TORN;
        apply(log, out, write, fate, &random);
    }
    FILE *file = fopen(position_path, "w");
    if (!file || fprintf(file, "%llu\n", (unsigned long long)rec.flushed_before) < 0 || fclose(file) != 0)
        die(position_path);
    printf("durable %llu kept %llu lost %llu torn %llu\n", (unsigned long long)tally.durable,
           (unsigned long long)tally.kept, (unsigned long long)tally.lost, (unsigned long long)tally.torn);
    return 0;
}
