//! The rules of docs/style.md and ARCHITECTURE.md that a program can check.
//!
//! A rule that needs an exception gets it here, in a table with a reason. The tables are ratchets: an
//! exception that is no longer needed fails too, and a limit may only go down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines without tests that a Rust file may have.
const FILE_LINES_MAX: usize = 600;

/// Files above [`FILE_LINES_MAX`], with the lines that they may have.
const LARGE_FILES: [(&str, usize); 0] = [];

/// Where `unsafe` may stand, and why.
const UNSAFE_ALLOWED: [(&str, &str); 2] = [
    ("runtime/", "the ring, the arena and the mailboxes hand memory to the kernel and other cores"),
    ("broker/tests/forbidden_calls.rs", "gives the program that it starts a seccomp filter"),
];

/// Where `async` and `.await` may stand, and why.
const ASYNC_ALLOWED: [(&str, &str); 2] = [
    ("runtime/", "the executor's tasks"),
    ("broker/src/shell", "performs effects and collects events"),
];

/// What documents say as an example of a path.
const PATHS_OF_NOTHING: [(&str, &str); 1] = [("docs/style.md", "foo/")];

/// Where Kafka's error codes may be named, and why.
const ERROR_CODE_ALLOWED: [(&str, &str); 7] = [
    ("protocol/", "defines them"),
    ("broker/src/error_code", "the one mapping from domain errors"),
    ("broker/src/handlers", "put the mapped code into the response"),
    ("broker/src/cli", "the command line reads codes in answers"),
    ("broker/tests/", "tests read codes in answers"),
    ("bench-harness/", "a client reads codes in answers"),
    ("simulation/", "simulated clients read codes in answers"),
];

/// Where locks and shared maps may stand, and why.
const LOCKS_ALLOWED: [(&str, &str); 0] = [];
const LOCKS: [&str; 4] = ["Mutex", "RwLock", "DashMap", "Condvar"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 13] = [
    "util",
    "utils",
    "common",
    "commons",
    "helper",
    "helpers",
    "misc",
    "miscellaneous",
    "manager",
    "managers",
    "impls",
    "types",
    "stuff",
];
/// Endings of type names that say nothing either.
const EMPTY_TYPE_ENDINGS: [&str; 4] = ["Manager", "Util", "Utils", "Service"];

/// Crates whose nested modules are named too, in the map of the crate or of the module above. The
/// modules right below `src` are named in every crate. This list may only grow.
const NESTED_MODULES_NAMED: [&str; 1] = ["tuning"];

