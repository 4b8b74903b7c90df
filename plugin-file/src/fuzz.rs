//! Fuzz targets of the lists that upstreams publish; see [`pulp_stages::testing::fuzz()`].

use pulp_stages::testing::fuzz;

use crate::{UpstreamFormat, upstream_format::entries};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn lists(format: UpstreamFormat, seeds: &[String]) {
    let url = "http://host/folder/list".parse().expect("valid");
    let seeds: Vec<_> = seeds.iter().map(String::as_bytes).collect();
    fuzz(&seeds, |bytes| {
        let _ = UpstreamFormat::detect(&url, bytes);
        entries(format, None, &url, bytes).for_each(drop);
    });
}

#[test]
fn manifests() {
    lists(
        UpstreamFormat::Manifest,
        &[
            format!("a,{DIGEST},0\nb/c d,{DIGEST},17\r\n"),
            format!("# comment\n\n\u{feff}größe, with comma ,{DIGEST}, 1 \n"),
        ],
    );
}

#[test]
fn metalinks() {
    lists(
        UpstreamFormat::Metalink,
        &[
            format!(
                "<?xml version=\"1.0\"?><metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\
                 <file name=\"a&amp;b\"><size>0</size><hash type=\"sha-256\">{DIGEST}</hash>\
                 <url priority=\"1\">http://mirror/a</url><url>../b</url></file></metalink>"
            ),
            "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><!-- x --><file name='x'>\
             <url><![CDATA[y]]></url></file></metalink>"
                .to_owned(),
        ],
    );
}

#[test]
fn checksum_lists() {
    lists(
        UpstreamFormat::Checksums,
        &[
            format!("{DIGEST}  a\n{DIGEST} *b c\n\\{DIGEST}  d\\\\e\\nf\n"),
            format!("SHA256 (a) = {DIGEST}\nSHA256 (b(c)) = {DIGEST}\nSize (a) = 3\n"),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{DIGEST}  a\n- -dash\n\
                 -----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
            ),
        ],
    );
}
