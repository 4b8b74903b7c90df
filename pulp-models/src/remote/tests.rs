//! Remotes on both databases, and what of them is encrypted.

use super::*;
use crate::{
    Db, both_databases,
    repository::{self, NewRepository},
    testing::TestDatabase,
};

const SECRET: &str = "hunter2-canary";

fn keyring(lines: &[&str]) -> Keyring {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines.join("\n")).expect("written");
    Keyring::load(file.path()).expect("keys")
}

/// What the database holds of the settings.
async fn stored(db: &Db) -> String {
    let read = db.read(|conn| {
        let settings: JsonText = on!(conn, c => remote::table.select(remote::settings).first(c))?;
        Ok(settings.0)
    });
    read.await.expect("read")
}

fn new(name: &str) -> NewRemote {
    NewRemote {
        name: name.to_owned(),
        plugin: "file".to_owned(),
        url: "http://me:secret@host/PULP_MANIFEST".parse().expect("valid"),
        policy: Policy::OnDemand,
        settings: RemoteSettings { max_retries: Some(0), ..RemoteSettings::default() },
        options: serde_json::json!({"manifest": "M", "\u{e9}": [1, null]}),
    }
}

both_databases! {
    async fn a_remote_comes_back_as_it_was_written(db: TestDatabase) {
        db.write(|conn| {
            let mut remote = create(conn, &new("b"))?;
            assert_eq!(get(conn, "b")?, remote);
            remote.name = "c".to_owned();
            remote.policy = Policy::Streamed;
            update(conn, &remote)?;
            let changed = get_by_id(conn, remote.id)?;
            assert_eq!((changed.name.as_str(), changed.policy), ("c", Policy::Streamed));
            assert!(changed.updated >= changed.created);
            create(conn, &new("a"))?;
            let names: Vec<_> = list(conn)?.into_iter().map(|remote| remote.name).collect();
            assert_eq!(names, ["a", "c"]);
            delete(conn, "a", false)?;
            let error = delete(conn, "a", false).expect_err("it is gone");
            assert_eq!(error.to_string(), "Remote `a` does not exist");
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn credentials_of_a_url_are_settings(db: TestDatabase) {
        let remote = db.write(|conn| create(conn, &new("a"))).await.expect("created");
        assert_eq!(remote.url.expose().as_str(), "http://host/PULP_MANIFEST");
        assert_eq!(remote.settings.username.as_deref(), Some("me"));
        assert_eq!(remote.settings.password, Some("secret".into()));
        let mut changed = remote.clone();
        changed.url = "http://you:other@host/".parse().expect("valid");
        let id = remote.id;
        let read = db
            .write(move |conn| {
                update(conn, &changed)?;
                get_by_id(conn, id)
            })
            .await
            .expect("changed");
        assert_eq!(read.url.expose().as_str(), "http://host/");
        assert_eq!(read.settings.password, Some("other".into()));
    }

    async fn secrets_are_encrypted_once_there_is_a_key_and_change_it_when_told(
        db: TestDatabase
    ) {
        let mut new = new("a");
        new.settings.client_key = Some(SECRET.into());
        let written = db.write(move |conn| create(conn, &new)).await.expect("created");
        assert!(stored(&db).await.contains(SECRET));

        let (first, second) = (Keyring::new_key(), Keyring::new_key());
        let with = |lines: Vec<String>| {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let keyring = keyring(&lines);
            let url = db.url().clone();
            async move { Db::open_with(&url, keyring).await }
        };
        let keyed = with(vec![first.clone()]).await.expect("opens");
        assert_eq!(keyed.read(|conn| get(conn, "a")).await.expect("read"), written);
        assert_eq!(keyed.write(reseal).await.expect("encrypted"), 1);
        assert!(!stored(&db).await.contains(SECRET));
        assert!(!stored(&db).await.contains("username"), "nor who we are");
        assert_eq!(keyed.read(|conn| get(conn, "a")).await.expect("read"), written);

        let error = Db::open(db.url()).await.expect_err("no key");
        assert_eq!(error.to_string(), "Failed to decrypt the settings of remote `a`");
        assert!(error.hint().expect("a hint").contains("secret_key_file"));
        let error = with(vec![second.clone()]).await.expect_err("another key");
        assert!(matches!(error, DbError::Sealed { source: SealError::UnknownKey(_), .. }));

        let both = with(vec![second.clone(), first]).await.expect("opens");
        both.write(reseal).await.expect("encrypted");
        let rotated = with(vec![second]).await.expect("opens without the first key");
        assert_eq!(rotated.read(list).await.expect("read"), [written]);
    }

    async fn a_name_that_is_taken_is_said_so(db: TestDatabase) {
        let error = db
            .write(|conn| {
                create(conn, &new("a"))?;
                let mut other = create(conn, &new("b"))?;
                other.name = "a".to_owned();
                update(conn, &other)
            })
            .await
            .expect_err("taken");
        assert_eq!(error.to_string(), "Remote `a` already exists");
    }

    async fn a_remote_in_use_stays(db: TestDatabase) {
        let error = db
            .write(|conn| {
                let remote = Some(create(conn, &new("a"))?.id);
                let new = NewRepository { remote, ..NewRepository::new("r", "file") };
                repository::create(conn, &new)?;
                delete(conn, "a", true)
            })
            .await
            .expect_err("in use");
        assert_eq!(error.to_string(), "Remote `a` is used by repository `r`");
    }
}
