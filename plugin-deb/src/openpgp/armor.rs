//! ASCII armour: the packets inside a file that may be binary, or hold several armoured blocks.

use std::io::BufReader;

use pgp::{
    armor::{BlockType, Dearmor},
    packet::{Packet, PacketParser},
};

/// The packets of `bytes`, or of each armoured block in it whose type `wanted` accepts. Packets
/// of unknown kinds are passed over, as RFC 9580 (section 4.3) asks for the non-critical ones.
pub(super) fn packets(
    bytes: &[u8],
    wanted: fn(&BlockType) -> bool,
) -> Result<Vec<Packet>, pgp::errors::Error> {
    let is_binary = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    if is_binary {
        return collect(PacketParser::new(bytes));
    }
    let mut found = Vec::new();
    for block in blocks(bytes) {
        let mut dearmor = Dearmor::new(block);
        dearmor.read_header()?;
        if dearmor.typ.as_ref().is_some_and(wanted) {
            found.extend(collect(PacketParser::new(BufReader::new(dearmor)))?);
        }
    }
    Ok(found)
}

fn collect(
    parser: impl Iterator<Item = pgp::errors::Result<Packet>>,
) -> pgp::errors::Result<Vec<Packet>> {
    parser.filter(|packet| !matches!(packet, Err(pgp::errors::Error::Unsupported { .. }))).collect()
}

/// Slices from each `-----BEGIN` line to the next one or the end.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP ";
    let starts: Vec<usize> = memchr::memmem::find_iter(bytes, BEGIN)
        .filter(|at| *at == 0 || bytes[at - 1] == b'\n')
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(start, end)| &bytes[*start..end]).collect()
}
