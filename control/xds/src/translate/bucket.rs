//! The parts that the routes of a listener are cut in.
//!
//! Envoy takes a route configuration whole, and works on all its hosts when one changes. So the hosts of a table are spread
//! over buckets, each a route configuration of its own, and a change of a host is an update of one. Which one is asked of a
//! request is a scope (SRDS), whose key Envoy calculates from the request's host: every possible host has a bucket, so no
//! listener and no scope changes when hosts come and go.
//!
//! The number of a bucket is made of bits, and a bit is the parity of how many characters of the host are in a set. That is a
//! regular language, the only function of a string that Envoy 1.40 can calculate in a header. Hosts that stand for more
//! than one name, such as `*.bar.com`, are in all buckets.

use serde::Serialize;
use std::{fmt, str::FromStr};

/// A number of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Buckets {
    bits: u8,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket(u8);

/// A number of buckets that there cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a number of buckets: say 1, 2, 4, 8, 16, 32 or 64")]
pub struct NoSuchNumber(String);

/// The positions of a host that a bit looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Positions {
    All,
    /// The first, the third, and so on.
    EverySecond,
}

/// A way to tell two halves of the hosts apart: by whether the number of characters that are in a set is odd.
#[derive(Clone, Copy, Debug)]
struct Bit {
    positions: Positions,
    set: &'static str,
}

/// The characters that an exact host is made of. The key of any other is that of some bucket: it can only be meant by what
/// is in all of them.
const CHARACTERS: &str = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The bits of a number. Those with the longest expressions come first: the first is in the key once, the last 32 times, and a
/// header has 16,384 bytes at most. The sets spread 10,000 names of each of eleven patterns (`h1`, `pr-1`, words and others)
/// such that the fullest of 64 buckets has 1.06 to 1.26 times the mean.
const BITS: [Bit; 6] = [
    Bit::new(Positions::EverySecond, "01289jkmpqstuwxy"),
    Bit::new(Positions::EverySecond, "01234abdhijlmnopqrstuvwxyz"),
    Bit::new(Positions::EverySecond, "2378abcduvwxyz"),
    Bit::new(Positions::All, "014789abcdefgijkqsuvw"),
    Bit::new(Positions::All, "14568clmtvwxz"),
    Bit::new(Positions::All, "135789ilnopqrsuvwxyz"),
];

// === impl Buckets ===

impl Buckets {
    /// One for all hosts: a request then has no key to calculate.
    pub const ONE: Self = Self { bits: 0 };
    pub const MOST: Self = Self { bits: 6 };

    /// A number of buckets that there can be.
    ///
    /// # Errors
    /// It is no power of two from 1 to 64.
    pub fn new(number: usize) -> Result<Self, NoSuchNumber> {
        (0..=Self::MOST.bits)
            .map(|bits| Self { bits })
            .find(|buckets| buckets.number() == number)
            .ok_or_else(|| NoSuchNumber(number.to_string()))
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> usize {
        1 << self.bits
    }

    pub(crate) fn all(self) -> impl Iterator<Item = Bucket> {
        (0..1 << self.bits).map(Bucket)
    }

    /// The name of a bucket of a table: as a route configuration, as a scope, and as the key of that scope.
    pub(crate) fn name(self, table: &str, bucket: impl fmt::Display) -> String {
        if self == Self::ONE {
            table.to_owned()
        } else {
            format!("{table}/{bucket}")
        }
    }

    /// The names of all buckets of a table, in order.
    pub(crate) fn names(self, table: &str) -> impl Iterator<Item = (Bucket, String)> {
        self.all().map(move |bucket| (bucket, self.name(table, bucket)))
    }

    /// The bucket of a request for `host`, or of an exact host.
    pub(crate) fn of(self, host: &str) -> Bucket {
        let (name, _port) = host.split_once(':').unwrap_or((host, ""));
        let bits = self.used().iter();
        Bucket(bits.fold(0, |number, bit| number << 1 | u8::from(bit.is_odd(name))))
    }

    /// The buckets that have a host of a table: all, if it stands for more than one name.
    pub(crate) fn holding(self, fqdn: &str) -> impl Iterator<Item = Bucket> {
        let (first, end) = if fqdn.starts_with('*') {
            (0, 1 << self.bits)
        } else {
            let Bucket(number) = self.of(fqdn);
            (number, number + 1)
        };
        (first..end).map(Bucket)
    }

    /// The name of a request's bucket, as a format string of Envoy's for the value of a header.
    pub(crate) fn key(self, table: &str) -> String {
        let mut expression = String::new();
        write_tree(&mut expression, self.used(), 0);
        self.name(table, format_args!("%CEL({expression})%"))
    }

    fn used(self) -> &'static [Bit] {
        let (used, _) = BITS.split_at(usize::from(self.bits));
        used
    }
}

