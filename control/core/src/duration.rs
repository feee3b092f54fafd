//! Durations as Go writes them: `1h30m`, `2.5s`, `100ms`.

use std::time::Duration;

/// A number's digits before and after its point.
struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
}

/// The longest duration that Envoy accepts. It counts nanoseconds in 63 bits and refuses the last, incomplete second.
pub const MAX: Duration = Duration::from_secs(9_223_372_035);

/// The reason why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum DurationError {
    #[error("is not a duration, such as 30s or 500ms")]
    Syntax,
    #[error("is longer than {}s, the longest duration that Envoy accepts", MAX.as_secs())]
    TooLong,
}

/// Parses a duration by the rules of Go's `time.ParseDuration`. Negative durations are syntax errors: nothing here lasts
/// less than no time.
///
/// # Errors
///
/// If it does not parse, or is longer than [`MAX`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    // None: more than fits.
    let mut total = Some(0u128);
    loop {
        let (number, after) = number(rest).ok_or(DurationError::Syntax)?;
        let (unit, after) =
            split(after, |c: char| c.is_ascii_digit() || c == '.').ok_or(DurationError::Syntax)?;
        let unit = nanoseconds_in(unit).ok_or(DurationError::Syntax)?;
        let part = number.nanoseconds(unit);
        total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
        if after.is_empty() {
            return total.and_then(within_max).ok_or(DurationError::TooLong);
        }
        rest = after;
    }
}

fn within_max(nanoseconds: u128) -> Option<Duration> {
    let nanoseconds = u64::try_from(nanoseconds).ok()?;
    Some(Duration::from_nanos(nanoseconds)).filter(|duration| *duration <= MAX)
}

/// Takes a number off the front.
fn number(text: &str) -> Option<(Number<'_>, &str)> {
    let (whole, rest) = split(text, |c: char| !c.is_ascii_digit())?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split(rest, |c: char| !c.is_ascii_digit())?,
        None => ("", rest),
    };
    let some = !(whole.is_empty() && fraction.is_empty());
    some.then_some((Number { whole, fraction }, rest))
}

/// Splits before the first character that `at` tells; at the end if none.
fn split(text: &str, at: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.find(at).unwrap_or(text.len()))
}

fn nanoseconds_in(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // Micro sign and Greek mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

// === impl Number ===

impl Number<'_> {
    /// What this many units of `unit` nanoseconds make, rounded down.
    fn nanoseconds(&self, unit: u128) -> Option<u128> {
        let whole = if self.whole.is_empty() {
            0
        } else {
            self.whole.parse::<u128>().ok()?
        };
        let mut total = whole.checked_mul(unit)?;
        let mut scale = unit;
        for digit in self.fraction.bytes() {
            // Digits below a nanosecond add nothing.
            scale /= 10;
            total = total.checked_add(u128::from(digit - b'0') * scale)?;
        }
        Some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_go_parses() {
        for (text, want) in [
            ("0", Some(Duration::ZERO)),
            ("0s", Some(Duration::ZERO)),
            ("5s", Some(Duration::from_secs(5))),
            ("+5s", Some(Duration::from_secs(5))),
            ("1h30m", Some(Duration::from_secs(5400))),
            ("1.5s", Some(Duration::from_millis(1500))),
            (".5s", Some(Duration::from_millis(500))),
            ("5.s", Some(Duration::from_secs(5))),
            ("1m0.25s", Some(Duration::from_millis(60_250))),
            ("100ms", Some(Duration::from_millis(100))),
            ("3\u{b5}s", Some(Duration::from_micros(3))),
            ("3\u{3bc}s", Some(Duration::from_micros(3))),
            ("7ns", Some(Duration::from_nanos(7))),
            ("0.0000000001s", Some(Duration::ZERO)),
            ("2562047h", Some(Duration::from_secs(2_562_047 * 3600))),
            ("9223372035s", Some(MAX)),
        ] {
            assert_eq!(parse(text).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "+",
            "5",
            "s",
            ".s",
            "5 s",
            "5x",
            "-5s",
            "--5s",
            "infinity",
            "5s5",
            "1e3s",
            "5\u{20ac}",
        ] {
            assert_eq!(parse(text), Err(DurationError::Syntax), "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(80)), Err(DurationError::Syntax));
    }

    #[test]
    fn durations_beyond_the_range_of_envoy_are_too_long() {
        let digits = format!("{}s", "9".repeat(80));
        for text in [
            "9223372035.000000001s",
            "9223372036s",
            "9223372037s",
            "315576000001s",
            "2562048h",
            "9223372035s1ns",
            "18446744073709551616s0s",
            &digits,
        ] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text:?}");
        }
    }
}
