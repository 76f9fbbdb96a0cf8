//! Durations of Prometheus.

use super::{field::Field, problems::Problem};
use crate::input::shown;

/// A Prometheus duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Milliseconds(pub(super) u64);

/// Parses a Prometheus duration such as `1h30m`: each unit at most once, the longest first (configuration reference,
/// `duration`).
pub(super) fn duration(field: &Field) -> Result<Milliseconds, Problem> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    // Prometheus stores nanoseconds in a signed 64-bit integer.
    const MAX: u64 = i64::MAX as u64 / 1_000_000;
    let text = field.text()?;
    let invalid = || {
        field.invalid(format!(
            "{} is not a duration; expected one such as 30s, 90s or 1m30s",
            shown(text)
        ))
    };
    if text == "0" {
        return Ok(Milliseconds(0));
    }
    let (mut rest, mut sum, mut units) = (text, 0u64, UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*length));
        sum = part
            .and_then(|part| sum.checked_add(part))
            .filter(|sum| *sum <= MAX)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if text.is_empty() {
        Err(invalid())
    } else {
        Ok(Milliseconds(sum))
    }
}
