//! JSON text as a list of its values in the order of the text, so that any of them is found without parsing again.
//!
//! ```text
//! {"a":[1,2],"b":null}    object  "a"  array  1  2  "b"  null
//!                         each knows where its text is, and which value follows it and all that it holds
//! ```
//!
//! A value takes 16 bytes and at least two of the text, so that no text asks for more than a small multiple of its own length.

use super::error::{EncodeError, Unencodable};

/// Objects and arrays within one another: groups and composites may be 16 deep, a group's entry is two.
const DEPTH_MAX: u32 = 64;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

#[derive(Clone, Copy)]
struct Node {
    /// Where its text begins, and ends.
    start: u32,
    end: u32,
    /// The index of what follows it and all that it holds.
    next: u32,
    kind: Kind,
}

/// The values of a text.
pub(super) struct Tape<'t> {
    text: &'t str,
    nodes: Vec<Node>,
}

/// A value of a tape.
#[derive(Clone, Copy)]
pub(super) struct Item<'t> {
    tape: &'t Tape<'t>,
    index: u32,
}

impl<'t> Tape<'t> {
    /// The values of a text that is one of JSON (RFC 8259).
    pub(super) fn parse(json: &'t [u8]) -> Result<Tape<'t>, EncodeError> {
        let text = match std::str::from_utf8(json) {
            Ok(text) if u32::try_from(text.len()).is_ok() => text,
            Ok(_) => return Err(EncodeError::at("", 0, Unencodable::TooLong)),
            Err(error) => {
                let sound = json.split_at(error.valid_up_to()).0;
                let text = std::str::from_utf8(sound).unwrap_or("");
                return Err(EncodeError::at(text, text.len(), Unencodable::Syntax { expected: "UTF-8 text" }));
            }
        };
        let mut parser = Parser { text, at: 0, nodes: Vec::new() };
        let parsed = parser.value(0).and_then(|()| {
            parser.skip_space();
            if parser.at < text.len() { parser.expected("nothing after the message") } else { Ok(()) }
        });
        match parsed {
            Ok(()) => Ok(Tape { text, nodes: parser.nodes }),
            Err(expected) => Err(EncodeError::at(text, parser.at, Unencodable::Syntax { expected })),
        }
    }

    pub(super) fn root(&'t self) -> Item<'t> {
        Item { tape: self, index: 0 }
    }
}

impl<'t> Item<'t> {
    fn node(self) -> Node {
        self.tape.nodes[self.index as usize]
    }

    pub(super) fn kind(self) -> Kind {
        self.node().kind
    }

    /// Its text as it stands; of a string what is between the quotes.
    pub(super) fn text(self) -> &'t str {
        let Node { start, end, kind, .. } = self.node();
        let quotes = u32::from(kind == Kind::String);
        &self.tape.text[(start + quotes) as usize..(end - quotes) as usize]
    }

    /// What an array holds; of an object keys and values by turns; of others nothing.
    pub(super) fn children(self) -> impl Iterator<Item = Item<'t>> + use<'t> {
        let Node { next, kind, .. } = self.node();
        let end = if matches!(kind, Kind::Array | Kind::Object) { next } else { 0 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let item = Item { tape: self.tape, index };
            (index < end).then(|| {
                index = item.node().next;
                item
            })
        })
    }

    /// The keys and values of an object; of others nothing.
    pub(super) fn members(self) -> impl Iterator<Item = (Item<'t>, Item<'t>)> + use<'t> {
        let mut children = self.children();
        let object = self.kind() == Kind::Object;
        std::iter::from_fn(move || if object { Some((children.next()?, children.next()?)) } else { None })
    }

    /// The characters of a string, escapes undone.
    pub(super) fn characters(self) -> impl Iterator<Item = char> + use<'t> {
        let mut rest = self.text().chars();
        std::iter::from_fn(move || match rest.next()? {
            '\\' => Some(escaped(&mut rest)),
            plain => Some(plain),
        })
    }

    /// The error that this value is.
    pub(super) fn fault(self, fault: Unencodable) -> EncodeError {
        let mut error = EncodeError::at(self.tape.text, self.node().start as usize, fault);
        let mut item = self.tape.root();
        'down: while item.index < self.index {
            let object = item.kind() == Kind::Object;
            let mut children = item.children().enumerate();
            while let Some((index, mut child)) = children.next() {
                let name = child.text();
                if object && child.index == self.index {
                    return error;
                }
                if object {
                    child = children.next().map_or(child, |(_, value)| value);
                }
                if self.index < child.node().next {
                    error.step(if object { Ok(name) } else { Err(index) });
                    item = child;
                    continue 'down;
                }
            }
            break;
        }
        error
    }
}

/// The parser has seen that escapes are whole.
fn escaped(rest: &mut std::str::Chars<'_>) -> char {
    fn unit(rest: &mut std::str::Chars<'_>) -> u32 {
        rest.by_ref().take(4).fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or(0))
    }
    match rest.next().unwrap_or('\\') {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = unit(rest);
            let code = match high {
                0xD800..0xDC00 => {
                    rest.by_ref().take(2).for_each(drop);
                    0x10000 + ((high - 0xD800) << 10) + (unit(rest).saturating_sub(0xDC00) & 0x3FF)
                }
                _ => high,
            };
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        plain => plain,
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    nodes: Vec<Node>,
}

