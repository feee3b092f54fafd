//! JSON numbers by their value, whatever their notation.

/// A number as written, which serde_json has validated (RFC 8259, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JsonNumber<'a>(&'a str);

/// Significant digits, and where the point lies: the number is `0.DIGITS * 10^point`.
struct Decimal {
    is_negative: bool,
    /// Neither starts nor ends with a zero. Empty: the number is zero.
    digits: String,
    point: i64,
}

/// Places of the point for which all digits are written out, as in ECMAScript.
const PLAIN: std::ops::RangeInclusive<i64> = -5..=21;

// === impl JsonNumber ===

impl<'a> JsonNumber<'a> {
    pub(super) fn new(written: &'a str) -> Self {
        Self(written)
    }

    /// The nearest double; `None` if the number is out of range.
    pub(super) fn to_f64(self) -> Option<f64> {
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The canonical text of all spellings of a number: `1`, `1.0` and `10e-1` are `1`. The form is that of ECMAScript
    /// and RFC 8785, but with all digits, so that no two numbers share a text. `None` if the number is out of the range
    /// of doubles, or its exponent is out of that of 32 bits.
    pub(super) fn canonical(self) -> Option<String> {
        self.to_f64()?;
        Decimal::read(self.0).map(|decimal| decimal.to_text())
    }
}

// === impl Decimal ===

impl Decimal {
    fn read(written: &str) -> Option<Self> {
        let unsigned = written.strip_prefix('-');
        let (mantissa, exponent) = match unsigned.unwrap_or(written).split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned.unwrap_or(written), 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let digits = all.trim_start_matches('0');
        let leading_zeros = all.len() - digits.len();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading_zeros).ok()?;
        Some(Self {
            is_negative: unsigned.is_some(),
            digits: digits.trim_end_matches('0').to_owned(),
            point: point + i64::from(exponent),
        })
    }

    fn to_text(&self) -> String {
        let Self {
            is_negative,
            digits,
            point,
        } = self;
        if digits.is_empty() {
            return "0".to_owned();
        }
        let sign = if *is_negative { "-" } else { "" };
        let unsigned = if PLAIN.contains(point) {
            plain(digits, *point)
        } else {
            scientific(digits, *point)
        };
        [sign, &unsigned].concat()
    }
}

/// Writes all digits, with zeros up to the point if it lies beyond them.
fn plain(digits: &str, point: i64) -> String {
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
    let whole_digits = usize::try_from(point).unwrap_or_default();
    match digits.split_at_checked(whole_digits) {
        _ if point <= 0 => ["0.", &zeros(-point), digits].concat(),
        Some((whole, "")) => whole.to_owned(),
        Some((whole, fraction)) => [whole, ".", fraction].concat(),
        None => {
            let missing = point - i64::try_from(digits.len()).unwrap_or(point);
            [digits, &zeros(missing)].concat()
        }
    }
}

/// Writes one digit before the point, and a signed exponent.
fn scientific(digits: &str, point: i64) -> String {
    let exponent = point - 1;
    match digits.split_at_checked(1) {
        Some((first, rest)) if !rest.is_empty() => format!("{first}.{rest}e{exponent:+}"),
        _ => format!("{digits}e{exponent:+}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn all_spellings_of_a_number_have_one_text() {
        for (text, spellings) in [
            ("0", &["0", "-0", "0.0", "0e0", "-0.00E+9", "0e-5"][..]),
            ("1", &["1", "1.0", "1e0", "10e-1", "0.1E+1", "0.01e2", "1.000"]),
            ("-1.5", &["-1.5", "-1.50", "-15e-1"]),
            (
                "1795700000",
                &["1795700000", "1.7957E9", "17957e5", "1795700000.0"],
            ),
            (
                "12345678901234567891",
                &["12345678901234567891", "1.2345678901234567891e19"],
            ),
            ("0.000001", &["0.000001", "1e-6"]),
            ("1e-7", &["0.0000001", "1e-7", "10e-8"]),
            ("100000000000000000000", &["1e20", "100000000000000000000"]),
            ("1e+21", &["1e21", "1000000000000000000000"]),
            ("1.25e+30", &["125e28", "1.25E30"]),
            ("10.5", &["10.5", "1.05e1"]),
        ] {
            for spelling in spellings {
                assert_eq!(
                    JsonNumber(spelling).canonical().as_deref(),
                    Some(text),
                    "{spelling}"
                );
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn numbers_that_are_not_finite_have_neither_value_nor_text() {
        for written in ["1e400", "-1e400", "1e99999999999999999999"] {
            assert_eq!(JsonNumber(written).to_f64(), None, "{written}");
            assert_eq!(JsonNumber(written).canonical(), None, "{written}");
        }
        assert_eq!(JsonNumber("9.9e99").to_f64(), Some(9.9e99));
        assert_eq!(JsonNumber("1e-400").to_f64(), Some(0.0));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn canonical_text_is_the_same_number_and_canonical_itself(written in r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?") {
                let text = JsonNumber(&written).canonical().unwrap();
                prop_assert_eq!(JsonNumber(&text).to_f64(), JsonNumber(&written).to_f64());
                prop_assert_eq!(JsonNumber(&text).canonical(), Some(text.clone()));
            }

            #[test]
            fn different_integers_have_different_texts(one in 0_u128..1 << 80, other in 0_u128..1 << 80) {
                let text = |number: u128| JsonNumber(&number.to_string()).canonical();
                prop_assert_eq!(text(one) == text(other), one == other);
            }
        }
    }
}
