//! Which container runs us, and its system-call filter: Docker's default one refuses io_uring.

use std::path::Path;

use serde::Serialize;

use crate::host_root::{HostRoot, field};
use crate::mounts::Mount;

/// The container as far as it can be told from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerFacts {
    pub container: Option<Container>,
    pub seccomp: Seccomp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    Docker,
    Podman,
    Kubernetes,
    Lxc,
    SystemdNspawn,
    /// A container that gives no name.
    Unnamed,
}

/// The process's system-call filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// No filter.
    Off,
    /// A filter decides: Docker, Podman, Kubernetes, systemd units with `SystemCallFilter=`.
    Filtered,
    /// The kernel or the container does not tell.
    Unknown,
}

impl ContainerFacts {
    pub(crate) fn read(host: &HostRoot) -> Self {
        let status = host.text("/proc/self/status").unwrap_or_default();
        let seccomp = match field(&status, "Seccomp") {
            Some("0") => Seccomp::Off,
            Some("1" | "2") => Seccomp::Filtered,
            _ => Seccomp::Unknown,
        };
        Self { container: Container::detect(host, seccomp), seccomp }
    }
}

impl Container {
    /// From the surest sign to the weakest.
    fn detect(host: &HostRoot, seccomp: Seccomp) -> Option<Self> {
        // Entries of an environment are separated by NUL; each is `NAME=value`.
        let environment = host.text("/proc/self/environ").unwrap_or_default();
        let variable = |name: &str| {
            environment.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
        };
        let first_process = host.text("/proc/1/cgroup").unwrap_or_default();
        let group_names = |word: &str| first_process.contains(word);
        if variable("KUBERNETES_SERVICE_HOST").is_some() || group_names("kubepods") {
            return Some(Self::Kubernetes);
        }
        if host.exists("/run/.containerenv") || group_names("libpod") {
            return Some(Self::Podman);
        }
        let docker_image = host.exists("/.dockerenv");
        let contained = seccomp == Seccomp::Filtered || !root_is_a_disk(host);
        if (docker_image && contained) || group_names("docker") {
            return Some(Self::Docker);
        }
        match variable("container") {
            Some("podman") => Some(Self::Podman),
            Some("docker") => Some(Self::Docker),
            Some("lxc" | "lxc-libvirt") => Some(Self::Lxc),
            Some("systemd-nspawn") => Some(Self::SystemdNspawn),
            Some(_) => Some(Self::Unnamed),
            None if group_names("/lxc") => Some(Self::Lxc),
            None if group_names("containerd") => Some(Self::Unnamed),
            None => None,
        }
    }
}

/// A virtual machine whose disk was made from a container's image still has that image's files.
fn root_is_a_disk(host: &HostRoot) -> bool {
    let mounts = Mount::all(host);
    let root = Mount::holding(&mounts, Path::new("/"));
    root.is_some_and(|mount| mount.source.starts_with("/dev/"))
}
