//! The root file system itself: made by the script, and looked into from outside.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::declared::Declared;
use crate::support::tools;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/rootfs.sh");
/// The program that the tests are built with: what it weighs aside, it is contained as a release is.
const PROGRAM: &str = env!("CARGO_BIN_EXE_headwater");
const NEEDS: &str = "The script takes Debian's packages: apt-get, dpkg-deb and a Debian mirror in the sources of apt are needed.";
const NEEDS_BINUTILS: &str = "readelf tells which libraries a program needs (apt-get install binutils).";
/// What the image is allowed to weigh.
const LARGEST: u64 = 60_000_000;

/// The root, made once for all tests. It stays in the target folder to be looked at.
pub(super) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image-root");
        let _ = fs::remove_dir_all(&root);
        tools::output(Command::new("bash").args([SCRIPT.as_ref(), root.as_os_str(), PROGRAM.as_ref()]), NEEDS);
        root
    })
}

/// The program as a release has it, but for the optimisation over all crates, which takes a test's time twice and makes
/// the program smaller only.
fn release() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
    // A profile of its own, because its name is the folder's: that of a release stays as it is.
    build.args(["build", "--locked", "--no-default-features", "--bin", "headwater", "--profile", "image"]);
    for setting in ["inherits=\"release\"", "lto=\"off\"", "codegen-units=16"] {
        build.args(["--config", &format!("profile.image.{setting}")]);
    }
    tools::output(&mut build, "The release build of the service failed.");
    target.join("image/headwater")
}

/// Every file and folder of the root, links not followed.
fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

/// Libraries that an ELF file names, and the loader that it asks for.
fn needed(file: &Path) -> (Vec<String>, Option<String>) {
    let said = tools::output(Command::new("readelf").args(["--dynamic", "--program-headers", "--wide"]).arg(file), NEEDS_BINUTILS);
    let after = |line: &str, mark: &str| line.split_once(mark).map(|(_, rest)| rest.trim_end_matches(']').to_owned());
    let libraries = said.lines().filter(|line| line.contains("(NEEDED)")).filter_map(|line| after(line, "["));
    let loader = said.lines().find_map(|line| after(line, "[Requesting program interpreter: "));
    (libraries.collect(), loader)
}

/// The path in the root, with its links followed as they are inside.
fn inside(root: &Path, path: &str) -> PathBuf {
    let mut at = root.join(path.trim_start_matches('/'));
    while let Ok(link) = fs::read_link(&at) {
        at = if link.is_absolute() { inside(root, link.to_str().unwrap()) } else { at.parent().unwrap().join(link) };
    }
    at
}

#[test]
#[ignore = "heavy: fetches packages of Debian"]
fn the_root_holds_the_program_and_nothing_else_to_start() {
    let root = root();
    let all = everything(root);
    let files: Vec<_> = all.iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file()).collect();
    let programs: BTreeSet<_> = files
        .iter()
        .filter(|path| fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0)
        .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap())
        .filter(|path| !path.contains(".so"))
        .collect();
    assert_eq!(programs, BTreeSet::from(["usr/local/bin/headwater"]));
    let scripts: Vec<_> = files.iter().filter(|path| fs::read(path).unwrap().starts_with(b"#!")).collect();
    assert!(scripts.is_empty(), "{scripts:?}");
}

#[test]
#[ignore = "heavy: builds the release of the service, for ten minutes or more"]
fn the_root_of_a_release_weighs_less_than_sixty_megabytes() {
    let all = everything(root());
    let files = all.iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file() && !path.ends_with("usr/local/bin/headwater"));
    let beside: u64 = files.map(|path| fs::metadata(path).unwrap().len()).sum();
    let program = fs::metadata(release()).unwrap().len();
    assert!(beside + program < LARGEST, "the root has {beside} bytes beside the program's {program}");
    println!("the program has {program} bytes, the rest of the root {beside}");
}

#[test]
#[ignore = "heavy: fetches packages of Debian"]
fn nothing_in_the_root_is_writable_or_lends_rights() {
    let user = Declared::read().user;
    let root = root();
    for path in everything(root).iter().chain([&root.to_owned()]) {
        let found = fs::symlink_metadata(path).unwrap();
        if found.is_symlink() {
            continue;
        }
        let mode = found.permissions().mode();
        assert_eq!(mode & 0o7000, 0, "{} lends rights: {mode:o}", path.display());
        assert_eq!(mode & 0o022, 0, "{} is writable: {mode:o}", path.display());
        assert_eq!(mode & 0o444, 0o444, "{} is not readable: {mode:o}", path.display());
        assert_ne!(found.uid(), user, "{} belongs to the service's user", path.display());
    }
}

#[test]
#[ignore = "heavy: fetches packages of Debian"]
fn every_library_is_there() {
    let root = root();
    let program = Declared::read().program;
    let folders: Vec<_> =
        fs::read_dir(root.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    let (mut open, loader) = needed(&inside(root, &program));
    let loader = loader.expect("the program asks for a loader");
    assert!(inside(root, &loader).is_file(), "{loader} is missing");
    let mut seen = BTreeSet::new();
    while let Some(library) = open.pop() {
        if seen.insert(library.clone()) {
            let file = folders.iter().map(|folder| folder.join(&library)).find(|path| path.exists());
            open.extend(needed(&file.unwrap_or_else(|| panic!("{library} is missing"))).0);
        }
    }
    assert!(seen.contains("libc.so.6"), "{seen:?}");
}

#[test]
#[ignore = "heavy: fetches packages of Debian"]
fn the_root_says_what_it_is_made_of() {
    let root = root();
    let release = fs::read_to_string(inside(root, "/etc/os-release")).unwrap();
    assert!(release.lines().any(|line| line.starts_with("VERSION_ID=")), "{release}");
    for package in ["base-files", "ca-certificates", "libc6", "libgcc-s1"] {
        let record = fs::read_to_string(root.join("var/lib/dpkg/status.d").join(package)).unwrap();
        assert!(record.starts_with(&format!("Package: {package}\nStatus: install ok installed\n")), "{record}");
        assert!(record.lines().any(|line| line.starts_with("Version: ")), "{record}");
        let licence = root.join("usr/share/doc").join(package).join("copyright");
        assert!(licence.is_file(), "{} is missing", licence.display());
    }
    let contracts: Vec<_> = everything(&root.join("etc/headwater/schemas"));
    assert!(contracts.iter().any(|path| path.ends_with("sales_orders.odcs.yaml")), "{contracts:?}");
}

#[test]
#[ignore = "heavy: fetches packages of Debian"]
fn the_root_trusts_the_authorities_of_the_public_web() {
    let bundle = fs::read_to_string(root().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    let begun = bundle.lines().filter(|line| *line == "-----BEGIN CERTIFICATE-----").count();
    let ended = bundle.lines().filter(|line| *line == "-----END CERTIFICATE-----").count();
    assert!(begun > 100, "{begun} authorities");
    assert_eq!(begun, ended);
}
