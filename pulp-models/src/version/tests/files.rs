//! Files by path, and directories.

use super::*;

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).expect("safe")
}

fn names(entries: &[Entry]) -> Vec<String> {
    let name = |entry: &Entry| match entry {
        Entry::Directory(name) => format!("{name}/"),
        Entry::File(file) => file.relative_path.file_name().to_owned(),
    };
    entries.iter().map(name).collect()
}

both_databases! {
    async fn a_file_is_found_in_the_versions_that_have_it(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let one = unit_with(conn, "1", &["a/b"], Some("bytes"));
            let two = unit_with(conn, "2", &["a/b"], None);
            mirror(conn, repository, &[one])?;
            mirror(conn, repository, &[two])?;
            let mut find = |number| find_file(conn, repository, VersionNumber(number), &path("a/b"));
            assert_eq!(find(0)?, None);
            let first = find(1)?.expect("it has it");
            assert_eq!((first.content, first.artifact), (one, Some(Sha256::of(b"bytes"))));
            assert_eq!(find(2)?.expect("it has another").content, two);
            assert_eq!(find_file(conn, repository, VersionNumber(2), &path("a"))?, None);
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_directory_lists_files_and_directories_once(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let files = ["a/x", "a-b", "a/y/1", "a/y/2", "a/y-z", "a/z/deep/er", "b"];
            let mine = unit_with(conn, "1", &files, Some("1"));
            let elsewhere = unit_with(conn, "2", &["a/no", "c/no"], Some("2"));
            mirror(conn, repository, &[mine])?;
            let other = new_repository(conn, "b");
            mirror(conn, other, &[elsewhere])?;
            let number = VersionNumber(1);
            let mut list = |directory: Option<&str>| {
                let directory = directory.map(path);
                let entries = list_directory(conn, repository, number, directory.as_ref());
                entries.map(|entries| names(&entries))
            };
            assert_eq!(list(None)?, ["a-b", "a/", "b"]);
            assert_eq!(list(Some("a"))?, ["x", "y-z", "y/", "z/"]);
            assert_eq!(list(Some("a/z"))?, ["deep/"]);
            assert!(list(Some("c"))?.is_empty());
            assert!(list(Some("b"))?.is_empty());
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_directory_larger_than_a_page_is_listed_whole(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let deep: Vec<String> = (0..1_200).map(|file| format!("d/one/{file:04}")).collect();
            let flat: Vec<String> = (0..1_100).map(|file| format!("d/two-{file:04}")).collect();
            let files: Vec<&str> =
                deep.iter().chain(&flat).map(String::as_str).chain(["d/zero/1"]).collect();
            let unit = unit_with(conn, "1", &files, None);
            mirror(conn, repository, &[unit])?;
            let entries =
                list_directory(conn, repository, VersionNumber(1), Some(&path("d")))?;
            let names = names(&entries);
            assert_eq!(names.len(), 1 + 1_100 + 1);
            assert_eq!((names[0].as_str(), names[1].as_str()), ("one/", "two-0000"));
            assert_eq!(names.last().map(String::as_str), Some("zero/"));
            Ok(())
        })
        .await
        .expect("done");
    }
}
