//! The cleartext signature framework (RFC 9580, section 7): how `InRelease` holds text and
//! signature in one file.
//!
//! Strict where leniency has let unsigned text pass as signed: nothing may stand before the
//! header or behind the signature, and no line of the text may begin with an unescaped dash.

const HEADER: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

/// Why a file is no signed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CleartextError {
    /// The first line is not the one that begins a signed message.
    #[error("It does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`")]
    NoHeader,
    /// Between header and text stands something else than `Hash:`.
    #[error("`{0}` stands between the header and the text")]
    UnexpectedArmorHeader(String),
    /// A line of the text begins with a dash that is not escaped.
    #[error("Line {0} begins with an unescaped dash")]
    UnescapedDash(usize),
    /// The message ends before its signature does.
    #[error("It ends before its signature does")]
    Truncated,
    /// Something stands behind the signature.
    #[error("Something stands behind the signature")]
    TrailingData,
}

/// A message taken apart; not verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleartext<'a> {
    /// The text, unescaped, without blanks at line ends, lines ended by LF.
    pub(super) text: Vec<u8>,
    /// What the signature is over: the lines of `text`, separated by CR LF.
    pub(super) signed: Vec<u8>,
    /// The armoured signature.
    pub(super) signature: &'a [u8],
}

/// Takes a message apart.
pub(super) fn parse(message: &[u8]) -> Result<Cleartext<'_>, CleartextError> {
    let mut lines = message.split_inclusive(|byte| *byte == b'\n').enumerate();
    let mut next = || lines.next().map(|(at, line)| (at + 1, line));
    let (_, first) = next().ok_or(CleartextError::NoHeader)?;
    if first.trim_ascii_end() != HEADER {
        return Err(CleartextError::NoHeader);
    }
    let mut offset = first.len();
    loop {
        let (_, line) = next().ok_or(CleartextError::Truncated)?;
        offset += line.len();
        match line.trim_ascii_end() {
            [] => break,
            header if header.starts_with(b"Hash:") => {}
            other => {
                let shown = String::from_utf8_lossy(&other[..other.len().min(80)]).into_owned();
                return Err(CleartextError::UnexpectedArmorHeader(shown));
            }
        }
    }
    let mut parts = Cleartext { text: Vec::new(), signed: Vec::new(), signature: &[] };
    loop {
        let (number, line) = next().ok_or(CleartextError::Truncated)?;
        if line.trim_ascii_end() == SIGNATURE {
            break;
        }
        offset += line.len();
        let line = match line {
            [b'-', b' ', rest @ ..] => rest,
            [b'-', ..] => return Err(CleartextError::UnescapedDash(number)),
            line => line,
        };
        parts.push(trim_end(line));
    }
    parts.signature = signature(&message[offset..])?;
    Ok(parts)
}

/// Checks that only an armoured signature is there, and gives it.
fn signature(rest: &[u8]) -> Result<&[u8], CleartextError> {
    let mut offset = 0;
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        offset += line.len();
        if line.trim_ascii_end() == END {
            if rest[offset..].trim_ascii().is_empty() {
                return Ok(&rest[..offset]);
            }
            return Err(CleartextError::TrailingData);
        }
    }
    Err(CleartextError::Truncated)
}

impl Cleartext<'_> {
    fn push(&mut self, line: &[u8]) {
        if !self.text.is_empty() {
            self.signed.extend_from_slice(b"\r\n");
        }
        self.signed.extend_from_slice(line);
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }
}

/// What a signature over `text` must be made of: its lines, separated by CR LF, without blanks at
/// their ends.
pub(super) fn canonical(text: &[u8]) -> Vec<u8> {
    let mut parts = Cleartext { text: Vec::new(), signed: Vec::new(), signature: &[] };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        parts.push(trim_end(line));
    }
    parts.signed
}

/// Writes the message that [`parse`] takes apart. `text` ends in LF.
pub(super) fn write(text: &[u8], hash: &str, signature: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(text.len() + signature.len() + 100);
    message.extend_from_slice(HEADER);
    message.extend_from_slice(format!("\nHash: {hash}\n\n").as_bytes());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"-") {
            message.extend_from_slice(b"- ");
        }
        message.extend_from_slice(trim_end(line));
        message.push(b'\n');
    }
    message.extend_from_slice(signature);
    message
}

fn trim_end(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    &line[..line.len() - blanks.count()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ARMOR: &str = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";

    fn message(body: &str) -> String {
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{body}{ARMOR}")
    }

    #[test]
    fn text_is_unescaped_and_line_ends_are_normalised() {
        let message = message("Origin: x \t\r\n\n- -dash\n- From\n");
        let parts = parse(message.as_bytes()).expect("well formed");
        assert_eq!(parts.text, b"Origin: x\n\n-dash\nFrom\n");
        assert_eq!(parts.signed, b"Origin: x\r\n\r\n-dash\r\nFrom");
        assert_eq!(parts.signature, ARMOR.as_bytes());
        assert_eq!(canonical(b"Origin: x \t\r\n\n-dash\nFrom\n"), parts.signed);
    }

    #[test]
    fn what_could_smuggle_text_in_is_refused() {
        use CleartextError as E;
        for (text, error) in [
            (format!("Origin: evil\n{}", message("Origin: x\n")), E::NoHeader),
            (format!("\n{}", message("Origin: x\n")), E::NoHeader),
            (format!("{}Origin: evil\n", message("Origin: x\n")), E::TrailingData),
            (message("-----BEGIN PGP SIGNED MESSAGE-----\n"), E::UnescapedDash(4)),
            (
                message("").replace("Hash: SHA256", "Origin: evil"),
                E::UnexpectedArmorHeader("Origin: evil".into()),
            ),
            (message("Origin: x\n").replace("-----END", "--END"), E::Truncated),
            (message("Origin: x\n").replace("-----BEGIN PGP SIGNATURE", "x"), E::UnescapedDash(8)),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(lines in prop::collection::vec("[ -~]{0,20}", 1..8)) {
            let text = lines.join("\n") + "\n";
            let written = write(text.as_bytes(), "SHA256", ARMOR.as_bytes());
            let parts = parse(&written).expect("well formed");
            prop_assert_eq!(&parts.signed, &canonical(text.as_bytes()));
            let trimmed: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
            prop_assert_eq!(parts.text, (trimmed.join("\n") + "\n").into_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[HEADER, b"\n\n", &bytes].concat());
        }
    }
}