/// What no file of the project names. Split, so that this file does not contain them.
const FOREIGN: [&str; 8] = [
    concat!("/wo", "rk/"),
    concat!(".lib", "rary"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
];

/// Written by programs, which name registries in them.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", "go.sum"];
/// Not of the tree: built, installed or made by a run. So is every hidden folder but `.ci`.
const OUTSIDE: [&str; 6] =
    ["target", "node_modules", "__pycache__", "corelane-data", "bench-results", "bench-data"];

/// A text file of the tree.
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests, benches and fuzz targets, as a whole file.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.split('/').any(|part| ["tests", "benches", "fuzz"].contains(&part))
    }

    fn whole(&self) -> &str {
        &self.text
    }

    /// The text before the tests at its end.
    fn without_tests(&self) -> &str {
        match self.text.find("#[cfg(test)]\nmod tests") {
            _ if self.is_test() => "",
            Some(tests) => &self.text[..tests],
            None => &self.text,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate of the workspace").to_owned()
}

fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("a kind");
            let hidden = name.starts_with('.') && name != ".ci";
            if OUTSIDE.contains(&name.as_str()) || name == ".git" {
                continue;
            } else if kind.is_dir() {
                folders.extend((!hidden).then(|| entry.path()));
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                let path = entry.path();
                let path = path.strip_prefix(&root).expect("below the root");
                files.push(File { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 10, "the walk found the tree");
    files
}

fn rust_files() -> Vec<File> {
    files().into_iter().filter(File::is_rust).collect()
}

/// The code of a Rust text: comments and the contents of literals become blanks, lines stay.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => raw_string_length(rest),
            '\'' => character_length(rest),
            _ => 0,
        };
        let in_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if skipped == 0 || (first == 'r' && in_word) {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the literal at the beginning, its quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 for a raw identifier (`r#type`).
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|&c| c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = 2 + hashes;
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

/// 0 for a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let Some((_, first)) = characters.next() else { return 0 };
    if first == '\\' {
        return text[3..].find('\'').map_or(0, |at| at + 4);
    }
    match characters.next() {
        Some((at, '\'')) => at + 1,
        _ => 0,
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn is_allowed(path: &str, table: &[(&str, &str)]) -> bool {
    table.iter().any(|(allowed, _)| path.starts_with(allowed))
}

/// Fails with all findings at once.
fn expect_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// Places outside `allowed` whose code has one of the wanted words; `part` chooses what to look at.
fn places_of(wanted: &[&str], allowed: &[(&str, &str)], part: fn(&File) -> &str) -> Vec<String> {
    let mut places = Vec::new();
    for file in rust_files().iter().filter(|file| !is_allowed(&file.path, allowed)) {
        for (number, line) in code(part(file)).lines().enumerate() {
            for word in words(line).filter(|word| wanted.contains(word)) {
                places.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    places
}

#[test]
fn every_rust_file_says_what_belongs_there() {
    let silent = rust_files().into_iter().filter(|file| !file.text.starts_with("//! "));
    let silent: Vec<String> = silent.map(|file| file.path).collect();
    expect_none("begin the file with `//! ` and what belongs into it", &silent);
}

#[test]
fn no_module_file_is_called_mod() {
    let files = rust_files().into_iter().filter(|file| file.path.ends_with("/mod.rs"));
    let found: Vec<String> = files.map(|file| file.path).collect();
    expect_none("name the module's file after the module, beside its folder", &found);
}

#[test]
fn no_file_is_longer_than_its_limit() {
    let mut sizes: Vec<(usize, String)> = rust_files()
        .into_iter()
        .map(|file| (file.without_tests().lines().count(), file.path))
        .collect();
    sizes.sort();
    let (lines, path) = sizes.last().expect("there are files");
    println!("the largest file without tests: {path}, {lines} lines");
    let limits = BTreeMap::from(LARGE_FILES);
    let mut findings = Vec::new();
    for (lines, path) in &sizes {
        let limit = limits.get(path.as_str()).copied();
        if *lines > limit.unwrap_or(FILE_LINES_MAX) {
            findings.push(format!("{path}: {lines} lines: split it by concept"));
        } else if limit.is_some() && *lines <= FILE_LINES_MAX {
            findings.push(format!("{path}: {lines} lines: no longer an exception"));
        }
    }
    for path in limits.keys().filter(|path| !root().join(path).exists()) {
        findings.push(format!("{path}: an exception for a file that is gone"));
    }
    expect_none("files without tests", &findings);
}

#[test]
fn names_say_what_is_inside() {
    let mut findings = Vec::new();
    for file in files() {
        for part in file.path.split('/') {
            let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
            let last = stem.rsplit(['_', '-']).next().unwrap_or_default();
            if EMPTY_NAMES.contains(&stem.as_str())
                || ["util", "utils", "helpers", "manager"].contains(&last)
            {
                findings.push(format!("{}: `{part}`", file.path));
            }
        }
        let code = if file.is_rust() { code(&file.text) } else { String::new() };
        let mut words = words(&code);
        while let Some(word) = words.next() {
            if ["struct", "enum", "trait", "type"].contains(&word) {
                let name = words.next().unwrap_or_default();
                if EMPTY_TYPE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                    findings.push(format!("{}: type `{name}`", file.path));
                }
            }
        }
    }
    expect_none("find the noun", &findings);
}

#[test]
fn unsafe_code_stands_only_where_it_is_allowed() {
    expect_none("move it into `runtime`", &places_of(&["unsafe"], &UNSAFE_ALLOWED, File::whole));
}

#[test]
fn asynchronous_code_stands_only_where_it_is_allowed() {
    expect_none(
        "cores are synchronous",
        &places_of(&["async", "await"], &ASYNC_ALLOWED, File::whole),
    );
}

#[test]
fn error_codes_are_named_only_where_they_are_allowed() {
    let places = places_of(&["ErrorCode"], &ERROR_CODE_ALLOWED, File::whole);
    expect_none("return a domain error; broker/src/error_code.rs maps it", &places);
}

#[test]
fn nothing_is_shared_between_cores_behind_a_lock() {
    let mut places = places_of(&LOCKS, &LOCKS_ALLOWED, File::without_tests);
    for file in rust_files().iter().filter(|file| code(&file.text).contains("static mut")) {
        places.push(format!("{}: static mut", file.path));
    }
    expect_none("send a message that owns its data", &places);
}

/// The words in backticks of the file's `//!` lines.
fn map_of(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let spans = header.split('`').skip(1).step_by(2);
    spans.flat_map(words).map(str::to_owned).collect()
}

#[test]
fn every_module_is_named_in_the_map_of_its_crate() {
    let root = root();
    let mut findings = Vec::new();
    for file in rust_files().iter().filter(|file| !file.is_test()) {
        let Some((krate, module)) = file.path.split_once("/src/") else { continue };
        if ["lib.rs", "main.rs"].contains(&module) || module.starts_with("bin/") {
            continue;
        }
        let source = root.join(krate).join("src");
        let map = ["lib.rs", "main.rs"].map(|name| source.join(name));
        let map = map.iter().find(|path| path.exists()).expect("a crate has a root");
        let module = Path::new(module.trim_end_matches(".rs"));
        let name = module.file_name().expect("a name").to_string_lossy().into_owned();
        let parent = module.parent().filter(|parent| *parent != Path::new(""));
        if parent.is_some() && !NESTED_MODULES_NAMED.contains(&krate) {
            continue;
        }
        let parent_map = parent.map(|parent| map_of(&source.join(parent).with_extension("rs")));
        let is_named =
            map_of(map).contains(&name) || parent_map.is_some_and(|names| names.contains(&name));
        if !is_named {
            findings.push(format!("{}: no `{name}` in {krate}'s map", file.path));
        }
    }
    expect_none("name it in the `//!` lines of lib.rs, or of the module above it", &findings);
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

/// The lines below a heading, up to the next heading of the same level.
fn section<'text>(text: &'text str, heading: &str) -> Vec<&'text str> {
    let lines: Vec<&str> = text.lines().skip_while(|line| *line != heading).skip(1).collect();
    assert!(!lines.is_empty(), "ARCHITECTURE.md has no section `{heading}`");
    lines.into_iter().take_while(|line| !line.starts_with("## ")).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn toml_of(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn members() -> BTreeSet<String> {
    let workspace = toml_of(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("a list of members");
    members.iter().map(|member| member.as_str().expect("a folder").to_owned()).collect()
}

#[test]
fn crates_import_what_the_architecture_says() {
    let members = members();
    let mut actual = BTreeMap::new();
    for member in &members {
        let manifest = toml_of(&root().join(member).join("Cargo.toml"));
        let imports = manifest.get("dependencies").and_then(|table| table.as_table());
        let imports = imports.into_iter().flat_map(|table| table.keys().cloned());
        let ours: BTreeSet<String> = imports.filter(|name| members.contains(name)).collect();
        actual.insert(member.clone(), ours);
    }
    let text = architecture();
    let lines = section(&text, "## Imports").into_iter().filter(|line| line.starts_with("- `"));
    let stated: BTreeMap<String, BTreeSet<String>> = lines
        .map(|line| {
            let mut names = quoted(line).into_iter();
            (names.next().expect("a crate"), names.collect())
        })
        .collect();
    assert_eq!(stated, actual, "ARCHITECTURE.md (left) and the Cargo.toml files (right)");
}

#[test]
fn the_folder_table_is_the_tree() {
    let text = architecture();
    let rows = section(&text, "## Folders").into_iter().filter(|line| line.starts_with("| `"));
    let stated: BTreeSet<String> = rows.map(|row| quoted(row).remove(0)).collect();
    let folders = files().into_iter().filter_map(|file| {
        let (folder, _) = file.path.split_once('/')?;
        Some(folder.to_owned())
    });
    let actual: BTreeSet<String> = folders.filter(|name| !name.starts_with('.')).collect();
    assert_eq!(stated, actual, "ARCHITECTURE.md (left) and the tree (right)");
    assert!(members().is_subset(&actual));
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut findings = Vec::new();
    let documents = files();
    for document in documents.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&document.path).parent().expect("a file is in a folder");
        for path in quoted(&document.text).iter().filter_map(|span| path_of(span)) {
            let is_there = |folder: &Path| root().join(folder).join(path).exists();
            let is_example = PATHS_OF_NOTHING.contains(&(document.path.as_str(), path));
            if !is_there(Path::new("")) && !is_there(folder) && !is_example {
                findings.push(format!("{}: {path}", document.path));
            }
        }
    }
    expect_none("named, but not there", &findings);
}

/// The path that a span is or begins with: `engine/src/log.rs`, `.ci/run`, `docs/`, `deny.toml`; no patterns,
/// options, values or names of the user's files, and nothing that only a build or a run makes.
fn path_of(span: &str) -> Option<&str> {
    let path = span.split(char::is_whitespace).next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let starts_as_path = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let is_made = path.split('/').any(|part| ["target", "node_modules", ".work"].contains(&part));
    let is_path = path.starts_with(starts_as_path)
        && path.chars().all(plain)
        && (path.contains('/') || [".md", ".toml"].iter().any(|ending| path.ends_with(ending)))
        && !path.starts_with("./")
        && !path.starts_with(|c: char| c.is_ascii_digit());
    (is_path && !is_made).then_some(path)
}

#[test]
fn folders_and_scripts_are_paths_too() {
    for span in ["engine/src/log.rs", ".ci/run", "docs/", "deny.toml", "conformance/run --list"] {
        assert_eq!(path_of(span), span.split(' ').next(), "{span}");
    }
    for span in ["cargo test", "ulimit -l", "--pin-memory", "/metrics", "target/ci"] {
        assert_eq!(path_of(span), None, "{span}");
    }
}

#[test]
fn nothing_foreign_is_named() {
    let mut findings = Vec::new();
    for file in files() {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if LOCK_FILES.contains(&name) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let foreign = FOREIGN.iter().find(|foreign| line.contains(**foreign));
            if let Some(found) = foreign.copied().or_else(|| issue_number(line)) {
                findings.push(format!("{}:{}: {found}", file.path, number + 1));
            }
        }
    }
    expect_none("say what it is about instead", &findings);
}

/// The word before a number by which only the project's own tracker knows something.
fn issue_number(line: &str) -> Option<&'static str> {
    let lower = line.to_ascii_lowercase();
    let mut rest = lower.as_str();
    while let Some(at) = rest.find(concat!("iss", "ue ")) {
        rest = &rest[at + 6..];
        let number = rest.strip_prefix('#').unwrap_or(rest);
        if number.starts_with(|c: char| c.is_ascii_digit()) {
            return Some("the number of an issue");
        }
    }
    None
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let text = "a // unsafe\nb \"unsafe \\\" async\" 'c' '\\'' fn f<'a>() /* x\ny */ r#\"un\"safe\"# r#type z";
    let found: Vec<String> = code(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(found, ["a", "b", "fn", "f<'a>()", "r#type", "z"]);
    assert_eq!(code(text).lines().count(), text.lines().count());
    assert_eq!(issue_number(concat!("see iss", "ue #12")), Some("the number of an issue"));
    assert_eq!(issue_number("an issue of style"), None);
}