/// What was expected where the parser stands.
type Parsed = Result<(), &'static str>;

impl Parser<'_> {
    fn expected(&self, what: &'static str) -> Parsed {
        Err(what)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over a byte if it is the next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: u32) -> Parsed {
        self.skip_space();
        let (index, start) = (self.nodes.len(), self.at as u32);
        self.nodes.push(Node { start, end: 0, next: 0, kind: Kind::Null });
        let kind = match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => return self.expected("fewer objects and arrays within another"),
            Some(b'{') => self.list(depth, b'}', true).map(|()| Kind::Object),
            Some(b'[') => self.list(depth, b']', false).map(|()| Kind::Array),
            Some(b'"') => self.string().map(|()| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b'n') => self.word("null").map(|()| Kind::Null),
            Some(b't') => self.word("true").map(|()| Kind::Boolean),
            Some(b'f') => self.word("false").map(|()| Kind::Boolean),
            _ => Err("a value"),
        }?;
        self.nodes[index] = Node { start, end: self.at as u32, next: self.nodes.len() as u32, kind };
        Ok(())
    }

    fn list(&mut self, depth: u32, close: u8, keyed: bool) -> Parsed {
        self.at += 1;
        self.skip_space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            if keyed {
                self.key()?;
            }
            self.value(depth + 1)?;
            self.skip_space();
            match self.take(b',') {
                true => {}
                false if self.take(close) => return Ok(()),
                false => return self.expected(if keyed { "`,` or `}`" } else { "`,` or `]`" }),
            }
        }
    }

    fn key(&mut self) -> Parsed {
        self.skip_space();
        let start = self.at as u32;
        if self.peek() != Some(b'"') {
            return self.expected("a key in quotes");
        }
        self.string()?;
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { start, end: self.at as u32, next, kind: Kind::String });
        self.skip_space();
        if self.take(b':') { Ok(()) } else { self.expected("`:`") }
    }

    fn word(&mut self, word: &str) -> Parsed {
        match self.text[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(())
            }
            false => self.expected("a value"),
        }
    }

    fn number(&mut self) -> Parsed {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'-') || self.take(b'+');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Parsed {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.expected("a digit") }
    }

    fn string(&mut self) -> Parsed {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                Some(_) => return self.expected("`\\u` and four digits for a control character"),
                None => return self.expected("`\"`"),
            }
        }
    }

    fn escape(&mut self) -> Parsed {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let paired = match self.unit()? {
                    0xD800..0xDC00 => {
                        self.take(b'\\') && self.peek() == Some(b'u') && (0xDC00..0xE000).contains(&self.unit()?)
                    }
                    half => !(0xDC00..0xE000).contains(&half),
                };
                if !paired {
                    return self.expected("both halves of a surrogate pair");
                }
            }
            _ => return self.expected("an escape that JSON knows"),
        }
        Ok(())
    }

    /// The number of `uXXXX`.
    fn unit(&mut self) -> Result<u32, &'static str> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
        let digits =
            digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)).ok_or("four hexadecimal digits")?;
        self.at += 5;
        Ok(digits.iter().fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The values of a text, told by walking the tape.
    fn told(item: Item<'_>) -> serde_json::Value {
        match item.kind() {
            Kind::Null => serde_json::Value::Null,
            Kind::Boolean => (item.text() == "true").into(),
            Kind::Number => serde_json::from_str(item.text()).expect("it is a number"),
            Kind::String => item.characters().collect::<String>().into(),
            Kind::Array => item.children().map(told).collect(),
            Kind::Object => {
                let member = |(key, value): (Item<'_>, _)| (key.characters().collect::<String>(), told(value));
                serde_json::Value::Object(item.members().map(member).collect())
            }
        }
    }

    fn agrees(text: &[u8]) -> Result<(), TestCaseError> {
        let known = serde_json::from_slice::<serde_json::Value>(text);
        match (Tape::parse(text), known) {
            (Ok(tape), Ok(known)) => prop_assert_eq!(told(tape.root()), known),
            (Err(_), Err(_)) => {}
            // It refuses numbers that no float can hold; whether one fits is the field's to say here.
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{}", error),
            (Err(error), Ok(_)) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_same_is_json_as_for_serde(text in r#"([\[\]{}:,"\\ /bu0-9a-f.eE+-]|null|true|"a":|\\ud83d\\ude00|é|\n){0,24}"#) {
            agrees(text.as_bytes())?;
        }

        #[test]
        fn any_string_is_read(text: String, cut in 0_usize..40) {
            let quoted = serde_json::to_string(&text).expect("it is a string");
            agrees(quoted.as_bytes())?;
            agrees(&quoted.as_bytes()[..cut.min(quoted.len())])?;
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            agrees(&bytes)?;
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(Tape::parse(&deep(64)).is_ok());
        let error = Tape::parse(&deep(65)).err().expect("it is too deep").to_string();
        assert!(error.contains("fewer objects and arrays"), "{error}");
    }
}
