//! The store as its users see it. Where a second process matters, the test binary runs itself again.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::symlink,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Digests, Mismatch};

pub(super) struct Home {
    pub(super) store: ArtifactStore,
    pub(super) folder: tempfile::TempDir,
}

impl Home {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = ArtifactStore::open(folder.path()).await.expect("opens");
        Self { store, folder }
    }

    /// The names of all temporary files of all processes.
    pub(super) fn temporary(&self) -> Vec<String> {
        let mut names = Vec::new();
        for process in fs::read_dir(self.folder.path().join("tmp")).expect("listed") {
            for file in fs::read_dir(process.expect("entry").path()).expect("listed") {
                names.push(file.expect("entry").file_name().into_string().expect("UTF-8"));
            }
        }
        names.retain(|name| name != "alive");
        names
    }

    async fn verify(&self, expected: &Expected, body: &[u8]) -> Result<Verified, VerifyError> {
        let mut verifier = self.store.verifier(expected, &[]);
        for chunk in body.chunks(100_000) {
            verifier.push(Bytes::copy_from_slice(chunk)).await?;
        }
        verifier.finish().await
    }
}

/// Bytes that differ everywhere, `size` of them.
pub(super) fn body(size: usize) -> Bytes {
    (0..size).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte")).collect()
}

fn of_size(size: usize) -> Expected {
    Expected { size: Some(size as u64), digests: Digests::new() }
}

