//! The files of a schema: the one given, and those that `xi:include` names at its top level.
//!
//! An include is a relative path that stays in the folder of the file that names it, or below: a schema comes from
//! outside, and what it may read is its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::string::FromUtf8Error;

use roxmltree::{Document, Error, ParsingOptions, TextPos};

use super::DEPTH_MAX;
use super::element::Element;
use crate::error::{Fault, SchemaError};

/// The longest file that is read: a hundred times the longest schema of a venue.
const FILE_BYTES_MAX: u64 = 64 << 20;

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// The texts of a schema by the name that errors give them; the first is the schema itself.
pub(super) struct Texts {
    root: String,
    texts: BTreeMap<String, String>,
    /// May includes be followed?
    files: bool,
}

/// The texts, parsed.
pub(super) struct Documents<'a> {
    root: &'a str,
    documents: BTreeMap<&'a str, Document<'a>>,
    files: bool,
}

/// What stands at the top level of a schema, includes followed.
#[derive(Default)]
pub(super) struct Items<'a> {
    pub(super) types: Vec<Element<'a>>,
    pub(super) messages: Vec<Element<'a>>,
}

impl Texts {
    pub(super) fn of_text(xml: &str, origin: &str) -> Texts {
        Texts { root: origin.to_owned(), texts: BTreeMap::from([(origin.to_owned(), xml.to_owned())]), files: false }
    }

    pub(super) fn read(path: &Path) -> Result<Texts, SchemaError> {
        let root = path.display().to_string();
        let bytes = read(path).map_err(|error| SchemaError {
            origin: root.clone(),
            line: 0,
            column: 0,
            fault: Fault::Unreadable { reason: error.to_string() },
        })?;
        let mut texts = Texts { root: root.clone(), texts: BTreeMap::new(), files: true };
        texts.add(root, bytes)?;
        Ok(texts)
    }

    /// Adds a text and, once each, what it includes.
    fn add(&mut self, origin: String, bytes: Vec<u8>) -> Result<(), SchemaError> {
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(&origin, &error))?;
        let mut included = Vec::new();
        let document = parse(&origin, &text)?;
        let root = Element { node: document.root_element(), origin: &origin };
        for include in root.children().filter(|child| is_include(*child)) {
            let target = target(include)?;
            if self.texts.contains_key(&target) || target == origin {
                continue;
            }
            let bytes = read(Path::new(&target))
                .map_err(|error| include_fault(include, error.to_string(), "check the path and its rights"))?;
            included.push((target, bytes));
        }
        drop(document);
        self.texts.insert(origin, text);
        included.into_iter().try_for_each(|(origin, bytes)| self.add(origin, bytes))
    }

    pub(super) fn parse(&self) -> Result<Documents<'_>, SchemaError> {
        let parsed = self.texts.iter().map(|(origin, text)| Ok((origin.as_str(), parse(origin, text)?)));
        Ok(Documents { root: &self.root, documents: parsed.collect::<Result<_, _>>()?, files: self.files })
    }
}

impl Documents<'_> {
    pub(super) fn root(&self) -> Element<'_> {
        self.root_of(self.root)
    }

    fn root_of<'a>(&'a self, origin: &'a str) -> Element<'a> {
        Element { node: self.documents[origin].root_element(), origin }
    }

    /// The declarations of types and the messages, in order.
    pub(super) fn items(&self) -> Result<Items<'_>, SchemaError> {
        let mut items = Items::default();
        self.root().children().try_for_each(|child| self.add_items(child, &mut items, 0))?;
        Ok(items)
    }

    fn add_items<'a>(&'a self, item: Element<'a>, items: &mut Items<'a>, depth: u32) -> Result<(), SchemaError> {
        if depth > DEPTH_MAX {
            return Err(item.fault(Fault::Limit { what: "includes within includes", limit: DEPTH_MAX }));
        }
        match item.name() {
            "include" if is_include(item) && self.files => {
                let (origin, document) =
                    self.documents.get_key_value(target(item)?.as_str()).expect("every include was read");
                let included = Element { node: document.root_element(), origin };
                self.add_items(included, items, depth + 1)
            }
            "include" if is_include(item) => {
                Err(include_fault(item, "a schema given as text has no folder".into(), "load it from its file"))
            }
            "types" => {
                items.types.extend(item.children());
                Ok(())
            }
            // SBE 2.0 gathers the messages in an element.
            "messages" => {
                items.messages.extend(item.children());
                Ok(())
            }
            "message" => {
                items.messages.push(item);
                Ok(())
            }
            _ => Err(item.unexpected("messageSchema", "put it into <types>, or remove it")),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes, and is no schema"))),
        false => Ok(bytes),
    }
}

fn parse<'a>(origin: &str, text: &'a str) -> Result<Document<'a>, SchemaError> {
    let fault =
        |place: TextPos, fault| SchemaError { origin: origin.to_owned(), line: place.row, column: place.col, fault };
    let doctype = doctype(text);
    if let Some((at, body)) = doctype
        && body.trim().contains(|c: char| !c.is_alphanumeric())
    {
        return Err(fault(end_of(&text[..at]), Fault::DocumentType));
    }
    let options = ParsingOptions { allow_dtd: doctype.is_some(), ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| {
        let place = match error {
            Error::UnexpectedEndOfStream | Error::UnclosedRootNode => end_of(text),
            _ => error.pos(),
        };
        fault(place, Fault::Xml { reason: error.to_string() })
    })
}

fn not_utf8(origin: &str, error: &FromUtf8Error) -> SchemaError {
    let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let place = end_of(&String::from_utf8_lossy(valid));
    SchemaError { origin: origin.to_owned(), line: place.row, column: place.col, fault: Fault::NotUtf8 }
}

fn end_of(text: &str) -> TextPos {
    let row = text.matches('\n').count() as u32 + 1;
    let col = text.chars().rev().take_while(|c| *c != '\n').count() as u32 + 1;
    TextPos::new(row, col)
}

/// Where the document type is declared, and what the declaration says. B3 writes a bare `<!DOCTYPE xml>`, which
/// defines nothing and is let pass.
fn doctype(text: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).len();
        let rest = &text[at..];
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ => {
                let body = rest.strip_prefix("<!DOCTYPE")?;
                return Some((at, &body[..body.find('>').unwrap_or(body.len())]));
            }
        };
        at += rest.find(end)? + end.len();
    }
}

fn is_include(element: Element<'_>) -> bool {
    element.name() == "include" && element.node.tag_name().namespace() == Some(XINCLUDE)
}

/// The file that an include names.
fn target(include: Element<'_>) -> Result<String, SchemaError> {
    let href = include.required("href")?;
    let inside = Path::new(href).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || href.contains("://") {
        return Err(include_fault(include, "it leaves the folder of the schema".into(), "name a file in that folder"));
    }
    let folder = Path::new(include.origin).parent().map_or_else(PathBuf::new, Path::to_owned);
    Ok(folder.join(href).display().to_string())
}

fn include_fault(include: Element<'_>, reason: String, remedy: &'static str) -> SchemaError {
    let href = include.text_or_empty("href");
    include.fault_at("href", Fault::Include { href, reason, remedy })
}
