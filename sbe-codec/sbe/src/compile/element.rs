//! An XML element with its file, so that every fault has a place.

use std::str::FromStr;

use roxmltree::Node;

use crate::deviation::{Deviation, Warning};
use crate::error::{Fault, SchemaError};
use crate::ir::{Meta, Presence};
use crate::primitive::TimeUnit;

/// Whether a text is a name.
pub(crate) fn is_symbol(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(fits)
}

#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) node: Node<'a, 'a>,
    pub(super) origin: &'a str,
}

impl<'a> Element<'a> {
    pub(super) fn name(self) -> &'a str {
        self.node.tag_name().name()
    }

    pub(super) fn line(self) -> u32 {
        self.node.document().text_pos_at(self.node.range().start).row
    }

    /// Its child elements.
    pub(super) fn children(self) -> impl Iterator<Item = Element<'a>> {
        self.node.children().filter(Node::is_element).map(move |node| Element { node, ..self })
    }

    /// The text inside it, without the blanks around; empty if there is none.
    pub(super) fn content(self) -> &'a str {
        self.node.text().unwrap_or("").trim()
    }

    /// An attribute that is in no name space: foreign ones are not ours to read.
    pub(super) fn text(self, attribute: &str) -> Option<&'a str> {
        self.node.attribute(attribute)
    }

    pub(super) fn text_or_empty(self, attribute: &str) -> String {
        self.text(attribute).unwrap_or("").to_owned()
    }

    pub(super) fn required(self, attribute: &'static str) -> Result<&'a str, SchemaError> {
        match self.text(attribute) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.fault(Fault::Missing { element: self.name().to_owned(), attribute })),
        }
    }

    pub(super) fn number<T: FromStr>(self, attribute: &str) -> Result<Option<T>, SchemaError> {
        let Some(text) = self.text(attribute) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) if size_of::<T>() == 2 => Err(self.bad_attribute(attribute, "a whole number from 0 to 65535")),
            Err(_) => Err(self.bad_attribute(attribute, "a whole number from 0 to 4294967295")),
        }
    }

    pub(super) fn required_number<T: FromStr>(self, attribute: &'static str) -> Result<T, SchemaError> {
        self.required(attribute)?;
        let missing = || self.fault(Fault::Missing { element: self.name().to_owned(), attribute });
        self.number(attribute)?.ok_or_else(missing)
    }

    /// FIX SBE 1.0, Message Schema: a symbolic name. So names need no escaping anywhere.
    pub(super) fn symbol(self) -> Result<&'a str, SchemaError> {
        let name = self.required("name")?;
        match is_symbol(name) {
            true => Ok(name),
            false => Err(self.fault_at("name", Fault::Name { name: name.to_owned() })),
        }
    }

    pub(super) fn meta(self) -> Result<Meta, SchemaError> {
        Ok(Meta {
            name: self.symbol()?.into(),
            description: self.text_or_empty("description"),
            semantic_type: self.text_or_empty("semanticType"),
            since_version: self.number("sinceVersion")?.unwrap_or(0),
            deprecated: self.number("deprecated")?,
        })
    }

    pub(super) fn presence(self) -> Result<Option<Presence>, SchemaError> {
        match self.text("presence") {
            None => Ok(None),
            Some("required") => Ok(Some(Presence::Required)),
            Some("optional") => Ok(Some(Presence::Optional)),
            Some("constant") => Ok(Some(Presence::Constant)),
            Some(_) => Err(self.bad_attribute("presence", "required, optional or constant")),
        }
    }

    pub(super) fn time_unit(self) -> Result<Option<TimeUnit>, SchemaError> {
        let Some(name) = self.text("timeUnit") else { return Ok(None) };
        let expected = "second, millisecond, microsecond or nanosecond";
        TimeUnit::named(name).map(Some).ok_or_else(|| self.bad_attribute("timeUnit", expected))
    }

    pub(super) fn unexpected(self, parent: &str, remedy: &'static str) -> SchemaError {
        self.fault(Fault::Unexpected { element: self.name().to_owned(), parent: parent.to_owned(), remedy })
    }

    pub(super) fn bad_attribute(self, attribute: &str, expected: &'static str) -> SchemaError {
        let value = self.text_or_empty(attribute);
        self.fault_at(attribute, Fault::Attribute { attribute: attribute.to_owned(), value, expected })
    }

    pub(super) fn fault(self, fault: Fault) -> SchemaError {
        self.fault_from(self.node.range().start, fault)
    }

    /// A fault at an attribute; at the element if it has none of that name.
    pub(super) fn fault_at(self, attribute: &str, fault: Fault) -> SchemaError {
        self.fault_from(self.start_of(attribute), fault)
    }

    fn fault_from(self, byte: usize, fault: Fault) -> SchemaError {
        let place = self.node.document().text_pos_at(byte);
        SchemaError { origin: self.origin.to_owned(), line: place.row, column: place.col, fault }
    }

    /// A deviation at an attribute; at the element if it has none of that name.
    pub(super) fn warning_at(self, attribute: &str, deviation: Deviation) -> Warning {
        let place = self.node.document().text_pos_at(self.start_of(attribute));
        Warning { origin: self.origin.to_owned(), line: place.row, column: place.col, deviation }
    }

    fn start_of(self, attribute: &str) -> usize {
        self.node.attribute_node(attribute).map_or(self.node.range().start, |found| found.range().start)
    }
}