#[tokio::test]
async fn bodies_of_every_size_are_saved_and_read_back() {
    let home = Home::new().await;
    for size in [0, 1, IN_MEMORY, IN_MEMORY + 1, 600_000, 2_000_000] {
        let bytes = body(size);
        let expected = Expected { size: Some(size as u64), digests: Sha256::of(&bytes).into() };
        let verified = home.verify(&expected, &bytes).await.expect("right");
        assert_eq!(verified.in_memory() == size, size <= IN_MEMORY);
        assert_eq!(verified.bytes(u64::MAX).expect("read"), bytes);
        let mut reader = verified.reader();
        let sha256 = verified.sha256();
        let saved = home.store.save(vec![verified]).await.expect("saved");
        assert_eq!((saved[0].sha256, saved[0].size), (sha256, size as u64));
        assert_eq!(home.store.read(&sha256, u64::MAX).await.expect("read"), bytes);
        assert_eq!(home.store.check(&sha256).await.expect("checked"), Condition::Intact);
        let mut again = Vec::new();
        reader.read_to_end(&mut again).expect("the reader outlives the rename");
        assert_eq!(again, bytes);
    }
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_leave_nothing() {
    let home = Home::new().await;
    for size in [100, 700_000] {
        let bytes = body(size);
        let short = home.verify(&of_size(size + 1), &bytes).await;
        assert!(matches!(short, Err(VerifyError::Mismatch(Mismatch::Size { .. }))), "{short:?}");
        let mut expected = of_size(size);
        expected.digests.insert(Algorithm::Md5, &[7; 16]).expect("right length");
        let wrong = home.verify(&expected, &bytes).await;
        let Err(VerifyError::Mismatch(Mismatch::Digest { algorithm, .. })) = wrong else {
            panic!("not a digest mismatch: {wrong:?}")
        };
        assert_eq!(algorithm, Algorithm::Md5);
    }
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn a_body_is_stopped_as_soon_as_it_exceeds_its_size() {
    let home = Home::new().await;
    let mut verifier = home.store.verifier(&of_size(10), &[]);
    verifier.push(body(10)).await.expect("fits");
    let refused = verifier.push(body(1)).await;
    let size = Mismatch::Size { expected: 10, actual: 11 };
    assert!(matches!(refused, Err(VerifyError::Mismatch(found)) if found == size));
    assert!(matches!(verifier.push(body(1)).await, Err(VerifyError::AlreadyFailed)));
    assert!(matches!(verifier.finish().await, Err(VerifyError::AlreadyFailed)));
}

#[tokio::test]
async fn dropping_a_verifier_or_verified_bytes_removes_the_temporary_file() {
    let home = Home::new().await;
    let mut verifier = home.store.verifier(&Expected::default(), &[]);
    for _ in 0..3 {
        verifier.push(body(600_000)).await.expect("taken");
    }
    assert_eq!(home.temporary().len(), 1);
    assert_eq!(verifier.received(), 1_800_000);
    let verified = verifier.finish().await.expect("nothing was expected");
    assert_eq!(home.temporary().len(), 1);
    drop(verified);
    assert_eq!(home.temporary(), [""; 0]);
    assert_eq!(home.store.list(0).await.expect("listed"), Listed::default());
}

#[tokio::test]
async fn batches_are_saved_in_order_and_saving_again_is_harmless() {
    let home = Home::new().await;
    let batch = |from: usize| -> Vec<_> {
        (from..from + 40).map(|size| Verified::from_bytes(body(size % 60))).collect()
    };
    let keys: Vec<_> = batch(0).iter().map(Verified::sha256).collect();
    let (one, two, three) = tokio::join!(
        home.store.save(batch(0)),
        home.store.save(batch(20)),
        home.store.save(batch(0))
    );
    let saved = one.expect("saved");
    assert_eq!(saved.iter().map(|saved| saved.sha256).collect::<Vec<_>>(), keys);
    assert_eq!(saved, three.expect("saved"));
    let few = two.expect("saved").into_iter().take(2);
    assert_eq!(
        home.store.save(batch(20).into_iter().take(2).collect()).await.expect("again"),
        few.collect::<Vec<_>>()
    );
    for size in 0..60 {
        let bytes = body(size);
        assert_eq!(home.store.read(&Sha256::of(&bytes), 60).await.expect("read"), bytes);
    }
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn a_file_of_the_wrong_size_is_replaced() {
    let home = Home::new().await;
    let bytes = body(500);
    let sha256 = Sha256::of(&bytes);
    home.store.save(vec![Verified::from_bytes(bytes.clone())]).await.expect("saved");
    fs::write(home.store.path(&sha256), "cut").expect("written");
    assert_eq!(home.store.check(&sha256).await.expect("checked"), Condition::Corrupt);
    home.store.save(vec![Verified::from_bytes(bytes)]).await.expect("saved");
    assert_eq!(home.store.check(&sha256).await.expect("checked"), Condition::Intact);
    assert_eq!(home.store.remove(&[sha256, Sha256([0; 32])]).await.expect("removed"), 1);
    assert_eq!(home.store.check(&sha256).await.expect("checked"), Condition::Missing);
    assert!(!home.store.exists(&sha256).await.expect("looked"));
    let missing = home.store.read(&sha256, 1).await;
    assert!(matches!(missing, Err(StoreError::Missing(key)) if key == sha256));
}

#[tokio::test]
async fn links_are_not_followed_out_of_the_store() {
    let home = Home::new().await;
    let bytes = body(500);
    let sha256 = Sha256::of(&bytes);
    let secret = home.folder.path().join("secret");
    fs::write(&secret, &bytes).expect("written");
    let path = home.store.path(&sha256);
    fs::create_dir(path.parent().expect("has one")).expect("created");
    symlink(&secret, &path).expect("linked");
    let refused = home.store.open_artifact(&sha256).await;
    assert!(matches!(refused, Err(StoreError::NotAFile(_))));
    let listed = home.store.list(sha256.0[0]).await.expect("listed");
    assert_eq!(listed, Listed { artifacts: vec![], foreign: vec![path.clone()] });
    home.store.save(vec![Verified::from_bytes(bytes)]).await.expect("saved");
    assert!(fs::symlink_metadata(&path).expect("there").is_file(), "the link was replaced");
    assert!(secret.exists());
    let listed = home.store.list(sha256.0[0]).await.expect("listed");
    assert_eq!(listed.artifacts, [(sha256, 500)]);
}

#[tokio::test]
async fn a_read_is_limited() {
    let home = Home::new().await;
    let saved = home.store.save(vec![Verified::from_bytes(body(500))]).await.expect("saved");
    let refused = home.store.read(&saved[0].sha256, 499).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { size: 500, limit: 499, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_chunking_gives_the_same_digests(
        sizes in prop::collection::vec(
            prop_oneof![4 => 0..2_000_usize, 2 => 0..100_000_usize, 1 => 0..1_200_000_usize],
            0..8,
        ),
    ) {
        let whole = body(sizes.iter().sum());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let verified = runtime.block_on(async {
            let home = Home::new().await;
            let mut verifier = home.store.verifier(&of_size(whole.len()), &[Algorithm::Sha512]);
            let mut rest = whole.clone();
            for size in sizes {
                verifier.push(rest.split_to(size)).await.expect("taken");
            }
            let verified = verifier.finish().await.expect("verified");
            prop_assert_eq!(verified.bytes(u64::MAX).expect("read"), whole.clone());
            Ok(verified)
        })?;
        let expected = Verified::from_bytes_also(whole, &[Algorithm::Sha512]);
        prop_assert_eq!(verified.digests(), expected.digests());
        prop_assert_eq!(verified.sha256(), expected.sha256());
    }
}

const CHILD: &str = "PULP_TEST_STORE_CHILD";

/// Not a test of its own: what the child process of the tests below does. It holds a temporary file
/// until its standard input ends.
#[tokio::test]
async fn a_child_process_holds_a_temporary_file() {
    let Some(home) = std::env::var_os(CHILD) else { return };
    let store = ArtifactStore::open(Path::new(&home)).await.expect("opens");
    let _file = store.inner.workspace.temp_file().expect("created");
    let _guard = store.shared(Duration::from_secs(5)).await.expect("free");
    std::io::stdout().write_all(b"\nready\n").expect("the parent reads");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Starts the child; returns once it holds its file and the shared lock.
fn child(home: &Home) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "store::tests::a_child_process_holds_a_temporary_file"])
        .env(CHILD, home.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let ready = output.lines().any(|line| line.expect("UTF-8") == "ready");
    assert!(ready, "the child died early");
    child
}

#[tokio::test]
async fn a_living_neighbour_keeps_its_files_and_a_killed_one_loses_them() {
    let home = Home::new().await;
    let mut neighbour = child(&home);
    assert_eq!(home.temporary().len(), 1);
    let second = ArtifactStore::open(home.folder.path()).await.expect("opens");
    assert_eq!(home.temporary().len(), 1, "the neighbour lives");
    assert!(second.exclusive(Duration::ZERO).await.is_err(), "the neighbour holds the store");
    neighbour.kill().expect("killed");
    neighbour.wait().expect("joined");
    drop(second.exclusive(Duration::from_secs(5)).await.expect("the lock died with its holder"));
    assert_eq!(home.temporary().len(), 1, "nobody has swept yet");
    ArtifactStore::open(home.folder.path()).await.expect("opens");
    assert_eq!(home.temporary(), [""; 0]);
    // Neither store that is still open lost its folder.
    for store in [&home.store, &second] {
        store.save(vec![Verified::from_bytes(body(9))]).await.expect("saved");
        store.inner.workspace.temp_file().expect("its folder is there");
    }
}
