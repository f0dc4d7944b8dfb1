"""The disk under test: image, recorder, loop device, mount; and the images that cuts leave behind.

Everything lives in a private mount namespace (see `run`), loop devices are detached as soon as they
are mounted (the kernel frees them at the unmount), and the recorder dies with its parent. So even a
SIGKILL of the script leaves nothing mounted.
"""

import os
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

MAKE_FILE_SYSTEM = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
}
# Ends with the script, however that ends: a process left behind would hold the mounts.
ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
RECORDER_START_SECONDS_MAX = 10.0
# See engine/src/disk/planted.rs.
UNSYNCED_NAME = "user.corelane.unsynced-name"
UNMOUNT_SECONDS_MAX = 20.0


def call(*command):
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed ({done.returncode}): {done.stdout.strip()}")
    return done.stdout.strip()


def unmount(path):
    """A process that was just killed may hold the mount for a moment longer."""
    end = time.monotonic() + UNMOUNT_SECONDS_MAX
    while os.path.ismount(path):
        done = subprocess.run(["umount", str(path)], capture_output=True, text=True)
        if done.returncode != 0 and time.monotonic() > end:
            subprocess.run(["umount", "--lazy", str(path)])
            raise RuntimeError(f"{path} stays busy: {done.stderr.strip()}")
        if done.returncode != 0:
            time.sleep(0.05)


def mount(backing, file_system, where, direct_io):
    where.mkdir(parents=True, exist_ok=True)
    flag = "on" if direct_io else "off"
    device = call("losetup", "--find", "--show", f"--direct-io={flag}", backing)
    try:
        name = device.removeprefix("/dev/")
        cache = Path(f"/sys/block/{name}/queue/write_cache").read_text().strip()
        if cache != "write back":
            raise RuntimeError(f"{device} has a {cache} cache: it would send no flushes")
        call("mount", "-t", file_system, device, where)
    finally:
        call("losetup", "--detach", device)  # in use: freed at the unmount


class RecordedDisk:
    """A mounted file system whose every write and flush is recorded."""

    def __init__(self, work, programs, file_system, size_mib, delay_us, seed):
        self.work, self.programs, self.file_system = work, programs, file_system
        self.delay_us, self.seed = delay_us, seed
        self.durable, self.live = work / "durable.img", work / "live.img"
        self.log, self.counter, self.fuse, self.mounted = work / "log", work / "counter", work / "fuse", work / "mnt"
        self.recorder = None
        with open(self.durable, "wb") as image:
            image.truncate(size_mib << 20)
        call(*MAKE_FILE_SYSTEM[file_system], self.durable)
        call("cp", "--sparse=always", self.durable, self.live)

    def __enter__(self):
        self.fuse.mkdir()
        self.recorder = subprocess.Popen(
            [self.programs / "recorder", self.live, self.log, self.counter, self.fuse, str(self.delay_us), str(self.seed)]
        )
        try:
            end = time.monotonic() + RECORDER_START_SECONDS_MAX
            while not os.path.ismount(self.fuse):
                if self.recorder.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the recorder did not start")
                time.sleep(0.02)
            mount(self.fuse / "image", self.file_system, self.mounted, direct_io=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            unmount(self.mounted)
            unmount(self.fuse)
        finally:
            self.recorder.send_signal(signal.SIGTERM)
            try:
                self.recorder.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.recorder.kill()

    def sequence(self):
        return struct.unpack("<Q", self.counter.read_bytes())[0]


class CutDisk:
    """The file system as a power cut at `cut` left it, mounted. Cuts must ascend."""

    def __init__(self, recorded, cut, seed):
        self.recorded, self.cut, self.seed = recorded, cut, seed
        self.image, self.mounted = recorded.work / "cut.img", recorded.work / "cut"
        self.tally = "not rebuilt"

    def __enter__(self):
        recorded = self.recorded
        self.tally = call(
            recorded.programs / "replayer", recorded.log, recorded.durable, self.cut, self.seed, self.image
        )
        mount(self.image, recorded.file_system, self.mounted, direct_io=False)
        return self

    def __exit__(self, *_):
        unmount(self.mounted)

    def remove_unsynced_names(self):
        """Takes away the new files whose names the node had not made durable: their marks say so."""
        for folder, _, names in os.walk(self.mounted):
            for path in (os.path.join(folder, name) for name in names):
                if UNSYNCED_NAME in os.listxattr(path):
                    os.unlink(path)

    def keep(self, where):
        """Keeps the image of a failure for a look at it."""
        where.parent.mkdir(parents=True, exist_ok=True)
        call(self.recorded.programs / "replayer", self.recorded.log, self.recorded.durable, self.cut, self.seed, where)


def fresh_directory(path):
    """Makes it, and removes what killed runs have left beside it: their names end in their process id."""
    for left in path.parent.glob("run-*"):
        if not Path(f"/proc/{left.name.rsplit('-', 1)[-1]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
