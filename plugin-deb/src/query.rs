//! Package queries: which packages of an index are mirrored.
//!
//! The language is that of aptly, as far as one stanza can answer: `Section (net)`,
//! `$Version (>= 1.2)`, `nginx | libnginx-*`, `Priority (required), !$Architecture (i386)`.
//! A name that begins with a capital or a `$` is a field, any other is a package's name (with `*`
//! and `?`), to which a version may be added: `hello (>= 2.10)`. `,` is *and*, `|` is *or*, `!` is
//! *not*, parentheses group. Operators: `=`, `>=`, `<=`, `>>`, `<<` (by Debian's order of versions
//! where both sides are versions), `%` (`*` and `?`), `~` (a regular expression).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    relation::{Operator, compare_versions},
    stanza::Stanza,
};

/// How deeply a query may be nested.
const MAX_DEPTH: usize = 32;

/// A query, ready to be asked. Displays and serialises as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Query {
    text: String,
    expression: Expression,
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A text that is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid query `{query}`: {reason}")]
pub struct InvalidQuery {
    query: String,
    reason: String,
}

#[derive(Debug, Clone)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    /// The field exists and, if there is a test, passes it.
    Field(String, Option<Test>),
}

#[derive(Debug, Clone)]
enum Test {
    Compare(Operator, String),
    /// `%` and `~` both.
    Matches(regex::Regex),
}

impl Query {
    /// Whether the package of this stanza is meant.
    pub fn matches(&self, stanza: &Stanza<'_>) -> bool {
        self.expression.matches(stanza)
    }
}

impl Expression {
    fn matches(&self, stanza: &Stanza<'_>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(stanza)),
            Self::Any(any) => any.iter().any(|one| one.matches(stanza)),
            Self::Not(other) => !other.matches(stanza),
            Self::Field(name, test) => match (stanza.text(name), test) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(value), Some(test)) => test.passes(&value),
            },
        }
    }
}

impl Test {
    fn passes(&self, value: &str) -> bool {
        match self {
            Self::Matches(pattern) => pattern.is_match(value),
            Self::Compare(Operator::Equal, wanted) if value == wanted => true,
            Self::Compare(operator, wanted) => operator.accepts(compare_versions(value, wanted)),
        }
    }
}

impl FromStr for Query {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parser = Parser { rest: text, depth: 0 };
        let parsed = parser.any().and_then(|expression| match parser.peek() {
            None => Ok(expression),
            Some(_) => Err(format!("`{}` is left over", parser.rest.trim())),
        });
        parsed
            .map(|expression| Self { text: text.to_owned(), expression })
            .map_err(|reason| InvalidQuery { query: text.to_owned(), reason })
    }
}

