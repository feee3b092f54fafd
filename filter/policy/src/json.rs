//! JSON, of which nothing is known yet but that it is JSON.
//!
//! It is read here rather than by serde_json: that brings the filter a deserializer for each kind of input and of value,
//! and what floats take, 50 KB together. Nothing here has fractions, so a number stays as it is written.

use std::{borrow::Cow, fmt};

/// As deep as values may lie in one another.
const MAX_DEPTH: usize = 128;

/// A value. Texts without escapes are those of the input.
#[derive(Debug)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(List<'a>),
    Object(Object<'a>),
}

#[derive(Debug)]
pub(crate) struct List<'a> {
    /// As it is written.
    pub(crate) written: &'a str,
    pub(crate) items: Vec<Json<'a>>,
}

#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// As it is written.
    pub(crate) written: &'a str,
    /// In the order of the input; names may stand there twice.
    pub(crate) fields: Vec<Field<'a>>,
}

pub(crate) type Field<'a> = (Cow<'a, str>, Json<'a>);

/// Why a text is no JSON, and where that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    problem: &'static str,
    line: usize,
    column: usize,
}

type Parsed<T> = Result<T, &'static str>;

/// What is left of a text.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// Reads the whole of a text.
pub(crate) fn parse(text: &[u8]) -> Result<Json<'_>, Malformed> {
    let text =
        str::from_utf8(text).map_err(|error| Malformed::new("invalid UTF-8", text, error.valid_up_to()))?;
    let mut parser = Parser { text, at: 0 };
    let whole = parser.whole();
    whole.map_err(|problem| Malformed::new(problem, text.as_bytes(), parser.at))
}

// === impl Malformed ===

impl Malformed {
    fn new(problem: &'static str, text: &[u8], at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let newlines = before.iter().filter(|byte| **byte == b'\n').count();
        let in_line = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Self {
            problem,
            line: newlines + 1,
            column: in_line + 1,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            problem,
            line,
            column,
        } = self;
        write!(f, "{problem} at line {line} column {column}")
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Parsed<Json<'a>> {
        let value = self.value(0)?;
        match self.next_token() {
            None => Ok(value),
            Some(_) => Err("trailing characters"),
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Json<'a>> {
        if depth > MAX_DEPTH {
            return Err("recursion limit exceeded");
        }
        match self.next_token() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Json::Text(self.text()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => Err("EOF while parsing a value"),
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Json<'a>> {
        let start = self.at;
        let mut fields = Vec::new();
        while self.has_next(b'}', fields.is_empty(), "expected `,` or `}`")? {
            if self.next_token() != Some(b'"') {
                return Err("key must be a string");
            }
            let name = self.text()?;
            if self.next_token() != Some(b':') {
                return Err("expected `:`");
            }
            self.at += 1;
            fields.push((name, self.value(depth + 1)?));
        }
        let written = self.since(start);
        Ok(Json::Object(Object { written, fields }))
    }

    fn list(&mut self, depth: usize) -> Parsed<Json<'a>> {
        let start = self.at;
        let mut items = Vec::new();
        while self.has_next(b']', items.is_empty(), "expected `,` or `]`")? {
            items.push(self.value(depth + 1)?);
        }
        let written = self.since(start);
        Ok(Json::List(List { written, items }))
    }

    /// Goes past what is between values: the bracket before the first, or a comma. False: past the bracket at the end.
    fn has_next(&mut self, end: u8, is_first: bool, expected: &'static str) -> Parsed<bool> {
        if is_first {
            self.at += 1;
        }
        match self.next_token() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !is_first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if is_first => Ok(true),
            Some(_) => Err(expected),
            None => Err("EOF while parsing a list or an object"),
        }
    }

    fn text(&mut self) -> Parsed<Cow<'a, str>> {
        self.at += 1;
        let mut start = self.at;
        // What came before the last escape, with what that stands for.
        let mut before = String::new();
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    before.push_str(self.since(start));
                    self.at += 1;
                    before.push(self.escaped()?);
                    start = self.at;
                }
                Some(0..0x20) => return Err("control character while parsing a string"),
                Some(_) => self.at += 1,
                None => return Err("EOF while parsing a string"),
            }
        }
        let rest = self.since(start);
        self.at += 1;
        if before.is_empty() {
            return Ok(Cow::Borrowed(rest));
        }
        before.push_str(rest);
        Ok(Cow::Owned(before))
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Parsed<char> {
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => return Err("invalid escape"),
        })
    }

    /// One that UTF-16 has no single unit for is written as two.
    fn code_point(&mut self) -> Parsed<char> {
        let first = self.code_unit()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) {
            let has_second = self
                .text
                .get(self.at..)
                .is_some_and(|rest| rest.starts_with("\\u"));
            self.at += if has_second { 2 } else { 0 };
            let second = if has_second { self.code_unit()? } else { 0 };
            if !(0xdc00..0xe000).contains(&second) {
                return Err("lone leading surrogate in hex escape");
            }
            code = 0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00));
        }
        char::from_u32(code).ok_or("lone trailing surrogate in hex escape")
    }

    fn code_unit(&mut self) -> Parsed<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or("invalid escape")?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Parsed<Json<'a>> {
        let start = self.at;
        self.skip_one_of(b"-");
        if !self.skip_one_of(b"0") {
            self.digits()?;
        }
        if self.skip_one_of(b".") {
            self.digits()?;
        }
        if self.skip_one_of(b"eE") {
            self.skip_one_of(b"+-");
            self.digits()?;
        }
        Ok(Json::Number(self.since(start)))
    }

    fn digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while self.skip_one_of(b"0123456789") {}
        if self.at == start {
            Err("invalid number")
        } else {
            Ok(())
        }
    }

    fn word(&mut self) -> Parsed<Json<'a>> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        let word = self.since(start);
        Ok(match word {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => {
                self.at = start;
                return Err("expected value");
            }
        })
    }

    fn skip_one_of(&mut self, bytes: &[u8]) -> bool {
        let is_one = self.peek().is_some_and(|byte| bytes.contains(&byte));
        self.at += usize::from(is_one);
        is_one
    }

    /// The first byte that is no space.
    fn next_token(&mut self) -> Option<u8> {
        while self.skip_one_of(b" \t\r\n") {}
        self.peek()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// From one byte of ASCII to another.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// The value of that name, and whether there is another of it.
    pub(crate) fn find(&self, name: &str) -> (Option<&Json<'a>>, bool) {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        let value = found.next().map(|(_, value)| value);
        (value, found.next().is_some())
    }

    /// A name that stands there twice.
    pub(crate) fn doubled(&self) -> Option<&str> {
        let mut names: Vec<&str> = Vec::with_capacity(self.fields.len());
        for (name, _) in &self.fields {
            match names.binary_search(&&**name) {
                Ok(_) => return Some(name),
                Err(at) => names.insert(at, name),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
