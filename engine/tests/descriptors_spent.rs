//! Opening files when the process has no descriptor left: the operation waits and is done later. A test
//! binary of its own, because the limit is the process's.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use engine::disk::FileSystem;
use engine::disk::real::{DataAccess, RealFileSystem};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Once the log directory went offline: the failure of an operation is a failure of the disk.
#[test]
fn a_file_is_opened_when_there_is_a_descriptor_again() {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tests");
    std::fs::create_dir_all(&parent).unwrap();
    let root = tempfile::tempdir_in(parent).unwrap();
    let files = Arc::new(RealFileSystem::open(root.path(), DataAccess::Buffered).unwrap());
    files.write_file("small".as_ref(), b"before").unwrap();

    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..before }).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let helper = {
        let files = Arc::clone(&files);
        thread::spawn(move || files.write_file("small".as_ref(), b"after"))
    };
    while files.descriptors_spent() == 0 && !helper.is_finished() {
        thread::yield_now();
    }
    drop(taken);
    helper.join().unwrap().unwrap();
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(files.length("small".as_ref()), Ok(5));
    assert!(files.descriptors_spent() > 0);
}
