-- A small database as the program of migration 0001 left it; see `tests.rs`.
CREATE TABLE __diesel_schema_migrations (
    version character varying(50) NOT NULL,
    run_on timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE TABLE alternate_artifact (
    algorithm text NOT NULL,
    digest bytea NOT NULL,
    source_id uuid NOT NULL,
    url text NOT NULL,
    refreshed bigint NOT NULL
);
CREATE TABLE alternate_content_source (
    id uuid NOT NULL,
    name text NOT NULL,
    remote_id uuid NOT NULL,
    paths jsonb NOT NULL,
    enabled boolean NOT NULL,
    last_refreshed bigint,
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE TABLE artifact (
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE artifact_digest (
    algorithm text NOT NULL,
    digest bytea NOT NULL,
    sha256 bytea NOT NULL
);
CREATE TABLE content (
    id uuid NOT NULL,
    type text NOT NULL,
    natural_key bytea NOT NULL,
    repo_key bytea,
    metadata jsonb NOT NULL,
    raw bytea
);
CREATE TABLE content_artifact (
    content_id uuid NOT NULL,
    relative_path text NOT NULL COLLATE pg_catalog."C",
    sha256 bytea
);
CREATE TABLE distribution (
    id uuid NOT NULL,
    name text NOT NULL,
    plugin text NOT NULL,
    base_path text NOT NULL COLLATE pg_catalog."C",
    repository_id uuid,
    version bigint,
    publication_id uuid,
    options jsonb NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE UNLOGGED TABLE incomplete_version_content (
    repository_id uuid NOT NULL,
    number bigint NOT NULL,
    content_id uuid NOT NULL
);
CREATE TABLE progress_report (
    task_id uuid NOT NULL,
    "position" integer NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    state text NOT NULL,
    total bigint,
    done bigint NOT NULL,
    suffix text
);
CREATE TABLE publication (
    id uuid NOT NULL,
    repository_id uuid NOT NULL,
    version bigint NOT NULL,
    plugin text NOT NULL,
    options jsonb NOT NULL,
    complete boolean NOT NULL,
    pass_through boolean NOT NULL,
    checkpoint boolean NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE published_artifact (
    publication_id uuid NOT NULL,
    relative_path text NOT NULL COLLATE pg_catalog."C",
    content_id uuid,
    content_path text COLLATE pg_catalog."C",
    sha256 bytea,
    size bigint
);
CREATE TABLE remote (
    id uuid NOT NULL,
    name text NOT NULL,
    plugin text NOT NULL,
    url text NOT NULL,
    policy text NOT NULL,
    settings jsonb NOT NULL,
    options jsonb NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE TABLE remote_artifact (
    content_id uuid NOT NULL,
    relative_path text NOT NULL COLLATE pg_catalog."C",
    remote_id uuid NOT NULL,
    "position" integer NOT NULL,
    url text NOT NULL,
    size bigint,
    sha256 bytea,
    digests jsonb
);
CREATE TABLE repository (
    id uuid NOT NULL,
    name text NOT NULL,
    plugin text NOT NULL,
    description text,
    remote_id uuid,
    next_version bigint NOT NULL,
    retain_versions integer,
    hidden boolean NOT NULL,
    options jsonb NOT NULL,
    last_sync jsonb,
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE TABLE repository_content (
    repository_id uuid NOT NULL,
    content_id uuid NOT NULL,
    version_added bigint NOT NULL,
    version_removed bigint
);
CREATE TABLE repository_version (
    repository_id uuid NOT NULL,
    number bigint NOT NULL,
    created bigint NOT NULL,
    summary jsonb NOT NULL
);
CREATE TABLE task (
    id uuid NOT NULL,
    name text NOT NULL,
    plugin text,
    repository_id uuid,
    state text NOT NULL,
    created bigint NOT NULL,
    started bigint,
    finished bigint,
    arguments jsonb,
    result jsonb,
    error jsonb,
    host text,
    pid bigint
);
INSERT INTO __diesel_schema_migrations VALUES ('0001', '2026-11-27 07:53:48.159021');
INSERT INTO artifact VALUES ('\x5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03', 6, 1795766047533429);
INSERT INTO artifact VALUES ('\xe258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317', 6, 1795766047533429);
INSERT INTO artifact VALUES ('\x23e3e04859b911cd2b25d5d2c42bf3dce49576cb187cf6be72ab673741d335e3', 146, 1795766063421520);
INSERT INTO artifact VALUES ('\x5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796', 6, 1795766082337353);
INSERT INTO artifact VALUES ('\xead2a615ca1339f977ada858df365862965ad5caacf19cabf202e3ed72b3c7f0', 146, 1795766089568778);
INSERT INTO content VALUES ('01a21bff-5bd1-72ec-864a-e0557087a619', 'file.file', '\xedc7442a9d403a1d22d5c952eb337b3a5b54d23f7c1ce4213b099a66d2fbbc4d', '\x6ae53b8df5350013b174d63ea65da13f932156f8d54b5305ff42092f3c3bc89c', '{"size": 6, "digests": {"sha256": "e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317"}, "relative_path": "b.txt"}', NULL);
INSERT INTO content VALUES ('01a21bff-5bd1-72ec-864a-e056c1a344e4', 'file.file', '\xf1f77975191dd4821b9dbf78d2d0f64f2d2b7fba0806f84eb64f64111cfdcd18', '\xcb6946a73024831fcc4ebd535192a5e4cd48b7393caca41dea3db3f29c78ea92', '{"size": 6, "digests": {"sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"}, "relative_path": "a.txt"}', NULL);
INSERT INTO content VALUES ('01a21bff-dfd8-778a-ba80-158354f913bb', 'file.file', '\x1250bef23813c206b578c5c1d1b9a359e38acbf0fedc0e87a66932fdccca3fe4', '\x888ea071a1b021ac82cdc5267f50bf243578dd3e3755e72edc1060d5e21693b5', '{"size": 6, "digests": {"sha256": "5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796"}, "relative_path": "c.txt"}', NULL);
INSERT INTO content_artifact VALUES ('01a21bff-5bd1-72ec-864a-e0557087a619', 'b.txt', '\xe258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317');
INSERT INTO content_artifact VALUES ('01a21bff-5bd1-72ec-864a-e056c1a344e4', 'a.txt', '\x5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03');
INSERT INTO content_artifact VALUES ('01a21bff-dfd8-778a-ba80-158354f913bb', 'c.txt', '\x5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796');
INSERT INTO distribution VALUES ('01a21bff-1b32-76ba-b7a9-993548b58b9c', 'files', 'file', 'files', '01a21bff-1b30-762b-b621-c0587ebb60e8', NULL, NULL, '{}', 1795766033202418, 1795766033202418);
INSERT INTO distribution VALUES ('01a21bff-fe83-74b7-ba39-e95150b2cb74', 'lazy', 'file', 'lazy', '01a21bff-fe81-77ae-9a6b-83f72de99913', NULL, NULL, '{}', 1795766091395795, 1795766091395795);
INSERT INTO distribution VALUES ('01a21c00-0f3d-7736-a648-30db4feb534b', 'broken', 'file', 'broken', '01a21c00-0f3a-739a-aaee-a4bd9e49b8a5', NULL, NULL, '{}', 1795766095677388, 1795766095677388);
INSERT INTO progress_report VALUES ('01a21bff-1c38-72b6-bb4b-6c9bd010e818', 0, 'sync.downloading.metadata', 'Downloading Metadata Files', 'completed', NULL, 1, NULL);
INSERT INTO progress_report VALUES ('01a21bff-1c38-72b6-bb4b-6c9bd010e818', 1, 'sync.parsing.metadata', 'Parsing Metadata', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21bff-1c38-72b6-bb4b-6c9bd010e818', 2, 'sync.downloading.artifacts', 'Downloading Artifacts', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21bff-1c38-72b6-bb4b-6c9bd010e818', 3, 'associating.content', 'Associating Content', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21bff-7a08-70b7-b6f6-9c91d5a21028', 0, 'publish.reading.content', 'Reading Content', 'completed', 2, 2, NULL);
INSERT INTO progress_report VALUES ('01a21bff-c173-76a3-836f-d3e5c3ae683f', 0, 'sync.downloading.metadata', 'Downloading Metadata Files', 'completed', NULL, 1, NULL);
INSERT INTO progress_report VALUES ('01a21bff-c173-76a3-836f-d3e5c3ae683f', 1, 'sync.parsing.metadata', 'Parsing Metadata', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21bff-c173-76a3-836f-d3e5c3ae683f', 2, 'sync.downloading.artifacts', 'Downloading Artifacts', 'completed', NULL, 1, NULL);
INSERT INTO progress_report VALUES ('01a21bff-c173-76a3-836f-d3e5c3ae683f', 3, 'associating.content', 'Associating Content', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21bff-e915-769e-abb2-bb816d0c39c2', 0, 'publish.reading.content', 'Reading Content', 'completed', 2, 2, NULL);
INSERT INTO progress_report VALUES ('01a21c00-00a1-7664-8f40-56b4925ead7a', 0, 'sync.downloading.metadata', 'Downloading Metadata Files', 'completed', NULL, 1, NULL);
INSERT INTO progress_report VALUES ('01a21c00-00a1-7664-8f40-56b4925ead7a', 1, 'sync.parsing.metadata', 'Parsing Metadata', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21c00-00a1-7664-8f40-56b4925ead7a', 2, 'sync.downloading.artifacts', 'Downloading Artifacts', 'completed', NULL, 0, NULL);
INSERT INTO progress_report VALUES ('01a21c00-00a1-7664-8f40-56b4925ead7a', 3, 'associating.content', 'Associating Content', 'completed', NULL, 2, NULL);
INSERT INTO progress_report VALUES ('01a21c00-07be-73e8-95ed-54abf50df8f9', 0, 'publish.reading.content', 'Reading Content', 'completed', 2, 2, NULL);
INSERT INTO progress_report VALUES ('01a21c00-1125-708b-86f9-9250d7a535ac', 0, 'sync.downloading.metadata', 'Downloading Metadata Files', 'failed', NULL, 0, NULL);
INSERT INTO publication VALUES ('01a21bff-838c-7250-88c6-532031d3b3f0', '01a21bff-1b30-762b-b621-c0587ebb60e8', 1, 'file', '{"no_manifest": false}', true, true, false, 1795766064822702);
INSERT INTO publication VALUES ('01a21bff-f491-7113-860e-a69bc9c5f00f', '01a21bff-1b30-762b-b621-c0587ebb60e8', 2, 'file', '{"no_manifest": false}', true, true, false, 1795766090740307);
INSERT INTO publication VALUES ('01a21c00-0acd-72b1-841f-b12a77f53ba9', '01a21bff-fe81-77ae-9a6b-83f72de99913', 1, 'file', '{"no_manifest": false}', true, true, false, 1795766095101660);
INSERT INTO published_artifact VALUES ('01a21bff-838c-7250-88c6-532031d3b3f0', 'PULP_MANIFEST', NULL, NULL, '\x23e3e04859b911cd2b25d5d2c42bf3dce49576cb187cf6be72ab673741d335e3', 146);
INSERT INTO published_artifact VALUES ('01a21bff-f491-7113-860e-a69bc9c5f00f', 'PULP_MANIFEST', NULL, NULL, '\xead2a615ca1339f977ada858df365862965ad5caacf19cabf202e3ed72b3c7f0', 146);
INSERT INTO published_artifact VALUES ('01a21c00-0acd-72b1-841f-b12a77f53ba9', 'PULP_MANIFEST', NULL, NULL, '\x23e3e04859b911cd2b25d5d2c42bf3dce49576cb187cf6be72ab673741d335e3', 146);
INSERT INTO remote VALUES ('01a21bff-1b2f-7263-9fc4-320b479e8ae0', 'files', 'file', 'http://127.0.0.1:8000/PULP_MANIFEST', 'immediate', '{"password": "old-secret", "username": "me"}', '{}', 1795766033199410, 1795766033199410);
INSERT INTO remote VALUES ('01a21bff-fe81-77ae-9a6b-83f60e3199ae', 'lazy', 'file', 'http://127.0.0.1:8000/SHA256SUMS', 'on_demand', '{}', '{}', 1795766091393035, 1795766091393035);
INSERT INTO remote VALUES ('01a21c00-0f37-7047-bdb7-1d2cba233882', 'broken', 'file', 'http://127.0.0.1:8000/nothing', 'immediate', '{"max_retries": 0}', '{}', 1795766095671579, 1795766095671579);
INSERT INTO remote_artifact VALUES ('01a21bff-5bd1-72ec-864a-e0557087a619', 'b.txt', '01a21bff-1b2f-7263-9fc4-320b479e8ae0', 0, 'http://127.0.0.1:8000/b.txt', 6, '\xe258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317', NULL);
INSERT INTO remote_artifact VALUES ('01a21bff-5bd1-72ec-864a-e056c1a344e4', 'a.txt', '01a21bff-1b2f-7263-9fc4-320b479e8ae0', 0, 'http://127.0.0.1:8000/a.txt', 6, '\x5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03', NULL);
INSERT INTO remote_artifact VALUES ('01a21bff-dfd8-778a-ba80-158354f913bb', 'c.txt', '01a21bff-1b2f-7263-9fc4-320b479e8ae0', 0, 'http://127.0.0.1:8000/c.txt', 6, '\x5eef8098ed6ec0a16249fc7c12422027fc9fd75b16130cc9382cf09102014796', NULL);
INSERT INTO remote_artifact VALUES ('01a21bff-5bd1-72ec-864a-e0557087a619', 'b.txt', '01a21bff-fe81-77ae-9a6b-83f60e3199ae', 0, 'http://127.0.0.1:8000/b.txt', NULL, '\xe258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317', NULL);
INSERT INTO remote_artifact VALUES ('01a21bff-5bd1-72ec-864a-e056c1a344e4', 'a.txt', '01a21bff-fe81-77ae-9a6b-83f60e3199ae', 0, 'http://127.0.0.1:8000/a.txt', NULL, '\x5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03', NULL);
INSERT INTO repository VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', 'files', 'file', NULL, '01a21bff-1b2f-7263-9fc4-320b479e8ae0', 3, NULL, false, '{"mirror": true, "options": {"verbatim_manifest": null}, "autopublish": true, "publication": {"no_manifest": false}}', '{"version": 2, "settings": "d16a1891342097022dff4d635ca7033575c8f7258a01deec2cae62d9651d4653", "fingerprint": "b204d3a2a7d570569144abae321e21c3342e0358ef0ef203159a98682f0792c6"}', 1795766033200534, 1795766085325145);
INSERT INTO repository VALUES ('01a21bff-fe81-77ae-9a6b-83f72de99913', 'lazy', 'file', NULL, '01a21bff-fe81-77ae-9a6b-83f60e3199ae', 2, NULL, false, '{"mirror": false, "options": {"verbatim_manifest": null}, "autopublish": true, "publication": {"no_manifest": false}}', '{"version": 1, "settings": "3721ffaac9980034aa1caea2aef58a53e43e277a75ef3cff95809c5994474486", "fingerprint": "58870de41b13551b967b990c68baa3fec2653bb813554c89b8fb42f3e36ac97f"}', 1795766091393951, 1795766093569230);
INSERT INTO repository VALUES ('01a21c00-0f3a-739a-aaee-a4bd9e49b8a5', 'broken', 'file', NULL, '01a21c00-0f37-7047-bdb7-1d2cba233882', 1, NULL, false, '{"mirror": false, "options": {"verbatim_manifest": null}, "autopublish": true, "publication": {"no_manifest": false}}', NULL, 1795766095674456, 1795766095674456);
INSERT INTO repository_content VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', '01a21bff-5bd1-72ec-864a-e056c1a344e4', 1, NULL);
INSERT INTO repository_content VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', '01a21bff-dfd8-778a-ba80-158354f913bb', 2, NULL);
INSERT INTO repository_content VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', '01a21bff-5bd1-72ec-864a-e0557087a619', 1, 2);
INSERT INTO repository_content VALUES ('01a21bff-fe81-77ae-9a6b-83f72de99913', '01a21bff-5bd1-72ec-864a-e0557087a619', 1, NULL);
INSERT INTO repository_content VALUES ('01a21bff-fe81-77ae-9a6b-83f72de99913', '01a21bff-5bd1-72ec-864a-e056c1a344e4', 1, NULL);
INSERT INTO repository_version VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', 0, 1795766033201497, '{"added": {}, "present": {}, "removed": {}}');
INSERT INTO repository_version VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', 1, 1795766053118057, '{"added": {"file.file": 2}, "present": {"file.file": 2}, "removed": {}}');
INSERT INTO repository_version VALUES ('01a21bff-1b30-762b-b621-c0587ebb60e8', 2, 1795766085310125, '{"added": {"file.file": 1}, "present": {"file.file": 2}, "removed": {"file.file": 1}}');
INSERT INTO repository_version VALUES ('01a21bff-fe81-77ae-9a6b-83f72de99913', 0, 1795766091394780, '{"added": {}, "present": {}, "removed": {}}');
INSERT INTO repository_version VALUES ('01a21bff-fe81-77ae-9a6b-83f72de99913', 1, 1795766093545422, '{"added": {"file.file": 2}, "present": {"file.file": 2}, "removed": {}}');
INSERT INTO repository_version VALUES ('01a21c00-0f3a-739a-aaee-a4bd9e49b8a5', 0, 1795766095675901, '{"added": {}, "present": {}, "removed": {}}');
INSERT INTO task VALUES ('01a21bff-1c38-72b6-bb4b-6c9bd010e818', 'sync', 'file', '01a21bff-1b30-762b-b621-c0587ebb60e8', 'completed', 1795766033464591, 1795766033753460, 1795766057081475, '{"repository": "files"}', '{"added": 2, "dry_run": false, "present": 2, "profile": {"stages": [{"name": "ReadList", "sent": 2, "batches": 0, "received": 0, "max_depth": 0, "polled_ms": 0.172, "blocked_ms": 0.0, "waiting_ms": 0.0, "working_ms": 0.436, "largest_batch": 0, "smallest_batch": 0, "longest_poll_ms": 0.124}, {"name": "QueryExistingContents", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.09, "blocked_ms": 0.0, "waiting_ms": 0.274, "working_ms": 1.664, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.055}, {"name": "QueryExistingArtifacts", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.058, "blocked_ms": 0.0, "waiting_ms": 1.775, "working_ms": 1.354, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.03}, {"name": "ArtifactDownloader", "sent": 2, "batches": 0, "received": 2, "max_depth": 2, "polled_ms": 1.349, "blocked_ms": 0.0, "waiting_ms": 2.948, "working_ms": 4.157, "largest_batch": 0, "smallest_batch": 0, "longest_poll_ms": 0.714}, {"name": "ArtifactSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.109, "blocked_ms": 0.0, "waiting_ms": 6.979, "working_ms": 10368.283, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.082}, {"name": "ContentSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.223, "blocked_ms": 0.0, "waiting_ms": 10375.132, "working_ms": 2238.689, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.14}, {"name": "RemoteArtifactSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.133, "blocked_ms": 0.0, "waiting_ms": 12613.689, "working_ms": 922.034, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.082}, {"name": "ResolveContentFutures", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.011, "blocked_ms": 0.0, "waiting_ms": 13535.579, "working_ms": 0.167, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.01}, {"name": "ContentAssociation", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.109, "blocked_ms": 0.0, "waiting_ms": 13535.585, "working_ms": 9.11, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.063}], "elapsed_ms": 13544.774}, "removed": 0, "started": "2026-11-27T07:53:53.993511Z", "version": 1, "requests": 3, "warnings": [], "unchanged": false, "repository": "files", "duration_ms": 21826, "latest_version": 1, "downloaded_bytes": 158}', NULL, 'sample', 25811);
INSERT INTO task VALUES ('01a21bff-7a08-70b7-b6f6-9c91d5a21028', 'publish', 'file', '01a21bff-1b30-762b-b621-c0587ebb60e8', 'completed', 1795766057480977, 1795766058541035, 1795766066625194, '{"repository": "files"}', '{"created": "2026-11-27T07:54:19.899877Z", "version": 1, "warnings": [], "repository": "files", "duration_ms": 5649, "publication": "01a21bff-838c-7250-88c6-532031d3b3f0"}', NULL, 'sample', 25811);
INSERT INTO task VALUES ('01a21bff-c173-76a3-836f-d3e5c3ae683f', 'sync', 'file', '01a21bff-1b30-762b-b621-c0587ebb60e8', 'completed', 1795766075763030, 1795766076039456, 1795766085771389, '{"repository": "files"}', '{"added": 1, "dry_run": false, "present": 2, "profile": {"stages": [{"name": "ReadList", "sent": 2, "batches": 0, "received": 0, "max_depth": 0, "polled_ms": 0.254, "blocked_ms": 0.0, "waiting_ms": 0.0, "working_ms": 0.488, "largest_batch": 0, "smallest_batch": 0, "longest_poll_ms": 0.238}, {"name": "QueryExistingContents", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.123, "blocked_ms": 0.0, "waiting_ms": 0.145, "working_ms": 3.361, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.074}, {"name": "QueryExistingArtifacts", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.064, "blocked_ms": 0.0, "waiting_ms": 3.157, "working_ms": 1.39, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.037}, {"name": "ArtifactDownloader", "sent": 2, "batches": 0, "received": 2, "max_depth": 2, "polled_ms": 2.482, "blocked_ms": 0.0, "waiting_ms": 4.164, "working_ms": 3.805, "largest_batch": 0, "smallest_batch": 0, "longest_poll_ms": 1.867}, {"name": "ArtifactSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.104, "blocked_ms": 0.0, "waiting_ms": 7.596, "working_ms": 3521.752, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.08}, {"name": "ContentSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.226, "blocked_ms": 0.0, "waiting_ms": 3528.97, "working_ms": 1420.427, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.151}, {"name": "RemoteArtifactSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.139, "blocked_ms": 0.0, "waiting_ms": 4949.016, "working_ms": 72.823, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.074}, {"name": "ResolveContentFutures", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.014, "blocked_ms": 0.0, "waiting_ms": 5021.455, "working_ms": 0.415, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.013}, {"name": "ContentAssociation", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 3.644, "blocked_ms": 0.0, "waiting_ms": 5021.464, "working_ms": 15.49, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 3.602}, {"name": "ContentUnassociation", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 1.227, "blocked_ms": 0.0, "waiting_ms": 5036.58, "working_ms": 1.652, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 1.225}], "elapsed_ms": 5039.63}, "removed": 1, "started": "2026-11-27T07:54:36.545426Z", "version": 2, "requests": 2, "warnings": [], "unchanged": false, "repository": "files", "duration_ms": 8972, "latest_version": 2, "downloaded_bytes": 152}', NULL, 'sample', 29943);
INSERT INTO task VALUES ('01a21bff-e915-769e-abb2-bb816d0c39c2', 'publish', 'file', '01a21bff-1b30-762b-b621-c0587ebb60e8', 'completed', 1795766085909195, 1795766086081692, 1795766090831328, '{"repository": "files"}', '{"created": "2026-11-27T07:54:48.79308Z", "version": 2, "warnings": [], "repository": "files", "duration_ms": 1988, "publication": "01a21bff-f491-7113-860e-a69bc9c5f00f"}', NULL, 'sample', 29943);
INSERT INTO task VALUES ('01a21c00-00a1-7664-8f40-56b4925ead7a', 'sync', 'file', '01a21bff-fe81-77ae-9a6b-83f72de99913', 'completed', 1795766091937433, 1795766092237793, 1795766093711128, '{"repository": "lazy"}', '{"added": 2, "dry_run": false, "present": 2, "profile": {"stages": [{"name": "ReadList", "sent": 2, "batches": 0, "received": 0, "max_depth": 0, "polled_ms": 0.309, "blocked_ms": 0.0, "waiting_ms": 0.0, "working_ms": 80.357, "largest_batch": 0, "smallest_batch": 0, "longest_poll_ms": 0.162}, {"name": "QueryExistingContents", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.316, "blocked_ms": 0.0, "waiting_ms": 79.755, "working_ms": 21.008, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.189}, {"name": "QueryExistingArtifacts", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.025, "blocked_ms": 0.0, "waiting_ms": 100.144, "working_ms": 0.674, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.024}, {"name": "ArtifactDownloader", "sent": 2, "batches": 0, "received": 2, "max_depth": 2, "polled_ms": 0.045, "blocked_ms": 0.0, "waiting_ms": 100.156, "working_ms": 0.702, "largest_batch": 0, "smallest_batch": 0, "longest_poll_ms": 0.036}, {"name": "ArtifactSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.011, "blocked_ms": 0.0, "waiting_ms": 100.191, "working_ms": 0.681, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.01}, {"name": "ContentSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.116, "blocked_ms": 0.0, "waiting_ms": 100.202, "working_ms": 43.938, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.065}, {"name": "RemoteArtifactSaver", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.144, "blocked_ms": 0.0, "waiting_ms": 143.489, "working_ms": 76.672, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.089}, {"name": "ResolveContentFutures", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.013, "blocked_ms": 0.0, "waiting_ms": 219.496, "working_ms": 0.688, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.012}, {"name": "ContentAssociation", "sent": 2, "batches": 1, "received": 2, "max_depth": 2, "polled_ms": 0.142, "blocked_ms": 0.0, "waiting_ms": 219.503, "working_ms": 17.638, "largest_batch": 2, "smallest_batch": 2, "longest_poll_ms": 0.104}], "elapsed_ms": 248.254}, "removed": 0, "started": "2026-11-27T07:54:52.72819Z", "version": 1, "requests": 1, "warnings": [], "unchanged": false, "repository": "lazy", "duration_ms": 913, "latest_version": 1, "downloaded_bytes": 144}', NULL, 'sample', 31688);
INSERT INTO task VALUES ('01a21c00-07be-73e8-95ed-54abf50df8f9', 'publish', 'file', '01a21bff-fe81-77ae-9a6b-83f72de99913', 'completed', 1795766093758977, 1795766093999354, 1795766095233037, '{"repository": "lazy"}', '{"created": "2026-11-27T07:54:54.527877Z", "version": 1, "warnings": [], "repository": "lazy", "duration_ms": 639, "publication": "01a21c00-0acd-72b1-841f-b12a77f53ba9"}', NULL, 'sample', 31688);
INSERT INTO task VALUES ('01a21c00-1125-708b-86f9-9250d7a535ac', 'sync', 'file', '01a21c00-0f3a-739a-aaee-a4bd9e49b8a5', 'failed', 1795766096165652, 1795766096446725, 1795766096609380, '{"repository": "broken"}', NULL, '{"causes": [], "description": "`http://127.0.0.1:8000/nothing` answered 404 Not Found"}', 'sample', 32271);
ALTER TABLE ONLY __diesel_schema_migrations
    ADD CONSTRAINT __diesel_schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY alternate_artifact
    ADD CONSTRAINT alternate_artifact_pkey PRIMARY KEY (algorithm, digest, source_id, url);
ALTER TABLE ONLY alternate_content_source
    ADD CONSTRAINT alternate_content_source_name_key UNIQUE (name);
ALTER TABLE ONLY alternate_content_source
    ADD CONSTRAINT alternate_content_source_pkey PRIMARY KEY (id);
ALTER TABLE ONLY artifact_digest
    ADD CONSTRAINT artifact_digest_pkey PRIMARY KEY (algorithm, digest, sha256);
ALTER TABLE ONLY artifact
    ADD CONSTRAINT artifact_pkey PRIMARY KEY (sha256);
ALTER TABLE ONLY content_artifact
    ADD CONSTRAINT content_artifact_pkey PRIMARY KEY (content_id, relative_path);
ALTER TABLE ONLY content
    ADD CONSTRAINT content_natural_key_key UNIQUE (natural_key);
ALTER TABLE ONLY content
    ADD CONSTRAINT content_pkey PRIMARY KEY (id);
ALTER TABLE ONLY distribution
    ADD CONSTRAINT distribution_base_path_key UNIQUE (base_path);
ALTER TABLE ONLY distribution
    ADD CONSTRAINT distribution_name_key UNIQUE (name);
ALTER TABLE ONLY distribution
    ADD CONSTRAINT distribution_pkey PRIMARY KEY (id);
ALTER TABLE ONLY incomplete_version_content
    ADD CONSTRAINT incomplete_version_content_pkey PRIMARY KEY (repository_id, number, content_id);
ALTER TABLE ONLY progress_report
    ADD CONSTRAINT progress_report_pkey PRIMARY KEY (task_id, "position");
ALTER TABLE ONLY publication
    ADD CONSTRAINT publication_pkey PRIMARY KEY (id);
ALTER TABLE ONLY published_artifact
    ADD CONSTRAINT published_artifact_pkey PRIMARY KEY (publication_id, relative_path);
ALTER TABLE ONLY remote_artifact
    ADD CONSTRAINT remote_artifact_pkey PRIMARY KEY (content_id, relative_path, remote_id, "position");
ALTER TABLE ONLY remote
    ADD CONSTRAINT remote_name_key UNIQUE (name);
ALTER TABLE ONLY remote
    ADD CONSTRAINT remote_pkey PRIMARY KEY (id);
ALTER TABLE ONLY repository_content
    ADD CONSTRAINT repository_content_pkey PRIMARY KEY (repository_id, content_id, version_added);
ALTER TABLE ONLY repository
    ADD CONSTRAINT repository_name_key UNIQUE (name);
ALTER TABLE ONLY repository
    ADD CONSTRAINT repository_pkey PRIMARY KEY (id);
ALTER TABLE ONLY repository_version
    ADD CONSTRAINT repository_version_pkey PRIMARY KEY (repository_id, number);
ALTER TABLE ONLY task
    ADD CONSTRAINT task_pkey PRIMARY KEY (id);
CREATE INDEX alternate_content_source_remote_id ON alternate_content_source USING btree (remote_id);
CREATE INDEX artifact_digest_sha256 ON artifact_digest USING btree (sha256);
CREATE INDEX content_artifact_relative_path ON content_artifact USING btree (relative_path);
CREATE INDEX content_repo_key ON content USING btree (repo_key) WHERE (repo_key IS NOT NULL);
CREATE INDEX distribution_publication_id ON distribution USING btree (publication_id);
CREATE INDEX distribution_repository_id ON distribution USING btree (repository_id);
CREATE INDEX publication_repository_id ON publication USING btree (repository_id, version);
CREATE INDEX repository_remote_id ON repository USING btree (remote_id);
CREATE INDEX task_state ON task USING btree (state, created);
ALTER TABLE ONLY alternate_content_source
    ADD CONSTRAINT alternate_content_source_remote_id_fkey FOREIGN KEY (remote_id) REFERENCES remote(id) ON DELETE RESTRICT;
ALTER TABLE ONLY artifact_digest
    ADD CONSTRAINT artifact_digest_sha256_fkey FOREIGN KEY (sha256) REFERENCES artifact(sha256) ON DELETE CASCADE;
ALTER TABLE ONLY content_artifact
    ADD CONSTRAINT content_artifact_content_id_fkey FOREIGN KEY (content_id) REFERENCES content(id) ON DELETE CASCADE;
ALTER TABLE ONLY distribution
    ADD CONSTRAINT distribution_publication_id_fkey FOREIGN KEY (publication_id) REFERENCES publication(id) ON DELETE SET NULL;
ALTER TABLE ONLY distribution
    ADD CONSTRAINT distribution_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE SET NULL;
ALTER TABLE ONLY progress_report
    ADD CONSTRAINT progress_report_task_id_fkey FOREIGN KEY (task_id) REFERENCES task(id) ON DELETE CASCADE;
ALTER TABLE ONLY publication
    ADD CONSTRAINT publication_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE;
ALTER TABLE ONLY published_artifact
    ADD CONSTRAINT published_artifact_publication_id_fkey FOREIGN KEY (publication_id) REFERENCES publication(id) ON DELETE CASCADE;
ALTER TABLE ONLY remote_artifact
    ADD CONSTRAINT remote_artifact_content_id_fkey FOREIGN KEY (content_id) REFERENCES content(id) ON DELETE CASCADE;
ALTER TABLE ONLY repository_content
    ADD CONSTRAINT repository_content_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE;
ALTER TABLE ONLY repository
    ADD CONSTRAINT repository_remote_id_fkey FOREIGN KEY (remote_id) REFERENCES remote(id) ON DELETE RESTRICT;
ALTER TABLE ONLY repository_version
    ADD CONSTRAINT repository_version_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE;
