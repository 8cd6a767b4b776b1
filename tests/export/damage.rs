//! Damage to an export never becomes a complete segment.

use std::fs;
use std::path::{Path, PathBuf};

use headwater::snapshot::source::{Cursor, SourceError};
use tempfile::TempDir;

use super::{TABLE, items, lines, open_folder, page, rows, segment};
use crate::support::exports::{FOLDER, HandMade, gzip, text_of};

/// An export of two files, whose folder is damaged afterwards.
fn damaged(damage: impl FnOnce(&Path)) -> (TempDir, PathBuf) {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..50)).data(&lines(50..60));
    let folder = made.write(bucket.path());
    damage(&folder);
    (bucket, folder)
}

/// What is wrong with an export that cannot be read to its end.
async fn problem(folder: &Path) -> String {
    let error = match open_folder(folder).await {
        Ok(export) => rows(&export).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, SourceError::Broken { .. }), "reading again does not help: {error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_manifest_with_another_checksum_is_damaged() {
    for name in ["manifest-summary", "manifest-files"] {
        let (_bucket, folder) = damaged(|folder| {
            let path = folder.join(format!("{name}.json"));
            fs::write(&path, fs::read_to_string(&path).unwrap() + " ").unwrap();
        });
        let problem = problem(&folder).await;
        assert!(problem.contains(&format!("{name}.json: its MD5 is")), "{problem}");
    }
}

#[tokio::test]
async fn both_checksums_count_where_there_are_two() {
    let (_bucket, folder) = damaged(|folder| fs::write(folder.join("manifest-files.checksum"), "AAAAAAAAAAAAAAAAAAAAAA==").unwrap());
    let problem = problem(&folder).await;
    assert!(problem.contains("the export says AAAAAAAAAAAAAAAAAAAAAA=="), "{problem}");
}

#[tokio::test]
async fn a_manifest_without_a_checksum_is_not_trusted() {
    for (name, expected) in [
        ("manifest-summary.md5", "neither manifest-summary.checksum nor manifest-summary.md5"),
        ("manifest-files.md5", "neither manifest-files.checksum nor manifest-files.md5"),
        ("manifest-summary.json", "manifest-summary.json: there is no such object"),
        ("manifest-files.json", "manifest-files.json: there is no such object"),
    ] {
        let (_bucket, folder) = damaged(|folder| fs::remove_file(folder.join(name)).unwrap());
        let problem = problem(&folder).await;
        assert!(problem.contains(expected), "{problem}");
    }
}

#[tokio::test]
async fn manifests_that_do_not_agree_are_not_trusted() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..50)).summary["itemCount"] = 51.into();
    let problem = problem(&made.write(bucket.path())).await;
    assert!(problem.contains("50 items together, and the summary says 51"), "{problem}");
}

#[tokio::test]
async fn a_data_file_that_is_missing_is_named() {
    let (_bucket, folder) = damaged(|folder| fs::remove_file(folder.join("data/file1.json.gz")).unwrap());
    let problem = problem(&folder).await;
    assert!(problem.contains(&format!("{FOLDER}/data/file1.json.gz: it is not there")), "{problem}");
}

#[tokio::test]
async fn a_data_file_with_another_checksum_gives_no_last_page() {
    // As many items, a sound gzip stream, and yet another file.
    let (_bucket, folder) = damaged(|folder| {
        let text = text_of(&lines(100..150));
        fs::write(folder.join("data/file0.json.gz"), gzip(text.as_bytes())).unwrap();
    });
    let export = open_folder(&folder).await.unwrap();
    let error = segment(&export, 0, Some(7)).await.unwrap_err();
    assert!(error.to_string().contains("its MD5 is"), "{error}");
    // Nobody who resumes it gets around that.
    for after in [0, 1, 49, 50] {
        let error = page(&export, 0, Some(&Cursor(after.to_string())), None).await.unwrap_err();
        assert!(error.to_string().contains("its MD5 is"), "{after}: {error}");
    }
    assert_eq!(segment(&export, 1, None).await.unwrap(), items(50..60), "the other file is sound");
}

/// An export of one data file, which is as it was written.
async fn problem_of(bytes: Vec<u8>, items: u64) -> String {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.raw_data(bytes, items);
    problem(&made.write(bucket.path())).await
}

#[tokio::test]
async fn a_gzip_stream_that_is_cut_off_is_damaged_though_its_checksum_is_right() {
    let text = text_of(&lines(0..500));
    let whole = gzip(text.as_bytes());
    for cut in [0, 3, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let problem = problem_of(whole[..cut].to_vec(), 500).await;
        assert!(problem.contains("its gzip stream is damaged"), "{cut}: {problem}");
    }
    let problem = problem_of(text.into_bytes(), 500).await;
    assert!(problem.contains("its gzip stream is damaged"), "{problem}");
}

#[tokio::test]
async fn a_count_of_items_that_is_not_the_number_of_lines_is_damage() {
    let text = text_of(&lines(0..5000));
    for (items, expected) in [
        (5001, "it has 5000 lines, and the manifest says 5001 items"),
        (4999, "it has 5000 lines, and the manifest says 4999 items"),
        (10, "it has more lines than the 10 items of the manifest"),
    ] {
        let problem = problem_of(gzip(text.as_bytes()), items).await;
        assert!(problem.contains(expected), "{problem}");
    }
}
