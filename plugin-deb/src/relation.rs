//! Relations between packages: `Depends` and its like, and what `Provides` gives.
//!
//! Knows texts only; which packages there are is [`crate::catalog`]'s business. Source: Debian
//! Policy, sections 7.1 and 7.5. What cannot be read is met by nothing.

use std::cmp::Ordering;

use debversion::Version;

/// How a version must stand to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operator {
    Equal,
    AtLeast,
    AtMost,
    Later,
    Earlier,
}

impl Operator {
    /// Whether a version is accepted that compares like this with the wanted one.
    pub const fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::AtLeast => order.is_ge(),
            Self::AtMost => order.is_le(),
            Self::Later => order.is_gt(),
            Self::Earlier => order.is_lt(),
        }
    }
}

/// By Debian's order of versions if both are versions, else by their bytes.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    match (one.parse::<Version>(), other.parse::<Version>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

/// One alternative of a dependency, or one thing that is provided: `libc6:any (>= 2.36)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package's name.
    pub name: &'a str,
    /// What stands behind a colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The wanted or provided version.
    pub version: Option<(Operator, &'a str)>,
}

impl<'a> Relation<'a> {
    /// Reads one alternative. Restrictions to architectures and build profiles do not occur in
    /// indices of binary packages; they are passed over.
    pub fn parse(text: &'a str) -> Option<Self> {
        let end =
            text.find(['[', '<']).filter(|at| !text[..*at].contains('(')).unwrap_or(text.len());
        let (name, version) = match text.split_once('(') {
            Some((name, rest)) => (name, Some(parse_version(rest.split_once(')')?.0)?)),
            None => (&text[..end], None),
        };
        let name = name.trim();
        let (name, qualifier) = match name.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (name, None),
        };
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        is_name.then_some(Self { name, qualifier, version })
    }

    /// Whether a real package of this version will do.
    pub fn accepts(&self, version: &str) -> bool {
        self.version
            .is_none_or(|(operator, wanted)| operator.accepts(compare_versions(version, wanted)))
    }

    /// Whether something provided will do. What is provided without a version meets no relation
    /// that wants one.
    pub fn accepts_provided(&self, version: Option<&str>) -> bool {
        self.version.is_none() || version.is_some_and(|version| self.accepts(version))
    }
}

fn parse_version(text: &str) -> Option<(Operator, &str)> {
    // `<` and `>` are the obsolete ways to write `<=` and `>=`.
    const OPERATORS: [(&str, Operator); 7] = [
        ("<<", Operator::Earlier),
        ("<=", Operator::AtMost),
        (">>", Operator::Later),
        (">=", Operator::AtLeast),
        ("=", Operator::Equal),
        ("<", Operator::AtMost),
        (">", Operator::AtLeast),
    ];
    let text = text.trim();
    let (operator, version) = OPERATORS
        .into_iter()
        .find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))?;
    let version = version.trim();
    (!version.is_empty()).then_some((operator, version))
}

/// The parts of a field such as `Depends`, which must all be met; each by one of its alternatives.
pub fn groups(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|group| !group.is_empty())
}

/// The alternatives of a group, in their order.
pub fn alternatives(group: &str) -> impl Iterator<Item = Relation<'_>> {
    group.split('|').filter_map(Relation::parse)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn relation(text: &str) -> Relation<'_> {
        Relation::parse(text).expect(text)
    }

    #[test]
    fn relations_are_read() {
        let field = "libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0,  python3:any (<<3.12) ,";
        let read: Vec<Vec<_>> = groups(field).map(|group| alternatives(group).collect()).collect();
        assert_eq!(read.len(), 3);
        assert_eq!(
            (read[0][0].name, read[0][0].version),
            ("libc6", Some((Operator::AtLeast, "2.36")))
        );
        assert_eq!((read[1].len(), read[1][1].name), (2, "debconf-2.0"));
        assert_eq!(
            (read[2][0].qualifier, read[2][0].version),
            (Some("any"), Some((Operator::Earlier, "3.12")))
        );
        assert_eq!(relation("a (< 1)").version, Some((Operator::AtMost, "1")));
        assert_eq!(relation("a [amd64] <!nocheck>").name, "a");
        assert_eq!(relation("a (= 1) [amd64]").version, Some((Operator::Equal, "1")));
        for text in ["", "(>= 1)", "a (1)", "a (>=)", "a (>= 1", "a b"] {
            assert_eq!(Relation::parse(text), None, "{text}");
        }
    }

    #[test]
    fn versions_are_compared_as_debian_does() {
        for (relation_, version, is_accepted) in [
            ("a (>= 1.0)", "1.0~rc1", false),
            ("a (>= 1.0)", "1.0-1+b2", true),
            ("a (<< 1:0)", "99", true),
            ("a (= 1.0-1)", "1.0-1", true),
            ("a (>> 1.9)", "1.10", true),
            ("a", "anything", true),
        ] {
            assert_eq!(relation(relation_).accepts(version), is_accepted, "{relation_} {version}");
        }
        assert!(relation("a").accepts_provided(None));
        assert!(!relation("a (>= 1)").accepts_provided(None));
        assert!(relation("a (>= 1)").accepts_provided(Some("2")));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9():|,<>=~.\\[\\] é-]{0,60}") {
            for group in groups(&text) {
                for relation in alternatives(group) {
                    relation.accepts("1.0");
                }
            }
        }
    }
}
