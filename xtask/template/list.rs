//! The text that lists files: SHA-256, size in bytes and path on each line, a space between them.

use std::io::{self, BufRead};

use pulp_models::{digest::InvalidDigest, relative_path::InvalidPath};

use crate::__Name__File;

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It cannot be read.
    #[error("Failed to read line {0}")]
    Read(usize, #[source] io::Error),
    /// A line is none.
    #[error("Line {0} is invalid")]
    Line(usize, #[source] LineError),
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It has not three fields.
    #[error("Expected digest, size and path")]
    Fields,
    /// The size is no number.
    #[error("`{0}` is no size")]
    Size(String),
    /// The digest is none.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// The path is none.
    #[error(transparent)]
    Path(#[from] InvalidPath),
}

/// The files of a list, in order.
pub fn files(reader: impl BufRead) -> impl Iterator<Item = Result<__Name__File, ListError>> {
    (1..).zip(reader.lines()).map(|(number, line)| {
        let line = line.map_err(|error| ListError::Read(number, error))?;
        parse(&line).map_err(|error| ListError::Line(number, error))
    })
}

fn parse(line: &str) -> Result<__Name__File, LineError> {
    let mut fields = line.splitn(3, ' ');
    let (Some(digest), Some(size), Some(path)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(LineError::Fields);
    };
    let size = size.parse().map_err(|_| LineError::Size(size.to_owned()))?;
    Ok(__Name__File { path: path.parse()?, sha256: digest.parse()?, size })
}

#[cfg(test)]
mod tests {
    use pulp_models::Sha256;

    use super::*;

    #[test]
    fn a_line_is_digest_size_and_path() {
        let line = format!("{} 5 a folder/a file", Sha256::of(b"bytes"));
        let file = parse(&line).expect("valid");
        assert_eq!((file.path.as_str(), file.size), ("a folder/a file", 5));
        assert_eq!(file.sha256, Sha256::of(b"bytes"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = format!("{} 5 good\n{} x bad\n", Sha256::of(b""), Sha256::of(b""));
        let errors: Vec<_> = files(text.as_bytes()).filter_map(Result::err).collect();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].to_string(), "Line 2 is invalid");
    }
}
