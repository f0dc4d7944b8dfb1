//! Where a seccomp filter forbids one of io_uring's system calls, as container engines' old profiles do, a node
//! says so in one sentence and creates nothing. (With `io_uring_register` forbidden it used to panic, beside a
//! data directory that it had begun.)

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]
#![allow(unsafe_code, reason = "prctl has no safe wrapper for filters")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The same numbers on every architecture.
const CALLS: [(&str, i64); 3] = [
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_register", libc::SYS_io_uring_register),
];

/// From now on this system call fails with `errno` for this thread, and for what it starts.
fn forbid(call: i64, errno: i32) {
    let step = |code: u32, jump_true, jump_false, operand| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: jump_true,
        jf: jump_false,
        k: operand,
    };
    let mut steps = [
        // The call's number is the first word of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::try_from(call).unwrap()),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | u32::try_from(errno).unwrap(),
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program =
        libc::sock_fprog { len: u16::try_from(steps.len()).unwrap(), filter: steps.as_mut_ptr() };
    // SAFETY: the kernel copies the filter, which lives longer than the call.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Runs `corelane` where a call is forbidden; the filter is that of a thread, and ends with it.
fn corelane_without(call: i64, errno: i32, words: &[&str]) -> Output {
    std::thread::scope(|scope| {
        let run = || {
            forbid(call, errno);
            let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
            command.args(words).stdin(Stdio::null()).output().unwrap()
        };
        scope.spawn(run).join().unwrap()
    })
}

#[test]
fn a_forbidden_call_is_named_before_anything_is_created() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = place.path().join("data");
    let words = ["serve", "--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    for (name, call) in CALLS {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let output = corelane_without(call, errno, &words);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}, {errno}: {said}");
            assert_eq!(said.lines().count(), 1, "{name}, {errno}: {said}");
            assert!(said.contains("seccomp"), "{name}, {errno}: {said}");
            assert!(said.contains("docker run --security-opt seccomp=unconfined"), "{said}");
            let is_named = said.contains(&format!("({name}: ")) || said.contains("has no io_uring");
            assert!(is_named, "{name}, {errno}: {said}");
            assert!(!Path::new(&data).exists(), "{name}, {errno}");
        }
    }
}

#[test]
fn doctor_names_the_same_call_and_the_filter() {
    for (name, call) in CALLS {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let output = corelane_without(call, errno, &["doctor", "--admin", "127.0.0.1:1"]);
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}, {errno}: {said}");
            let finding = said.lines().find(|line| line.contains("an io_uring ring")).unwrap();
            assert!(finding.starts_with("fatal"), "{finding}");
            assert!(finding.contains(&format!("{name} refused")), "{finding}");
            assert!(said.contains("to mend it"), "{said}");
        }
    }
}
