-- A small database as the program of migration 0001 left it; see `tests.rs`.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE __diesel_schema_migrations (
       version VARCHAR(50) PRIMARY KEY NOT NULL,
       run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO __diesel_schema_migrations VALUES('0001','2026-11-27 07:53:44');
CREATE TABLE content (
    id BLOB NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    natural_key BLOB NOT NULL UNIQUE,
    repo_key BLOB,
    metadata TEXT NOT NULL,
    raw BLOB
) STRICT;
INSERT INTO content VALUES(X'01a21bfefb2b76ddb769bd3003707436','file.file',X'edc7442a9d403a1d22d5c952eb337b3a5b54d23f7c1ce4213b099a66d2fbbc4d',X'6ae53b8df5350013b174d63ea65da13f932156f8d54b5305ff42092f3c3bc89c','{"relative_path":"b.txt","digests":{"sha256":"e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317"},"size":6}',NULL);
INSERT INTO content VALUES(X'01a21bfefb2b76ddb769bd2fa6bf0532','file.file',X'f1f77975191dd4821b9dbf78d2d0f64f2d2b7fba0806f84eb64f64111cfdcd18',X'cb6946a73024831fcc4ebd535192a5e4cd48b7393caca41dea3db3f29c78ea92','{"relative_path":"a.txt","digests":{"sha256":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"},"size":6}',NULL);
INSERT INTO content VALUES(X'01a21bfeff4d766390d8825286831a69','file.file',X'1250bef23813c206b578c5c1d1b9a359e38acbf0fedc0e87a66932fdccca3fe4',X'888ea071a1b021ac82cdc5267f50bf243578dd3e3755e72edc1060d5e21693b5','{"relative_path":"c.txt","digests":{"sha256":"5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796"},"size":6}',NULL);
CREATE TABLE artifact (
    sha256 BLOB NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO artifact VALUES(X'5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',6,1795766025002041);
INSERT INTO artifact VALUES(X'5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796',6,1795766026049454);
INSERT INTO artifact VALUES(X'83659c33e1383d5095061e755b46017939219251c0ed85344e76d3cb08aaa20f',146,1795766025033478);
INSERT INTO artifact VALUES(X'e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317',6,1795766025002041);
INSERT INTO artifact VALUES(X'ead2a615ca1339f977ada858df365862965ad5caacf19cabf202e3ed72b3c7f0',146,1795766026411443);
CREATE TABLE artifact_digest (
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    sha256 BLOB NOT NULL REFERENCES artifact (sha256) ON DELETE CASCADE,
    PRIMARY KEY (algorithm, digest, sha256)
) STRICT, WITHOUT ROWID;
CREATE TABLE content_artifact (
    content_id BLOB NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    sha256 BLOB,
    PRIMARY KEY (content_id, relative_path)
) STRICT, WITHOUT ROWID;
INSERT INTO content_artifact VALUES(X'01a21bfefb2b76ddb769bd2fa6bf0532','a.txt',X'5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03');
INSERT INTO content_artifact VALUES(X'01a21bfefb2b76ddb769bd3003707436','b.txt',X'e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317');
INSERT INTO content_artifact VALUES(X'01a21bfeff4d766390d8825286831a69','c.txt',X'5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796');
CREATE TABLE remote_artifact (
    content_id BLOB NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    remote_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    size INTEGER,
    sha256 BLOB,
    digests TEXT,
    PRIMARY KEY (content_id, relative_path, remote_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO remote_artifact VALUES(X'01a21bfefb2b76ddb769bd2fa6bf0532','a.txt',X'01a21bfef94f71f9a15d6af015bcb7cf',0,'http://127.0.0.1:8000/a.txt',6,X'5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',NULL);
INSERT INTO remote_artifact VALUES(X'01a21bfefb2b76ddb769bd2fa6bf0532','a.txt',X'01a21bff0131758289e9f1e6b1a3c4fe',0,'http://127.0.0.1:8000/a.txt',NULL,X'5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',NULL);
INSERT INTO remote_artifact VALUES(X'01a21bfefb2b76ddb769bd3003707436','b.txt',X'01a21bfef94f71f9a15d6af015bcb7cf',0,'http://127.0.0.1:8000/b.txt',6,X'e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317',NULL);
INSERT INTO remote_artifact VALUES(X'01a21bfefb2b76ddb769bd3003707436','b.txt',X'01a21bff0131758289e9f1e6b1a3c4fe',0,'http://127.0.0.1:8000/b.txt',NULL,X'e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317',NULL);
INSERT INTO remote_artifact VALUES(X'01a21bfeff4d766390d8825286831a69','c.txt',X'01a21bfef94f71f9a15d6af015bcb7cf',0,'http://127.0.0.1:8000/c.txt',6,X'5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796',NULL);
CREATE TABLE remote (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    url TEXT NOT NULL,
    policy TEXT NOT NULL,
    settings TEXT NOT NULL,
    options TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO remote VALUES(X'01a21bfef94f71f9a15d6af015bcb7cf','files','file','http://127.0.0.1:8000/PULP_MANIFEST','immediate','{"username":"me","password":"old-secret"}','{}',1795766024527005,1795766024527005);
INSERT INTO remote VALUES(X'01a21bff0131758289e9f1e6b1a3c4fe','lazy','file','http://127.0.0.1:8000/SHA256SUMS','on_demand','{}','{}',1795766026545957,1795766026545957);
INSERT INTO remote VALUES(X'01a21bff03367198b1f3323ca33768a2','broken','file','http://127.0.0.1:8000/nothing','immediate','{"max_retries":0}','{}',1795766027062009,1795766027062009);
CREATE TABLE repository (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    description TEXT,
    remote_id BLOB REFERENCES remote (id) ON DELETE RESTRICT,
    next_version INTEGER NOT NULL,
    retain_versions INTEGER,
    hidden INTEGER NOT NULL,
    options TEXT NOT NULL,
    last_sync TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO repository VALUES(X'01a21bfef9507262bea39c54f0fd6826','files','file',NULL,X'01a21bfef94f71f9a15d6af015bcb7cf',3,NULL,0,'{"autopublish":true,"mirror":true,"options":{"verbatim_manifest":null},"publication":{"no_manifest":false}}','{"fingerprint":"b204d3a2a7d570569144abae321e21c3342e0358ef0ef203159a98682f0792c6","settings":"e72a26a2541d25ceb3bd87de604c4fb03a63294e45416b66a7d8246799d0777d","version":2}',1795766024528124,1795766026150576);
INSERT INTO repository VALUES(X'01a21bff013273c293bf1e526a819a5d','lazy','file',NULL,X'01a21bff0131758289e9f1e6b1a3c4fe',2,NULL,0,'{"autopublish":true,"mirror":false,"options":{"verbatim_manifest":null},"publication":{"no_manifest":false}}','{"fingerprint":"58870de41b13551b967b990c68baa3fec2653bb813554c89b8fb42f3e36ac97f","settings":"4b1eb8cf916503c3434e7f6c6a0c2618cbd80366d21a24ef8282153163c928ac","version":1}',1795766026546400,1795766026819369);
INSERT INTO repository VALUES(X'01a21bff03367198b1f3323d666acc41','broken','file',NULL,X'01a21bff03367198b1f3323ca33768a2',1,NULL,0,'{"autopublish":true,"mirror":false,"options":{"verbatim_manifest":null},"publication":{"no_manifest":false}}',NULL,1795766027062358,1795766027062358);
CREATE TABLE repository_version (
    repository_id BLOB NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    created INTEGER NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (repository_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO repository_version VALUES(X'01a21bfef9507262bea39c54f0fd6826',0,1795766024528408,'{"added":{},"removed":{},"present":{}}');
INSERT INTO repository_version VALUES(X'01a21bfef9507262bea39c54f0fd6826',1,1795766025008735,'{"added":{"file.file":2},"removed":{},"present":{"file.file":2}}');
INSERT INTO repository_version VALUES(X'01a21bfef9507262bea39c54f0fd6826',2,1795766026150519,'{"added":{"file.file":1},"removed":{"file.file":1},"present":{"file.file":2}}');
INSERT INTO repository_version VALUES(X'01a21bff013273c293bf1e526a819a5d',0,1795766026546538,'{"added":{},"removed":{},"present":{}}');
INSERT INTO repository_version VALUES(X'01a21bff013273c293bf1e526a819a5d',1,1795766026819330,'{"added":{"file.file":2},"removed":{},"present":{"file.file":2}}');
INSERT INTO repository_version VALUES(X'01a21bff03367198b1f3323d666acc41',0,1795766027062492,'{"added":{},"removed":{},"present":{}}');
CREATE TABLE repository_content (
    repository_id BLOB NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    content_id BLOB NOT NULL,
    version_added INTEGER NOT NULL,
    version_removed INTEGER,
    PRIMARY KEY (repository_id, content_id, version_added)
) STRICT, WITHOUT ROWID;
INSERT INTO repository_content VALUES(X'01a21bfef9507262bea39c54f0fd6826',X'01a21bfefb2b76ddb769bd2fa6bf0532',1,NULL);
INSERT INTO repository_content VALUES(X'01a21bfef9507262bea39c54f0fd6826',X'01a21bfefb2b76ddb769bd3003707436',1,2);
INSERT INTO repository_content VALUES(X'01a21bfef9507262bea39c54f0fd6826',X'01a21bfeff4d766390d8825286831a69',2,NULL);
INSERT INTO repository_content VALUES(X'01a21bff013273c293bf1e526a819a5d',X'01a21bfefb2b76ddb769bd2fa6bf0532',1,NULL);
INSERT INTO repository_content VALUES(X'01a21bff013273c293bf1e526a819a5d',X'01a21bfefb2b76ddb769bd3003707436',1,NULL);
CREATE TABLE incomplete_version_content (
    repository_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    content_id BLOB NOT NULL,
    PRIMARY KEY (repository_id, number, content_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE publication (
    id BLOB NOT NULL PRIMARY KEY,
    repository_id BLOB NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    options TEXT NOT NULL,
    complete INTEGER NOT NULL,
    pass_through INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO publication VALUES(X'01a21bfefb387070b6fb1d89dd6f0249',X'01a21bfef9507262bea39c54f0fd6826',1,'file','{"no_manifest":false}',1,1,0,1795766025033888);
INSERT INTO publication VALUES(X'01a21bff00987635a441be81eaf89da3',X'01a21bfef9507262bea39c54f0fd6826',2,'file','{"no_manifest":false}',1,1,0,1795766026412055);
INSERT INTO publication VALUES(X'01a21bff024575c4af1549df582c10e4',X'01a21bff013273c293bf1e526a819a5d',1,'file','{"no_manifest":false}',1,1,0,1795766026861162);
CREATE TABLE published_artifact (
    publication_id BLOB NOT NULL REFERENCES publication (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    content_id BLOB,
    content_path TEXT,
    sha256 BLOB,
    size INTEGER,
    PRIMARY KEY (publication_id, relative_path)
) STRICT, WITHOUT ROWID;
INSERT INTO published_artifact VALUES(X'01a21bfefb387070b6fb1d89dd6f0249','PULP_MANIFEST',NULL,NULL,X'83659c33e1383d5095061e755b46017939219251c0ed85344e76d3cb08aaa20f',146);
INSERT INTO published_artifact VALUES(X'01a21bff00987635a441be81eaf89da3','PULP_MANIFEST',NULL,NULL,X'ead2a615ca1339f977ada858df365862965ad5caacf19cabf202e3ed72b3c7f0',146);
INSERT INTO published_artifact VALUES(X'01a21bff024575c4af1549df582c10e4','PULP_MANIFEST',NULL,NULL,X'83659c33e1383d5095061e755b46017939219251c0ed85344e76d3cb08aaa20f',146);
CREATE TABLE distribution (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    base_path TEXT NOT NULL UNIQUE,
    repository_id BLOB REFERENCES repository (id) ON DELETE SET NULL,
    version INTEGER,
    publication_id BLOB REFERENCES publication (id) ON DELETE SET NULL,
    options TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO distribution VALUES(X'01a21bfef9507262bea39c553eced479','files','file','files',X'01a21bfef9507262bea39c54f0fd6826',NULL,NULL,'{}',1795766024528571,1795766024528571);
INSERT INTO distribution VALUES(X'01a21bff013273c293bf1e532fdc7d14','lazy','file','lazy',X'01a21bff013273c293bf1e526a819a5d',NULL,NULL,'{}',1795766026546705,1795766026546705);
INSERT INTO distribution VALUES(X'01a21bff03367198b1f3323ebe804ae7','broken','file','broken',X'01a21bff03367198b1f3323d666acc41',NULL,NULL,'{}',1795766027062633,1795766027062633);
CREATE TABLE task (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    plugin TEXT,
    repository_id BLOB,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    arguments TEXT,
    result TEXT,
    error TEXT,
    host TEXT,
    pid INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO task VALUES(X'01a21bfef95275a1815df6ed6fe1e213','sync','file',X'01a21bfef9507262bea39c54f0fd6826','completed',1795766024530849,1795766024531719,1795766025009828,'{"repository":"files"}','{"added":2,"downloaded_bytes":158,"dry_run":false,"duration_ms":477,"latest_version":1,"present":2,"profile":{"elapsed_ms":215.759,"stages":[{"batches":0,"blocked_ms":0.0,"largest_batch":0,"longest_poll_ms":0.031,"max_depth":0,"name":"ReadList","polled_ms":0.061,"received":0,"sent":2,"smallest_batch":0,"waiting_ms":0.0,"working_ms":0.298},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.128,"max_depth":2,"name":"QueryExistingContents","polled_ms":0.168,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":0.0,"working_ms":2.116},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.047,"max_depth":2,"name":"QueryExistingArtifacts","polled_ms":0.079,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":0.35,"working_ms":2.131},{"batches":0,"blocked_ms":0.0,"largest_batch":0,"longest_poll_ms":3.685,"max_depth":2,"name":"ArtifactDownloader","polled_ms":4.839,"received":2,"sent":2,"smallest_batch":0,"waiting_ms":0.718,"working_ms":59.782},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.113,"max_depth":2,"name":"ArtifactSaver","polled_ms":0.145,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":58.752,"working_ms":152.873},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.447,"max_depth":2,"name":"ContentSaver","polled_ms":0.469,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":209.937,"working_ms":3.512},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.4,"max_depth":2,"name":"RemoteArtifactSaver","polled_ms":0.438,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":211.706,"working_ms":2.949},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.005,"max_depth":2,"name":"ResolveContentFutures","polled_ms":0.006,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":212.904,"working_ms":1.762},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.024,"max_depth":2,"name":"ContentAssociation","polled_ms":0.045,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":212.908,"working_ms":2.585}]},"removed":0,"repository":"files","requests":3,"started":"2026-11-27T07:53:44.532124Z","unchanged":false,"version":1,"warnings":[]}',NULL,'sample',25158);
INSERT INTO task VALUES(X'01a21bfefb37746894cb266beca15ff2','publish','file',X'01a21bfef9507262bea39c54f0fd6826','completed',1795766025015631,1795766025016225,1795766025034384,'{"repository":"files"}','{"created":"2026-11-27T07:53:45.016515Z","duration_ms":17,"publication":"01a21bfe-fb38-7070-b6fb-1d89dd6f0249","repository":"files","version":1,"warnings":[]}',NULL,'sample',25158);
INSERT INTO task VALUES(X'01a21bfefe1571f6839abaca70c5be8f','sync','file',X'01a21bfef9507262bea39c54f0fd6826','completed',1795766025749837,1795766025751223,1795766026205036,'{"repository":"files"}','{"added":1,"downloaded_bytes":152,"dry_run":false,"duration_ms":397,"latest_version":2,"present":2,"profile":{"elapsed_ms":232.698,"stages":[{"batches":0,"blocked_ms":0.0,"largest_batch":0,"longest_poll_ms":0.055,"max_depth":0,"name":"ReadList","polled_ms":0.114,"received":0,"sent":2,"smallest_batch":0,"waiting_ms":0.0,"working_ms":1.301},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.088,"max_depth":2,"name":"QueryExistingContents","polled_ms":0.163,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":1.146,"working_ms":2.865},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.037,"max_depth":2,"name":"QueryExistingArtifacts","polled_ms":0.064,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.844,"working_ms":0.424},{"batches":0,"blocked_ms":0.0,"largest_batch":0,"longest_poll_ms":8.121,"max_depth":2,"name":"ArtifactDownloader","polled_ms":8.797,"received":2,"sent":2,"smallest_batch":0,"waiting_ms":4.084,"working_ms":12.498},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.073,"max_depth":2,"name":"ArtifactSaver","polled_ms":0.123,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":17.826,"working_ms":135.002},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.148,"max_depth":2,"name":"ContentSaver","polled_ms":0.213,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":152.647,"working_ms":53.838},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.065,"max_depth":2,"name":"RemoteArtifactSaver","polled_ms":0.127,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":206.303,"working_ms":25.834},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.011,"max_depth":2,"name":"ResolveContentFutures","polled_ms":0.013,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":231.952,"working_ms":0.211},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.041,"max_depth":2,"name":"ContentAssociation","polled_ms":0.065,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":231.963,"working_ms":0.639},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.022,"max_depth":2,"name":"ContentUnassociation","polled_ms":0.027,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":232.396,"working_ms":0.235}]},"removed":1,"repository":"files","requests":2,"started":"2026-11-27T07:53:45.755872Z","unchanged":false,"version":2,"warnings":[]}',NULL,'sample',25322);
INSERT INTO task VALUES(X'01a21bfeffe27225b32dc4db683bc4d7','publish','file',X'01a21bfef9507262bea39c54f0fd6826','completed',1795766026210462,1795766026333229,1795766026412910,'{"repository":"files"}','{"created":"2026-11-27T07:53:46.336975Z","duration_ms":75,"publication":"01a21bff-0098-7635-a441-be81eaf89da3","repository":"files","version":2,"warnings":[]}',NULL,'sample',25322);
INSERT INTO task VALUES(X'01a21bff017b735eac4abd471c997171','sync','file',X'01a21bff013273c293bf1e526a819a5d','completed',1795766026619788,1795766026620722,1795766026820172,'{"repository":"lazy"}','{"added":2,"downloaded_bytes":144,"dry_run":false,"duration_ms":198,"latest_version":1,"present":2,"profile":{"elapsed_ms":4.101,"stages":[{"batches":0,"blocked_ms":0.0,"largest_batch":0,"longest_poll_ms":0.035,"max_depth":0,"name":"ReadList","polled_ms":0.066,"received":0,"sent":2,"smallest_batch":0,"waiting_ms":0.0,"working_ms":0.471},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.052,"max_depth":2,"name":"QueryExistingContents","polled_ms":0.09,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":0.383,"working_ms":2.764},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.013,"max_depth":2,"name":"QueryExistingArtifacts","polled_ms":0.014,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.051,"working_ms":0.118},{"batches":0,"blocked_ms":0.0,"largest_batch":0,"longest_poll_ms":0.019,"max_depth":2,"name":"ArtifactDownloader","polled_ms":0.027,"received":2,"sent":2,"smallest_batch":0,"waiting_ms":3.057,"working_ms":0.135},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.014,"max_depth":2,"name":"ArtifactSaver","polled_ms":0.016,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.075,"working_ms":0.134},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.027,"max_depth":2,"name":"ContentSaver","polled_ms":0.044,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.091,"working_ms":0.444},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.03,"max_depth":2,"name":"RemoteArtifactSaver","polled_ms":0.045,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.418,"working_ms":0.458},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.004,"max_depth":2,"name":"ResolveContentFutures","polled_ms":0.005,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.755,"working_ms":0.13},{"batches":1,"blocked_ms":0.0,"largest_batch":2,"longest_poll_ms":0.015,"max_depth":2,"name":"ContentAssociation","polled_ms":0.028,"received":2,"sent":2,"smallest_batch":2,"waiting_ms":3.757,"working_ms":0.304}]},"removed":0,"repository":"lazy","requests":1,"started":"2026-11-27T07:53:46.621222Z","unchanged":false,"version":1,"warnings":[]}',NULL,'sample',25381);
INSERT INTO task VALUES(X'01a21bff024575c4af1549dea53ec1dd','publish','file',X'01a21bff013273c293bf1e526a819a5d','completed',1795766026821112,1795766026821476,1795766026862415,'{"repository":"lazy"}','{"created":"2026-11-27T07:53:46.821659Z","duration_ms":40,"publication":"01a21bff-0245-75c4-af15-49df582c10e4","repository":"lazy","version":1,"warnings":[]}',NULL,'sample',25381);
INSERT INTO task VALUES(X'01a21bff03c3758f8dc82a1eb80f4dc2','sync','file',X'01a21bff03367198b1f3323d666acc41','failed',1795766027203562,1795766027204375,1795766027385848,'{"repository":"broken"}',NULL,'{"causes":[],"description":"`http://127.0.0.1:8000/nothing` answered 404 Not Found"}','sample',25498);
CREATE TABLE progress_report (
    task_id BLOB NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL,
    total INTEGER,
    done INTEGER NOT NULL,
    suffix TEXT,
    PRIMARY KEY (task_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO progress_report VALUES(X'01a21bfef95275a1815df6ed6fe1e213',0,'sync.downloading.metadata','Downloading Metadata Files','completed',NULL,1,NULL);
INSERT INTO progress_report VALUES(X'01a21bfef95275a1815df6ed6fe1e213',1,'sync.parsing.metadata','Parsing Metadata','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bfef95275a1815df6ed6fe1e213',2,'sync.downloading.artifacts','Downloading Artifacts','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bfef95275a1815df6ed6fe1e213',3,'associating.content','Associating Content','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bfefb37746894cb266beca15ff2',0,'publish.reading.content','Reading Content','completed',2,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bfefe1571f6839abaca70c5be8f',0,'sync.downloading.metadata','Downloading Metadata Files','completed',NULL,1,NULL);
INSERT INTO progress_report VALUES(X'01a21bfefe1571f6839abaca70c5be8f',1,'sync.parsing.metadata','Parsing Metadata','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bfefe1571f6839abaca70c5be8f',2,'sync.downloading.artifacts','Downloading Artifacts','completed',NULL,1,NULL);
INSERT INTO progress_report VALUES(X'01a21bfefe1571f6839abaca70c5be8f',3,'associating.content','Associating Content','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bfeffe27225b32dc4db683bc4d7',0,'publish.reading.content','Reading Content','completed',2,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bff017b735eac4abd471c997171',0,'sync.downloading.metadata','Downloading Metadata Files','completed',NULL,1,NULL);
INSERT INTO progress_report VALUES(X'01a21bff017b735eac4abd471c997171',1,'sync.parsing.metadata','Parsing Metadata','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bff017b735eac4abd471c997171',2,'sync.downloading.artifacts','Downloading Artifacts','completed',NULL,0,NULL);
INSERT INTO progress_report VALUES(X'01a21bff017b735eac4abd471c997171',3,'associating.content','Associating Content','completed',NULL,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bff024575c4af1549dea53ec1dd',0,'publish.reading.content','Reading Content','completed',2,2,NULL);
INSERT INTO progress_report VALUES(X'01a21bff03c3758f8dc82a1eb80f4dc2',0,'sync.downloading.metadata','Downloading Metadata Files','failed',NULL,0,NULL);
CREATE TABLE alternate_content_source (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    remote_id BLOB NOT NULL REFERENCES remote (id) ON DELETE RESTRICT,
    paths TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    last_refreshed INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alternate_artifact (
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    source_id BLOB NOT NULL,
    url TEXT NOT NULL,
    refreshed INTEGER NOT NULL,
    PRIMARY KEY (algorithm, digest, source_id, url)
) STRICT, WITHOUT ROWID;
CREATE INDEX content_repo_key ON content (repo_key) WHERE repo_key IS NOT NULL;
CREATE INDEX artifact_digest_sha256 ON artifact_digest (sha256);
CREATE INDEX content_artifact_relative_path ON content_artifact (relative_path);
CREATE INDEX repository_remote_id ON repository (remote_id);
CREATE INDEX publication_repository_id ON publication (repository_id, version);
CREATE INDEX distribution_repository_id ON distribution (repository_id);
CREATE INDEX distribution_publication_id ON distribution (publication_id);
CREATE INDEX task_state ON task (state, created);
CREATE INDEX alternate_content_source_remote_id ON alternate_content_source (remote_id);
COMMIT;