impl FromStr for Buckets {
    type Err = NoSuchNumber;

    fn from_str(text: &str) -> Result<Self, NoSuchNumber> {
        let number = text.parse().map_err(|_| NoSuchNumber(text.to_owned()))?;
        Self::new(number)
    }
}

impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// Takes a host's bits one after the other. CEL has no integers that become text.
fn write_tree(expression: &mut String, bits: &[Bit], number: u8) {
    let Some((bit, others)) = bits.split_first() else {
        expression.push('\'');
        expression.push_str(&Bucket(number).to_string());
        expression.push('\'');
        return;
    };
    expression.push_str("request.host.matches('");
    expression.push_str(&bit.even());
    expression.push_str("')?(");
    write_tree(expression, others, number << 1);
    expression.push_str("):");
    write_tree(expression, others, number << 1 | 1);
}

// === impl Bit ===

impl Bit {
    const fn new(positions: Positions, set: &'static str) -> Self {
        Self { positions, set }
    }

    fn contains(self, character: char) -> bool {
        self.set.contains(character.to_ascii_lowercase())
    }

    /// Return whether an odd number of the characters of `name` are in the set, or one is none that an exact host has.
    fn is_odd(self, name: &str) -> bool {
        let step = match self.positions {
            Positions::All => 1,
            Positions::EverySecond => 2,
        };
        let members = name.chars().step_by(step);
        let is_odd = members.filter(|character| self.contains(*character)).count() % 2 == 1;
        is_odd || !name.chars().all(|character| CHARACTERS.contains(character))
    }

    /// Matches the others, whatever port follows. RE2 programs may have 100 instructions in Envoy, so the classes spell out
    /// both cases, and nothing is captured.
    fn even(self) -> String {
        let class = |is_member: bool| {
            let characters = CHARACTERS.chars();
            class_of(characters.filter(|character| self.contains(*character) == is_member))
        };
        let (others, members, any) = (class(false), class(true), class_of(CHARACTERS.chars()));
        let parity = match self.positions {
            Positions::All => format!("(?:{others}|{members}{others}*{members})*"),
            Positions::EverySecond => {
                let pair = format!("{members}{any}(?:{others}{any})*{members}");
                format!("(?:{others}{any}|{pair}{any})*(?:{others}|{pair})?")
            }
        };
        format!("^{parity}(?::[!-~]*)?$")
    }
}

/// A class of a regular expression, of characters in ascending order.
fn class_of(characters: impl Iterator<Item = char>) -> String {
    let mut runs: Vec<(char, char)> = Vec::new();
    for character in characters {
        match runs.last_mut() {
            Some((_, last)) if *last as u32 + 1 == character as u32 => *last = character,
            _ => runs.push((character, character)),
        }
    }
    let mut class = String::from("[");
    for (first, last) in runs {
        class.push(first);
        if first != last {
            // A hyphen that is a member is the first.
            class.push_str(if last as u32 - first as u32 > 1 { "-" } else { "" });
            class.push(last);
        }
    }
    class.push(']');
    class
}

// === impl Bucket ===

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
