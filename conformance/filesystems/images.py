"""File systems in loop images, in a mount namespace of our own: whatever happens, nothing stays mounted.

Belongs here: making and mounting. Loop devices are made by mount itself, which detaches them with the last mount.
"""

import os
import subprocess
import sys

from harness import install

IN_NAMESPACE = "CONFORMANCE_MOUNT_NAMESPACE"
PACKAGES = {"xfs": "xfsprogs", "btrfs": "btrfs-progs", "ext4": "e2fsprogs"}
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}


def in_own_namespace():
    """Goes on in a mount namespace of its own, which the kernel takes down with its last process."""
    if os.geteuid():
        sys.exit("filesystems: mounting needs root; run it with sudo")
    if IN_NAMESPACE not in os.environ:
        os.environ[IN_NAMESPACE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def call(*command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")


class Mounted:
    """`kind` with `mib` of space, mounted at `home`/mounted while the block lasts."""

    def __init__(self, home, kind, mib):
        self.home, self.kind, self.mib = home, kind, mib
        self.path, self.mounts = home / "mounted", []

    def __enter__(self):
        self.home.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(exist_ok=True)
        try:
            getattr(self, f"_{self.kind}", self._image)(self.kind)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for path in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", path], check=False)
        self.mounts = []
        for image in self.home.glob("*.image"):
            image.unlink()

    def _mount(self, at, *options):
        call("mount", *options, at)
        self.mounts.append(at)

    def _image(self, kind, at=None):
        if subprocess.run(["which", MAKE[kind][0]], capture_output=True, check=False).returncode:
            install.debian(PACKAGES[kind])
        image = self.home / f"{kind}.image"
        with image.open("wb") as file:
            file.truncate(self.mib << 20)
        call(*MAKE[kind], image)
        self._mount(at or self.path, "-o", "loop", image)

    def _overlay(self, _kind):
        below = self.home / "ext4"
        below.mkdir(exist_ok=True)
        self._image("ext4", below)
        for name in ("lower", "upper", "work"):
            (below / name).mkdir()
        layers = f"lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work"
        self._mount(self.path, "-t", "overlay", "overlay", "-o", layers)

    def _tmpfs(self, _kind):
        self._mount(self.path, "-t", "tmpfs", "-o", f"size={self.mib}m", "tmpfs")

    def remount(self, how):
        call("mount", "-o", f"remount,{how}", self.path)

    def free_bytes(self):
        what = os.statvfs(self.path)
        return what.f_bavail * what.f_frsize
