//! `file://` URLs.

use std::{fs, os::unix::fs::symlink};

use pulp_models::{Expected, RemoteSettings, RemoteUrl};
use url::Url;

use super::{
    super::{DownloadError, DownloadRequest, Downloader, IfChanged},
    Lab, body, bounded, expected, noise, settings, told,
};

/// A tree with `inside/file`, `outside/file`, links between them, and settings that allow `inside`.
struct Tree {
    root: tempfile::TempDir,
    settings: RemoteSettings,
}

impl Tree {
    fn new(content: &[u8]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["inside", "inside-not", "outside"] {
            fs::create_dir(root.path().join(folder)).expect("created");
            fs::write(root.path().join(folder).join("file"), content).expect("written");
        }
        symlink("../outside/file", root.path().join("inside/escape")).expect("linked");
        symlink("file", root.path().join("inside/link")).expect("linked");
        symlink("../outside", root.path().join("inside/folder")).expect("linked");
        let settings =
            RemoteSettings { allowed_file_paths: vec![root.path().join("inside")], ..settings() };
        Self { root, settings }
    }

    fn url(&self, path: &str) -> RemoteUrl {
        let url = Url::from_file_path(self.root.path().join(path)).expect("absolute");
        RemoteUrl::from_url(url)
    }

    fn clean(&self, text: &str) -> String {
        text.replace(&self.root.path().display().to_string(), "/ROOT")
    }
}

#[tokio::test]
async fn allowed_files_are_read_and_verified() {
    let (lab, file) = (Lab::new().await, noise(1_500_000));
    let tree = Tree::new(&file);
    for path in ["inside/file", "inside/link"] {
        let downloaded =
            lab.fetch(&tree.url(path), &tree.settings, expected(&file)).await.expect(path);
        assert_eq!(body(&downloaded), file);
    }
    let error = lab.fetch(&tree.url("inside/file"), &tree.settings, expected(b"other")).await;
    // Once: a local file does not get better by being read again.
    assert!(matches!(error, Err(DownloadError::Mismatch { .. })), "{error:?}");
}

#[tokio::test]
async fn whatever_leads_out_is_refused() {
    let lab = Lab::new().await;
    let tree = Tree::new(b"x");
    for path in
        ["outside/file", "inside-not/file", "inside/escape", "inside/folder/file", "none/file"]
    {
        let error = lab.fetch(&tree.url(path), &tree.settings, Expected::default()).await;
        let text = tree.clean(&told(&error.expect_err(path)));
        assert_eq!(text, format!("Reading `file:///ROOT/{path}` is not allowed"));
    }
    let url = tree.url("inside/file").expose().to_string().replace("inside/", "inside/../outside/");
    let error = lab.fetch(&url.parse().expect("valid"), &tree.settings, Expected::default()).await;
    assert!(error.is_err());
    let error = lab.fetch(&tree.url("inside/file"), &settings(), Expected::default()).await;
    let error = error.expect_err("nothing is allowed");
    insta::assert_snapshot!(error.hint().unwrap_or_default(), @"add its folder to `allowed_file_paths`");
}

#[tokio::test]
async fn missing_files_and_folders_are_told_apart_from_forbidden_ones() {
    let lab = Lab::new().await;
    let tree = Tree::new(b"x");
    fs::create_dir(tree.root.path().join("inside/sub")).expect("created");
    let (missing, folder) = (tree.url("inside/none"), tree.url("inside/sub"));
    let missing = lab.fetch(&missing, &tree.settings, Expected::default()).await;
    let folder = lab.fetch(&folder, &tree.settings, Expected::default()).await;
    let (missing, folder) = (missing.expect_err("missing"), folder.expect_err("a folder"));
    insta::assert_snapshot!(tree.clean(&told(&missing)), @"Failed to read `file:///ROOT/inside/none`: No such file or directory (os error 2)");
    insta::assert_snapshot!(tree.clean(&told(&folder)), @"Failed to read `file:///ROOT/inside/sub`: not a regular file");
}

#[tokio::test]
async fn an_unchanged_file_is_not_read_again() {
    let lab = Lab::new().await;
    let tree = Tree::new(b"x");
    let url = tree.url("inside/file");
    let downloader = lab.downloader(&url, &tree.settings);
    let request = DownloadRequest::new(url);
    let first = bounded(downloader.fetch(&request)).await.expect("it came");
    let again = bounded(downloader.fetch_if_changed(&request, &first.validators)).await;
    assert!(matches!(again, Ok(IfChanged::NotModified)));
    fs::write(tree.root.path().join("inside/file"), b"longer").expect("written");
    let changed = bounded(downloader.fetch_if_changed(&request, &first.validators)).await;
    assert!(matches!(changed, Ok(IfChanged::Changed(_))));
}

#[tokio::test]
async fn a_part_of_a_file_is_read_where_it_lies() {
    let (lab, file) = (Lab::new().await, noise(1_500_000));
    let tree = Tree::new(&file);
    let url = tree.url("inside/file");
    for (first, length) in [(0, 10), (700_000, 600_000), (1_499_999, 1), (5, 0)] {
        let part = Downloader::part_of_file(&url, first, length);
        let range =
            usize::try_from(first).expect("small")..usize::try_from(first + length).expect("small");
        let downloaded = lab.fetch(&part, &tree.settings, expected(&file[range.clone()])).await;
        assert_eq!(body(&downloaded.expect("it lies there")), &file[range]);
    }
    let beyond = Downloader::part_of_file(&url, 1_499_000, 2000);
    let error = lab.fetch(&beyond, &tree.settings, Expected::default()).await;
    assert!(matches!(error, Err(DownloadError::File { .. })), "{error:?}");
}
