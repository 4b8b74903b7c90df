//! Following a body: what a reader sees before the verdict, and after it.

use std::time::Duration;

use futures::FutureExt as _;

use crate::{
    Digests, Expected, Mismatch, Sha256,
    store::{
        FollowError, Follower, Verifier, VerifyError, WITHHELD,
        tests::{Home, body},
    },
};

fn of_size(size: usize) -> Expected {
    Expected { size: Some(size as u64), digests: Digests::new() }
}

/// All that can be read without waiting for more to arrive.
async fn available(follower: &mut Follower) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A file is read on another thread; but what never comes must not be waited for long.
    while let Ok(next) = tokio::time::timeout(Duration::from_millis(50), follower.next()).await {
        match next.expect("no verdict yet") {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    bytes
}

async fn to_end(mut follower: Follower) -> Result<Vec<u8>, FollowError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = follower.next().await? {
        assert!(!chunk.is_empty());
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn push_all(verifier: &mut Verifier, bytes: &[u8]) {
    for chunk in bytes.chunks(70_000) {
        verifier.push(bytes::Bytes::copy_from_slice(chunk)).await.expect("taken");
    }
}

#[tokio::test]
async fn the_end_is_withheld_until_the_whole_body_is_verified() {
    let home = Home::new().await;
    let whole = body(1_500_000);
    let expected = Expected { digests: Sha256::of(&whole).into(), ..of_size(whole.len()) };
    let mut verifier = home.store.verifier(&expected, &[]);
    let growing = verifier.growing();
    let mut all = growing.follow(0, None);
    let mut range = growing.follow(10, Some(200_000));
    let mut small = growing.follow(0, Some(1));
    push_all(&mut verifier, &whole).await;
    assert_eq!(growing.received(), 1_500_000);
    let withheld = usize::try_from(WITHHELD).expect("small");
    assert!(available(&mut all).await == whole[..1_500_000 - withheld]);
    assert!(available(&mut range).await == whole[10..200_000 - withheld]);
    assert!(available(&mut small).await.is_empty());
    let verified = verifier.finish().await.expect("right");
    assert_eq!(growing.verified().await.expect("judged"), verified.sha256());
    assert!(to_end(all).await.expect("the rest") == whole[1_500_000 - withheld..]);
    assert!(to_end(range).await.expect("the rest") == whole[200_000 - withheld..200_000]);
    assert!(to_end(small).await.expect("the rest") == whole[..1]);
    // Neither its move into the store nor its removal from there stops a reader.
    let saved = home.store.save(vec![verified]).await.expect("saved");
    home.store.remove(&[saved[0].sha256]).await.expect("removed");
    assert!(
        to_end(growing.follow(700_000, Some(u64::MAX))).await.expect("read") == whole[700_000..]
    );
}

#[tokio::test]
async fn readers_at_any_place_follow_a_body_of_unknown_size() {
    let home = Home::new().await;
    let whole = body(1_200_000);
    let mut verifier = home.store.verifier(&Expected::default(), &[]);
    push_all(&mut verifier, &whole[..100_000]).await;
    let growing = verifier.growing();
    assert_eq!(growing.size(), None);
    let readers: Vec<_> = [0, 99_999, 300_000, 1_200_000, 5_000_000]
        .map(|offset| (offset, tokio::spawn(to_end(growing.follow(offset as u64, None)))))
        .into();
    push_all(&mut verifier, &whole[100_000..]).await;
    drop(verifier.finish().await.expect("nothing was expected"));
    for (offset, reader) in readers {
        let read = reader.await.expect("joined").expect("verified");
        assert!(read == whole[offset.min(whole.len())..], "from {offset}");
    }
    assert_eq!(growing.size(), Some(1_200_000));
}

#[tokio::test]
async fn small_bodies_are_followed_in_memory() {
    let home = Home::new().await;
    let whole = body(1_000);
    let mut verifier = home.store.verifier(&of_size(1_000), &[]);
    let growing = verifier.growing();
    push_all(&mut verifier, &whole).await;
    assert!(growing.follow(0, None).next().now_or_never().is_none(), "withheld whole");
    verifier.finish().await.expect("right");
    assert!(to_end(growing.follow(0, None)).await.expect("verified") == whole);
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn readers_of_wrong_bytes_never_reach_the_end() {
    let home = Home::new().await;
    let whole = body(300_000);
    let expected = Expected { digests: Sha256::of(b"other").into(), ..of_size(300_000) };
    let mut verifier = home.store.verifier(&expected, &[]);
    let growing = verifier.growing();
    let mut follower = growing.follow(0, None);
    push_all(&mut verifier, &whole).await;
    assert!(!available(&mut follower).await.is_empty());
    let refused = verifier.finish().await;
    assert!(matches!(refused, Err(VerifyError::Mismatch(Mismatch::Digest { .. }))));
    assert!(matches!(follower.next().await, Err(FollowError::Mismatch(_))));
    assert!(matches!(growing.verified().await, Err(FollowError::Mismatch(_))));
}

#[tokio::test]
async fn readers_of_an_abandoned_body_are_told() {
    let home = Home::new().await;
    let mut verifier = home.store.verifier(&of_size(300_000), &[]);
    let growing = verifier.growing();
    let waiting = tokio::spawn(to_end(growing.follow(0, None)));
    push_all(&mut verifier, &body(1_000)).await;
    drop(verifier);
    let told = waiting.await.expect("joined");
    assert!(matches!(told, Err(FollowError::Abandoned)), "{told:?}");
    assert!(matches!(growing.verified().await, Err(FollowError::Abandoned)));
}
