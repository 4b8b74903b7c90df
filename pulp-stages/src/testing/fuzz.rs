//! Feeding a parser what no upstream should send: it must not panic, and twice the input may not take
//! four times as long.
//!
//! A target is a test that calls [`fuzz`] with a few inputs, small ones that a parser accepts, and a
//! function that parses. From these seeds others are made by cutting, repeating, joining and changing
//! bytes, as many as the time allows: two seconds, or what [`SECONDS`] says. `cargo xtask fuzz` sets
//! it, and a new [`SEED`] for each run; without one, every run tries the same inputs. Inputs are not
//! chosen by what code they reach: that needs a compiler that counts it, and stable Rust has none.

use std::{
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};

/// The environment variable that says how long a target is tried, in seconds.
const SECONDS: &str = "PULP_FUZZ_SECONDS";
/// The environment variable that says which inputs are tried, a number.
const SEED: &str = "PULP_FUZZ_SEED";

/// Longest input, in bytes, that is made at random.
const LONGEST: usize = 16 * 1024;
/// Longest input, in bytes, whose time is measured.
const LONGEST_TIMED: usize = 1 << 20;
/// CPU time that is long enough to be compared.
const MEASURABLE: Duration = Duration::from_millis(5);
/// How often a time is measured; the shortest counts.
const ATTEMPTS: usize = 3;

/// Tries `target` on `seeds` and on what is made of them.
///
/// # Panics
/// If the target does, with the shortest input that was found to make it; or if its time grows like
/// the square of its input's length.
pub fn fuzz(seeds: &[&[u8]], target: impl Fn(&[u8])) {
    let seconds = variable(SECONDS).unwrap_or(2);
    let seed = variable(SEED).unwrap_or(1);
    let mut rng = Rng::with_seed(seed);
    for input in seeds {
        check(input, seed, &target);
        grow(input, &target);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for _ in 0..64 {
            check(&mutated(seeds, &mut rng), seed, &target);
        }
        // Takes long, so not where time is short.
        if seconds > 10 {
            grow(&mutated(seeds, &mut rng), &target);
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: `{text}`")))
}

/// Makes an input of the seeds.
fn mutated(seeds: &[&[u8]], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.choice(seeds).copied().unwrap_or_default().to_vec();
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(0..=input.len());
        let until = rng.usize(at..=input.len().min(at + 64));
        match rng.u8(0..9) {
            0 => drop(input.drain(at..until)),
            1 => input.truncate(at),
            2 => {
                let piece = input[at..until].repeat(rng.usize(1..64));
                input.splice(at..at, piece);
            }
            3 => {
                let other = rng.choice(seeds).copied().unwrap_or_default();
                let from = rng.usize(0..=other.len());
                input.splice(at..until, other[from..].iter().copied());
            }
            4 => {
                let long = vec![rng.u8(..); rng.usize(1..5000)];
                input.splice(at..at, long);
            }
            5 => {
                let odd: &[&[u8]] = &[
                    b"\0",
                    b"\n",
                    b"\r\n",
                    b"\n\n",
                    b" ",
                    b":",
                    b"\"",
                    b"-",
                    b"..",
                    b"/",
                    b"18446744073709551616",
                    b"-1",
                    b"\xff\xfe",
                    "\u{202e}\u{e9}".as_bytes(),
                ];
                input.splice(
                    at..until,
                    rng.choice(odd).copied().unwrap_or_default().iter().copied(),
                );
            }
            _ => {
                for byte in &mut input[at..until] {
                    if rng.u8(0..8) == 0 {
                        *byte = if rng.bool() { rng.u8(..) } else { *byte ^ (1 << rng.u8(0..8)) };
                    }
                }
            }
        }
        input.truncate(LONGEST);
    }
    input
}

/// Runs the target; a panic is shown with an input as short as can be found.
fn check(input: &[u8], seed: u64, target: &impl Fn(&[u8])) {
    let fails = |input: &[u8]| panic::catch_unwind(AssertUnwindSafe(|| target(input))).is_err();
    if !fails(input) {
        return;
    }
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut shortest = input.to_vec();
    let mut length = shortest.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < shortest.len() {
            let mut shorter = shortest.clone();
            shorter.drain(at..(at + length).min(shortest.len()));
            if fails(&shorter) { shortest = shorter } else { at += length }
        }
        length /= 2;
    }
    panic::set_hook(hook);
    let payload = panic::catch_unwind(AssertUnwindSafe(|| target(&shortest))).err();
    let said = payload.as_ref().and_then(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    });
    let said = said.unwrap_or("a panic without words");
    panic!("{said}\non b\"{}\" ({SEED}={seed})", shortest.escape_ascii());
}

/// Repeats the input, and parts of it, and looks at how the target's time grows.
fn grow(input: &[u8], target: &impl Fn(&[u8])) {
    let Some(first_line) = input.split_inclusive(|byte| *byte == b'\n').next() else { return };
    let (head, tail) = input.split_at(input.len() / 2);
    let middle = &tail[..tail.len().min(8)];
    for [before, repeated, after] in [
        [&[][..], input, &[][..]],
        [&[][..], first_line, &input[first_line.len()..]],
        [head, middle, &tail[middle.len()..]],
        [&input[..input.len() - 1], &input[input.len() - 1..], &[][..]],
    ] {
        let of = |length: usize| {
            [before, &repeated.repeat(length.div_ceil(repeated.len())), after].concat()
        };
        let mut length = 1024;
        while length <= LONGEST_TIMED {
            if shortest_time(&of(length), target) >= MEASURABLE {
                compare(of, length, target);
                break;
            }
            length *= 2;
        }
    }
}

/// Fails if four times the input takes more than ten times as long, three times in a row: sixteen
/// would be quadratic, four linear.
fn compare(of: impl Fn(usize) -> Vec<u8>, length: usize, target: &impl Fn(&[u8])) {
    let ratio = || {
        let (short, long) = (of(length), of(4 * length));
        shortest_time(&long, target).as_secs_f64() / shortest_time(&short, target).as_secs_f64()
    };
    let ratios: Vec<_> = (0..3).map(|_| ratio()).take_while(|ratio| *ratio > 10.0).collect();
    assert!(
        ratios.len() < 3,
        "4 times the input takes {ratios:.1?} times as long: {length} bytes like b\"{}\"",
        of(200).escape_ascii()
    );
}

/// CPU time of this thread, the shortest of a few attempts.
fn shortest_time(input: &[u8], target: &impl Fn(&[u8])) -> Duration {
    let measured = (0..ATTEMPTS).map(|_| {
        let begin = cpu_time();
        target(input);
        cpu_time().saturating_sub(begin)
    });
    measured.min().unwrap_or_default()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "two in a row")]
    fn a_panic_is_found() {
        fuzz(&[b"abcabc"], |input| {
            assert!(!input.windows(2).any(|pair| pair == b"aa"), "two in a row");
        });
    }

    #[test]
    #[should_panic(expected = "times as long")]
    fn quadratic_time_is_found() {
        grow(b"some input\n", &|input: &[u8]| {
            for end in 0..input.len() {
                std::hint::black_box(input[..end].iter().max());
            }
        });
    }

    #[test]
    fn linear_time_is_fine() {
        grow(b"some input\n", &|input: &[u8]| {
            for _ in 0..100 {
                std::hint::black_box(input.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            }
        });
    }
}
