//! The assembly line as a plugin author sees it: only the crate's public interface is used.

mod kit;

use kit::{Feed, Number, numbers};

#[tokio::test]
async fn units_pass_in_order() {
    let (line, seen) = kit::line(Feed::units(numbers(2500))).items("A").batches("B", 500).collect();
    let profile = kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.numbers(), (0..2500).collect::<Vec<_>>());
    assert_eq!(profile.stages.last().expect("stages").received, 2500);
    let _ = Number(0);
}
