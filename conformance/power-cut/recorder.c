/* A FUSE file system with one file, `image`: a disk that remembers the order of all that happened to it.
 *
 *   recorder IMAGE LOG COUNTER MOUNTPOINT [DELAY_US] [SEED]
 *
 * IMAGE    the backing file of the disk
 * LOG      gets every write and flush (recording.h)
 * COUNTER  8 bytes, little-endian: the last sequence number given out. Whoever is told that a record
 *          is safe maps this file and reads the number *afterwards*: every cut at that number or later
 *          must keep the record.
 * DELAY_US each write takes a random time up to this, so that writes complete in any order and are in
 *          flight while others are flushed
 *
 * A loop device with direct I/O stands on the file; its FLUSH requests arrive here as FSYNC.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 34

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <signal.h>
#include <unistd.h>

#include "recording.h"

enum { INODE_ROOT = FUSE_ROOT_ID, INODE_IMAGE = 2, WRITE_BYTES_MAX = 1 << 20 };
static const char IMAGE_NAME[] = "image";

static int image_fd, log_fd;
static uint64_t image_bytes;
static _Atomic uint64_t *counter;
static unsigned delay_us_max;
static uint64_t delay_state;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what) {
    perror(what);
    _exit(1);
}

/* Appends one event under the lock; the counter moves only once the event is in the log. */
static uint64_t record(uint32_t kind, uint64_t refers, uint64_t offset, uint64_t length, const void *data) {
    pthread_mutex_lock(&log_lock);
    uint64_t seq = atomic_load(counter) + 1;
    struct event event = {RECORDING_MAGIC, kind, seq, refers, offset, length};
    struct iovec parts[2] = {{&event, sizeof event}, {(void *)data, data ? length : 0}};
    size_t left = sizeof event + parts[1].iov_len;
    ssize_t written = writev(log_fd, parts, 2);
    if (written < 0 || (size_t)written != left) die("recorder: write of the log");
    atomic_store(counter, seq);
    pthread_mutex_unlock(&log_lock);
    return seq;
}

static void random_delay(void) {
    if (delay_us_max == 0) return;
    pthread_mutex_lock(&log_lock);
    delay_state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = delay_state;
    pthread_mutex_unlock(&log_lock);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    usleep((useconds_t)(z % (delay_us_max + 1)));
}

static void fill_attributes(fuse_ino_t inode, struct stat *st) {
    memset(st, 0, sizeof *st);
    st->st_ino = inode;
    if (inode == INODE_ROOT) {
        st->st_mode = S_IFDIR | 0755;
        st->st_nlink = 2;
    } else {
        st->st_mode = S_IFREG | 0600;
        st->st_nlink = 1;
        st->st_size = (off_t)image_bytes;
        st->st_blksize = 4096;
        st->st_blocks = (blkcnt_t)(image_bytes / 512);
    }
}

static void on_init(void *context, struct fuse_conn_info *conn) {
    (void)context;
    conn->max_write = WRITE_BYTES_MAX;
    conn->max_background = 128;
    conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
    conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct fuse_entry_param entry = {.ino = INODE_IMAGE, .attr_timeout = 3600, .entry_timeout = 3600};
    if (parent != INODE_ROOT || strcmp(name, IMAGE_NAME) != 0) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fill_attributes(INODE_IMAGE, &entry.attr);
    fuse_reply_entry(req, &entry);
}

static void on_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info) {
    (void)info;
    struct stat st;
    fill_attributes(inode, &st);
    fuse_reply_attr(req, &st, 3600);
}

/* The size is fixed; times and modes are not kept. */
static void on_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *attr, int to_set, struct fuse_file_info *info) {
    (void)attr;
    if (to_set & FUSE_SET_ATTR_SIZE) fuse_reply_err(req, EPERM);
    else on_getattr(req, inode, info);
}

static void on_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info) {
    if (inode != INODE_IMAGE) {
        fuse_reply_err(req, EISDIR);
        return;
    }
    info->direct_io = 1; /* no page cache between the loop device and the log */
    fuse_reply_open(req, info);
}

static void on_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)inode, (void)info;
    char *buffer = malloc(size);
    if (!buffer) die("recorder: malloc");
    ssize_t got = pread(image_fd, buffer, size, offset);
    if (got < 0) fuse_reply_err(req, errno);
    else fuse_reply_buf(req, buffer, (size_t)got);
    free(buffer);
}

static void on_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *info) {
    (void)inode, (void)info;
    if ((uint64_t)offset + size > image_bytes) {
        fuse_reply_err(req, EFBIG);
        return;
    }
    uint64_t seq = record(EVENT_WRITE, 0, (uint64_t)offset, size, data);
    if (pwrite(image_fd, data, size, offset) != (ssize_t)size) die("recorder: write of the image");
    random_delay();
    record(EVENT_DONE, seq, 0, 0, NULL);
    fuse_reply_write(req, size);
}

static void on_fallocate(fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length,
                         struct fuse_file_info *info) {
    (void)inode, (void)info;
    if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) || (uint64_t)(offset + length) > image_bytes) {
        fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    uint64_t seq = record(EVENT_ZERO, 0, (uint64_t)offset, (uint64_t)length, NULL);
    if (fallocate(image_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) != 0)
        die("recorder: punch in the image");
    record(EVENT_DONE, seq, 0, 0, NULL);
    fuse_reply_err(req, 0);
}

/* The backing file itself needs no sync: the machine below the recorder does not lose power. */
static void on_fsync(fuse_req_t req, fuse_ino_t inode, int datasync, struct fuse_file_info *info) {
    (void)inode, (void)datasync, (void)info;
    uint64_t seq = record(EVENT_FLUSH, 0, 0, 0, NULL);
    random_delay();
    record(EVENT_FLUSHED, seq, 0, 0, NULL);
    fuse_reply_err(req, 0);
}

static void on_statfs(fuse_req_t req, fuse_ino_t inode) {
    (void)inode;
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_blocks = image_bytes / 4096, .f_namemax = 255};
    fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init, .lookup = on_lookup, .getattr = on_getattr, .setattr = on_setattr, .open = on_open,
    .read = on_read, .write = on_write, .fallocate = on_fallocate, .fsync = on_fsync, .statfs = on_statfs,
};

static void open_files(char **argv) {
    image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
    if (image_fd < 0) die(argv[1]);
    image_bytes = (uint64_t)lseek(image_fd, 0, SEEK_END);
    log_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log_fd < 0) die(argv[2]);
    int fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 8) != 0) die(argv[3]);
    counter = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (counter == MAP_FAILED) die(argv[3]);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: recorder IMAGE LOG COUNTER MOUNTPOINT [DELAY_US] [SEED]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlives the script */
    open_files(argv);
    delay_us_max = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 0;
    delay_state = argc > 6 ? strtoull(argv[6], NULL, 10) : 1;
    char *fuse_argv[] = {argv[0], "-ofsname=power-cut,default_permissions", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, fuse_argv);
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (!session || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, argv[4]) != 0) return 1;
    struct fuse_loop_config config = {.clone_fd = 0, .max_idle_threads = 16};
    int result = fuse_session_loop_mt(session, &config);
    fuse_session_unmount(session);
    fuse_remove_signal_handlers(session);
    fuse_session_destroy(session);
    return result == 0 ? 0 : 1;
}