impl TryFrom<String> for Query {
    type Error = InvalidQuery;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Query> for String {
    fn from(query: Query) -> Self {
        query.text
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    fn any(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.all()?];
        while self.take('|') {
            parts.push(self.all()?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.one()?];
        while self.take(',') {
            parts.push(self.one()?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let expression = if self.take('!') {
            Expression::Not(Box::new(self.one()?))
        } else if self.take('(') {
            let inner = self.any()?;
            if !self.take(')') {
                return Err("a `)` is missing".to_owned());
            }
            inner
        } else {
            self.term()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn term(&mut self) -> Result<Expression, String> {
        self.peek();
        let is_part = |c: char| !c.is_whitespace() && !"(),|!".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            return Err("a name is missing".to_owned());
        }
        let test = if self.take('(') { Some(self.test()?) } else { None };
        if let Some(field) = word.strip_prefix('$') {
            return Ok(Expression::Field(field.to_owned(), test));
        }
        if word == "Name" {
            return Ok(Expression::Field("Package".to_owned(), test));
        }
        if word.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Ok(Expression::Field(word.to_owned(), test));
        }
        let name = Expression::Field("Package".to_owned(), Some(glob(word)?));
        Ok(match test {
            None => name,
            Some(test) => {
                Expression::All(vec![name, Expression::Field("Version".to_owned(), Some(test))])
            }
        })
    }

    /// What stands in parentheses behind a name, with the closing one.
    fn test(&mut self) -> Result<Test, String> {
        const OPERATORS: [(&str, Operator); 7] = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            (">>", Operator::Later),
            ("<<", Operator::Earlier),
            ("=", Operator::Equal),
            (">", Operator::Later),
            ("<", Operator::Earlier),
        ];
        let end = self.closing_parenthesis().ok_or("a `)` is missing")?;
        let (inner, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        let inner = inner.trim();
        if let Some(pattern) = inner.strip_prefix('%') {
            return glob(pattern.trim());
        }
        if let Some(pattern) = inner.strip_prefix('~') {
            let pattern = regex::Regex::new(pattern.trim()).map_err(|error| error.to_string())?;
            return Ok(Test::Matches(pattern));
        }
        let found = OPERATORS
            .into_iter()
            .find_map(|(text, operator)| Some((operator, inner.strip_prefix(text)?)));
        let (operator, value) = found.unwrap_or((Operator::Equal, inner));
        match value.trim() {
            "" => Err("a value is missing".to_owned()),
            value => Ok(Test::Compare(operator, value.to_owned())),
        }
    }

    /// Where the parenthesis that was opened last is closed; those inside belong to a pattern.
    fn closing_parenthesis(&self) -> Option<usize> {
        let mut depth = 0;
        for (at, character) in self.rest.char_indices() {
            match character {
                '(' => depth += 1,
                ')' if depth == 0 => return Some(at),
                ')' => depth -= 1,
                _ => {}
            }
        }
        None
    }
}

/// A test for a pattern with `*` and `?`.
fn glob(pattern: &str) -> Result<Test, String> {
    let escaped = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    let pattern =
        regex::Regex::new(&format!("(?s)^{escaped}$")).map_err(|error| error.to_string())?;
    Ok(Test::Matches(pattern))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANZA: &str = "Package: libnginx-mod\nVersion: 1:1.22.1-9~deb12u1\nSection: net\n\
                          Architecture: amd64\nPriority: optional\n";

    fn matches(query: &str) -> bool {
        query.parse::<Query>().expect(query).matches(&Stanza::of(STANZA.as_bytes()))
    }

    #[test]
    fn queries_are_answered() {
        for query in [
            "libnginx-mod",
            "libnginx-*",
            "libnginx-mod (>= 1:1.22.1)",
            "nginx | libnginx-*",
            "Section (net)",
            "section (x) | $Section (= net), !Priority (required)",
            "Name (% lib*-mod), $Version (<< 1:1.22.1-9)",
            "$Architecture (~ ^(amd|arm)64$)",
            "!(nginx | Essential)",
            "Priority",
        ] {
            assert!(matches(query), "{query}");
        }
        for query in [
            "nginx",
            "Section (admin)",
            "libnginx-mod (>> 1:1.22.1-9)",
            "$Version (>= 2:0)",
            "libnginx-*, !Section (net)",
            "Essential",
        ] {
            assert!(!matches(query), "{query}");
        }
    }

    #[test]
    fn what_is_no_query_is_refused_with_the_reason() {
        for (query, reason) in [
            ("", "a name is missing"),
            ("a |", "a name is missing"),
            ("a (>= 1", "a `)` is missing"),
            ("(a", "a `)` is missing"),
            ("a (>=)", "a value is missing"),
            ("a b", "`b` is left over"),
            ("Name (~ [)", "regex parse error"),
        ] {
            let error = query.parse::<Query>().expect_err(query).to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!("!".repeat(1000).parse::<Query>().is_err());
    }

    #[test]
    fn queries_are_stored_as_they_were_written() {
        let query: Query = serde_json::from_str(r#""a | Section (net)""#).expect("a query");
        assert_eq!(serde_json::to_string(&query).expect("JSON"), r#""a | Section (net)""#);
        assert!(serde_json::from_str::<Query>(r#""(""#).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(query in "[a-zA-Z$()|,!%~=<> *\\[é]{0,40}") {
            if let Ok(query) = query.parse::<Query>() {
                query.matches(&Stanza::of(STANZA.as_bytes()));
            }
        }
    }
}
