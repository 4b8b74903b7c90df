//! Sources, and what they are known to have.

use super::{
    offers::{Alternate, any, complete, find, note},
    *,
};
use crate::{
    Algorithm, Digests, Expected, RemoteSettings, RemoteUrl, both_databases,
    fixture::expected,
    remote::{self, NewRemote, Policy},
    testing::TestDatabase,
};

fn new(conn: &mut Connection, name: &str) -> Result<AlternateContentSource, DbError> {
    let remote = NewRemote {
        name: name.to_owned(),
        plugin: "file".to_owned(),
        url: "http://127.0.0.1/".parse().expect("valid"),
        policy: Policy::OnDemand,
        settings: RemoteSettings::default(),
        options: serde_json::json!({}),
    };
    let new = NewAlternateContentSource {
        name: name.to_owned(),
        remote: remote::create(conn, &remote)?.id,
        paths: vec!["a/".to_owned(), "b/".to_owned()],
        enabled: true,
    };
    create(conn, &new)
}

fn url(name: &str) -> RemoteUrl {
    format!("http://user:secret@127.0.0.1/{name}").parse().expect("valid")
}

both_databases! {
    async fn a_source_is_kept_and_changed(db: TestDatabase) {
        db.write(|conn| {
            let mut source = new(conn, "near")?;
            assert_eq!(get(conn, "near")?, source);
            source.paths.clear();
            source.enabled = false;
            update(conn, &source)?;
            let changed = get(conn, "near")?;
            assert_eq!((changed.paths, changed.enabled), (vec![], false));
            assert_eq!(list(conn)?.len(), 1);
            delete(conn, "near")?;
            assert!(matches!(delete(conn, "near"), Err(DbError::NotFound { .. })));
            assert!(matches!(update(conn, &source), Err(DbError::NotFound { .. })));
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn bytes_are_offered_by_the_sources_of_the_last_refresh(db: TestDatabase) {
        db.write(|conn| {
            assert!(!any(conn)?);
            let (near, far) = (new(conn, "a near one")?, new(conn, "far")?);
            assert!(any(conn)?);
            let (x, y, unknown) = (expected("x"), expected("y"), expected("z"));
            let mut weak = Expected { size: None, digests: Digests::new() };
            weak.digests.insert(Algorithm::Md5, &[1; 16]).expect("right length");
            let offers = [(x.clone(), url("x")), (x.clone(), url("x")), (weak.clone(), url("w"))];
            note(conn, far.id, Timestamp(10), &offers)?;
            note(conn, near.id, Timestamp(10), &[(x.clone(), url("x2")), (y.clone(), url("y"))])?;
            let place = |source: &AlternateContentSource, name: &str| Alternate {
                remote: source.remote,
                url: url(name),
            };
            let wanted = [&unknown, &x, &weak, &y, &x];
            let of_x = vec![place(&near, "x2"), place(&far, "x")];
            assert_eq!(
                find(conn, &wanted)?,
                [vec![], of_x.clone(), vec![], vec![place(&near, "y")], of_x]
            );
            note(conn, near.id, Timestamp(20), &[(y.clone(), url("y"))])?;
            complete(conn, near.id, Timestamp(20))?;
            assert_eq!(get(conn, "a near one")?.last_refreshed, Some(Timestamp(20)));
            let left = [vec![place(&far, "x")], vec![place(&near, "y")]];
            assert_eq!(find(conn, &[&x, &y])?, left);
            update(conn, &AlternateContentSource { enabled: false, ..far })?;
            assert_eq!(find(conn, &[&x])?, [vec![]]);
            delete(conn, "a near one")?;
            assert_eq!(find(conn, &[&y])?, [vec![]]);
            assert!(!any(conn)?, "only a disabled one is left");
            let gone = complete(conn, near.id, Timestamp(30));
            assert!(matches!(gone, Err(DbError::NotFound { .. })));
            Ok(())
        })
        .await
        .expect("written");
    }
}
