//! What does a JSON text say, and where does each value stand?
//!
//! Places are what an ordinary reader lacks. Python writes `Infinity` and `NaN` into JSON, so they are read. A name that
//! stands twice in one object is a mistake here: readers differ on which of the two counts.

use capstan_types::place::Span;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Deepest nesting; a stack overflow cannot be caught.
const DEEPEST: usize = 64;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'a> {
    pub value: Value<'a>,
    pub span: Span,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Flag(bool),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Where reading stopped, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stopped {
    pub span: Span,
    pub why: String,
}

impl<'a> Node<'a> {
    /// Returns the value of a name, where this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        match &self.value {
            Value::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Returns the text, where this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items, where this is a list.
    pub fn list(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the number, where this is one.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Says in a word what this is.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Flag(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads a text of at most 4 GiB.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Stopped> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.stopped("more text after the end of the value"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

fn byte(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'a> Reader<'a> {
    fn stopped(&self, why: impl Into<String>) -> Stopped {
        let next = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        let why = if next == 0 { "the text ends in the middle of a value".to_owned() } else { why.into() };
        Stopped { span: Span::new(byte(self.at), byte(self.at + next)), why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Stopped> {
        self.blanks();
        if depth > DEEPEST {
            return Err(self.stopped("nested too deeply"));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            _ => self.word()?,
        };
        Ok(Node { value, span: Span::new(byte(start), byte(self.at)) })
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Stopped> {
        self.at += 1;
        let mut fields: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        let mut seen = BTreeSet::new();
        if self.eat(b'}') {
            return Ok(Value::Object(fields));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.stopped("a name in quotes is expected here"));
            }
            let start = self.at;
            let key = self.string()?;
            let span = Span::new(byte(start), byte(self.at));
            if !self.eat(b':') {
                return Err(self.stopped("a colon is expected here"));
            }
            let node = self.value(depth + 1)?;
            if !seen.insert(key.clone()) {
                return Err(Stopped { span, why: format!("`{key}` stands twice in one object") });
            }
            fields.push((key, node));
            if self.eat(b'}') {
                return Ok(Value::Object(fields));
            }
            if !self.eat(b',') {
                return Err(self.stopped("a comma or `}` is expected here"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Stopped> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Ok(Value::List(items));
            }
            if !self.eat(b',') {
                return Err(self.stopped("a comma or `]` is expected here"));
            }
        }
    }

    fn word(&mut self) -> Result<Value<'a>, Stopped> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
        let word = &rest[..end.unwrap_or(rest.len())];
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            "Infinity" => Value::Number(f64::INFINITY),
            "-Infinity" => Value::Number(f64::NEG_INFINITY),
            "NaN" => Value::Number(f64::NAN),
            _ => match word.parse::<f64>() {
                Ok(number) if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                    Value::Number(number)
                }
                _ => return Err(self.stopped("no value of JSON begins like this")),
            },
        };
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Stopped> {
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.find(['"', '\\']) else {
                self.at = self.text.len();
                return Err(self.stopped(""));
            };
            if let Some(text) = &mut owned {
                text.push_str(&rest[..stop]);
            }
            let whole = &self.text[start..self.at + stop];
            self.at += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok(owned.map_or(Cow::Borrowed(whole), Cow::Owned));
            }
            let letter = self.escape()?;
            owned.get_or_insert_with(|| whole.to_owned()).push(letter);
        }
    }

    /// Reads what follows a backslash. A half of a surrogate pair, which names nothing that sizes depend on, becomes
    /// the replacement character.
    fn escape(&mut self) -> Result<char, Stopped> {
        let Some(letter) = self.peek() else { return Err(self.stopped("")) };
        let plain = match letter {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\\' | b'/' => char::from(letter),
            b'u' => {
                let digits = self.text.get(self.at + 1..self.at + 5);
                let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
                    return Err(self.stopped("four hexadecimal digits are expected here"));
                };
                self.at += 4;
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.stopped("no such escape in JSON")),
        };
        self.at += 1;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let node = parse("{ \"a\": [1, -2.5e3, null],\n \"b\\u0041\": \"x\\n\", \"c\": Infinity }").unwrap();
        assert_eq!(node.get("a").unwrap().list().unwrap()[1].number(), Some(-2500.0));
        assert_eq!(node.get("bA").unwrap().text(), Some("x\n"));
        assert_eq!(node.get("a").unwrap().span, Span::new(7, 24));
        assert_eq!(node.get("c").unwrap().number(), Some(f64::INFINITY));
    }

    #[test]
    fn every_prefix_of_a_text_stops_at_its_end() {
        let text = "{\"layers\": [1, {\"x\": \"y\\u00e9\"}], \"t\": true}";
        parse(text).unwrap();
        for end in 0..text.len() {
            let stopped = parse(&text[..end]).unwrap_err();
            assert!(stopped.span.start as usize <= end, "{end}: {stopped:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for wrong in ["{a: 1}", "[1,]", "{\"a\" 1}", "01x", "{\"a\":1,\"a\":2}", "[1] 2", "\"\\x\"", "+1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse(&"[".repeat(100_000)).unwrap_err().why, "nested too deeply");
    }
}
