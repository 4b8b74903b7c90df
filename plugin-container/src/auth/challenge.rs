//! `WWW-Authenticate`: what a registry asks for before it answers.
//!
//! Parses the field as RFC 9110, sections 5.6.1, 11.2 and 11.6.1 say: several challenges in one or
//! several lines, each a scheme with either a token68 or parameters, whose values are tokens or
//! quoted strings. The comma separates both challenges and parameters, so only the grammar tells
//! them apart. Which challenge is answered, and how, is decided by the rest of `auth`.

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Scheme, lower-case: `bearer`, `basic`.
    pub scheme: String,
    /// The opaque form of parameters, which few schemes use.
    pub token68: Option<String>,
    /// Parameters in their order, names lower-case, values unquoted.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first parameter called `name` (lower-case).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// All challenges of all lines. What cannot be read is skipped up to the next comma, so that
    /// one odd challenge does not hide the others.
    pub fn parse_all<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<Self> {
        let mut challenges = Vec::new();
        for line in lines {
            Cursor { rest: line }.challenges(&mut challenges);
        }
        challenges
    }
}

/// What is left of one line.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn challenges(mut self, found: &mut Vec<Challenge>) {
        // Parameters belong to the last challenge of the same line only.
        let mut open = false;
        loop {
            self.skip(|byte| matches!(byte, b',' | b' ' | b'\t'));
            if self.rest.is_empty() {
                return;
            }
            if let Some(parameter) = self.attempt(Self::parameter) {
                if let Some(challenge) = found.last_mut().filter(|_| open) {
                    challenge.parameters.push(parameter);
                }
            } else if let Some(challenge) = self.attempt(Self::scheme) {
                found.push(challenge);
                open = true;
            } else {
                self.skip(|byte| byte != b',');
                open = false;
            }
        }
    }

    /// A scheme, with the token68 that may follow. Its parameters are read by the caller.
    fn scheme(&mut self) -> Option<Challenge> {
        let scheme = self.token()?.to_ascii_lowercase();
        let ends = self.rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b','));
        if !ends {
            return None;
        }
        self.skip_blanks();
        let is_parameter = self.clone_attempt(Self::parameter).is_some();
        let token68 = if is_parameter { None } else { self.attempt(Self::token68) };
        Some(Challenge { scheme, token68, parameters: Vec::new() })
    }

    /// `token BWS "=" BWS ( token / quoted-string )`
    fn parameter(&mut self) -> Option<(String, String)> {
        let name = self.token()?.to_ascii_lowercase();
        self.skip_blanks();
        self.expect(b'=')?;
        self.skip_blanks();
        let value = if self.rest.first() == Some(&b'"') {
            self.quoted_string()?
        } else {
            self.bare_value()?
        };
        self.at_separator().then_some((name, value))
    }

    /// A token, and what servers leave unquoted though it is none: URLs, scopes.
    fn bare_value(&mut self) -> Option<String> {
        let value = self.take(|byte| !matches!(byte, b',' | b' ' | b'\t' | b'"'));
        // A lone `=` or nothing is the end of a token68.
        let is_value = !value.is_empty() && value.iter().any(|byte| *byte != b'=');
        is_value.then(|| String::from_utf8_lossy(value).into_owned())
    }

    fn quoted_string(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut value = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(String::from_utf8_lossy(&value).into_owned()),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    value.push(escaped);
                }
                other => value.push(other),
            }
        }
    }

    /// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
    fn token68(&mut self) -> Option<String> {
        let before = self.rest;
        let body = self.take(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        });
        let padding = self.take(|byte| byte == b'=');
        let text = &before[..body.len() + padding.len()];
        let is_token68 = !body.is_empty() && self.at_separator();
        is_token68.then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn token(&mut self) -> Option<String> {
        let token =
            self.take(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        (!token.is_empty()).then(|| String::from_utf8_lossy(token).into_owned())
    }

    /// Whether the element ends here.
    fn at_separator(&self) -> bool {
        let mut after = *self;
        after.skip_blanks();
        // Some servers forget the comma between parameters.
        after.rest.len() < self.rest.len() || after.rest.first().is_none_or(|byte| *byte == b',')
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        (byte == wanted).then_some(())
    }

    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !belongs(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, belongs: impl Fn(u8) -> bool) {
        self.take(belongs);
    }

    fn skip_blanks(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Moves only if `read` succeeds.
    fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut trial = *self;
        let result = read(&mut trial)?;
        *self = trial;
        Some(result)
    }

    fn clone_attempt<T>(&self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        read(&mut self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Challenges as `scheme[token68]{name=value|…}`.
    fn check(lines: &[&str], expected: &str) {
        let found: Vec<_> = Challenge::parse_all(lines.iter().map(|line| line.as_bytes()))
            .iter()
            .map(|challenge| {
                let parameters: Vec<_> = challenge
                    .parameters
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let token68 = challenge.token68.as_deref().unwrap_or_default();
                format!("{}[{token68}]{{{}}}", challenge.scheme, parameters.join("|"))
            })
            .collect();
        assert_eq!(found.join(" "), expected, "{lines:?}");
    }

    #[test]
    fn what_registries_send_is_read() {
        check(
            &[
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
            ],
            "bearer[]{realm=https://auth.docker.io/token|service=registry.docker.io|scope=repository:a/b:pull,push}",
        );
        check(&[r#"Basic realm="Registry Realm""#], "basic[]{realm=Registry Realm}");
        check(&["Negotiate"], "negotiate[]{}");
    }

    #[test]
    fn equals_signs_commas_and_quotes_may_be_in_values() {
        check(
            &[
                r#"Bearer realm="https://h/t?a=b&c=d,e", service="say \"hi\\\"", error = invalid_token"#,
            ],
            r#"bearer[]{realm=https://h/t?a=b&c=d,e|service=say "hi\"|error=invalid_token}"#,
        );
        check(
            &["Bearer realm=https://h/t?a=b==,service=s"],
            "bearer[]{realm=https://h/t?a=b==|service=s}",
        );
    }

    #[test]
    fn several_challenges_in_one_or_more_lines_are_told_apart() {
        check(
            &[r#"Negotiate YWI=, Bearer realm="x",  , service=y, Basic realm=z"#, "Digest a=b"],
            "negotiate[YWI=]{} bearer[]{realm=x|service=y} basic[]{realm=z} digest[]{a=b}",
        );
        check(
            &["Newauth realm=\"apps\", type=1, title=\"Login\", Basic"],
            "newauth[]{realm=apps|type=1|title=Login} basic[]{}",
        );
        check(&["", ",", " ,, "], "");
    }

    #[test]
    fn what_cannot_be_read_hides_nothing_else() {
        check(&["@@@ , Basic realm=x"], "basic[]{realm=x}");
        check(&[r#"Bearer realm="never closed"#], "bearer[]{}");
        check(&[r#"realm="x", Basic realm="y""#], "basic[]{realm=y}");
        check(&["Bearer realm=\"a\" service=\"b\""], "bearer[]{realm=a|service=b}");
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(bytes in proptest::collection::vec(0u8.., 0..80)) {
            let _ = Challenge::parse_all([&bytes[..]]);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -~]{0,30}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("Bearer a=b, realm=\"{quoted}\"");
            let found = Challenge::parse_all([line.as_bytes()]);
            proptest::prop_assert_eq!(found[0].parameter("realm"), Some(&*value));
        }
    }
}
