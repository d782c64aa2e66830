//! `oyez sbe describe`: what stands where.

use std::path::Path;

use oyez_sbe::{Message, Presence, Row, RowKind, Schema};
use serde::Serialize;

use crate::args::Format;
use crate::failure::{Answer, Failure};
use crate::output::{Output, Table};

/// A message and its layout.
#[derive(Serialize)]
struct Described {
    message: String,
    template_id: u16,
    since: u16,
    deprecated: Option<u16>,
    description: String,
    /// The length of the block, without header, groups and data.
    block_bytes: u32,
    /// Header, block, and every group and all data empty.
    least_bytes: u32,
    layout: Vec<Line>,
}

/// One line of a layout.
#[derive(Serialize)]
struct Line {
    depth: u32,
    kind: &'static str,
    name: String,
    id: u16,
    /// From the start of the block or entry; nothing behind it.
    offset: Option<u32>,
    size_bytes: u32,
    #[serde(rename = "type")]
    type_text: String,
    presence: &'static str,
    null: Option<String>,
    constant: Option<String>,
    since: u16,
    deprecated: Option<u16>,
    description: String,
}

pub(super) fn run(path: &Path, message: Option<&str>, output: &mut Output) -> Result<Answer, Failure> {
    let schema = Schema::load(path)?;
    let messages = match message {
        Some(name) => vec![find(path, &schema, name)?],
        None => schema.messages.iter().collect(),
    };
    let described: Vec<_> = messages.into_iter().map(|message| Described::of(&schema, message)).collect();
    match (output.format, message, &described[..]) {
        (Format::Json, ..) => described.iter().try_for_each(|described| output.json(described))?,
        (Format::Text, Some(_), [one]) => layout(one, output)?,
        (Format::Text, ..) => overview(&schema, &described, output)?,
    }
    Ok(Answer::Yes)
}

fn find<'a>(path: &Path, schema: &'a Schema, name: &str) -> Result<&'a Message, Failure> {
    let by_template = || schema.message_by_template(name.parse().ok()?);
    schema.message_by_name(name).or_else(by_template).ok_or_else(|| {
        let path = path.display();
        format!("{path}: no message has the name or template id {name}; `oyez sbe describe {path}` lists them").into()
    })
}

impl Described {
    fn of(schema: &Schema, message: &Message) -> Described {
        Described {
            message: message.meta.name.to_string(),
            template_id: message.template_id,
            since: message.meta.since_version,
            deprecated: message.meta.deprecated,
            description: message.meta.description.clone(),
            block_bytes: message.block.length_bytes,
            least_bytes: schema.least_bytes(message),
            layout: schema.layout(message).into_iter().map(Line::of).collect(),
        }
    }
}

impl Line {
    fn of(row: Row) -> Line {
        Line {
            depth: row.depth,
            kind: match row.kind {
                RowKind::Field => "field",
                RowKind::Member => "member",
                RowKind::Group => "group",
                RowKind::Data => "data",
            },
            presence: match row.presence {
                Presence::Required => "required",
                Presence::Optional => "optional",
                Presence::Constant => "constant",
            },
            name: row.meta.name.to_string(),
            id: row.id,
            offset: row.offset,
            size_bytes: row.size_bytes,
            type_text: row.type_text,
            null: row.null,
            constant: row.constant,
            since: row.meta.since_version,
            deprecated: row.meta.deprecated,
            description: row.meta.description,
        }
    }

    /// As a row of the table: what is not there is empty.
    fn cells(&self) -> [String; 8] {
        let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
        let value = match (&self.null, &self.constant) {
            (Some(null), _) => format!("null {null}"),
            (_, Some(constant)) => format!("= {constant}"),
            _ => String::new(),
        };
        let deprecated = self.deprecated.map_or_else(String::new, |version| format!(", deprecated {version}"));
        [
            number(self.offset),
            self.size_bytes.to_string(),
            format!("{}{}", "  ".repeat(self.depth as usize), self.name),
            self.type_text.clone(),
            if self.kind == "field" || self.kind == "member" { self.presence } else { self.kind }.to_owned(),
            value,
            format!("{}{deprecated}", self.since),
            self.description.clone(),
        ]
    }
}

fn overview(schema: &Schema, messages: &[Described], output: &mut Output) -> Result<(), Failure> {
    let order = format!("{:?}", schema.byte_order).to_lowercase();
    let (package, header) = (&schema.package, schema.header().size_bytes);
    output.line(format_args!(
        "{package}: id {}, version {}, {order} endian, message header of {header} bytes",
        schema.id, schema.version
    ))?;
    let mut table = Table::new(["TEMPLATE", "BLOCK", "LEAST", "MESSAGE", "SINCE", "DESCRIPTION"]).right(3);
    for message in messages {
        table.row([
            message.template_id.to_string(),
            message.block_bytes.to_string(),
            message.least_bytes.to_string(),
            message.message.clone(),
            message.since.to_string(),
            message.description.clone(),
        ]);
    }
    output.table(&table)
}

fn layout(message: &Described, output: &mut Output) -> Result<(), Failure> {
    let Described { message: name, template_id, block_bytes, least_bytes, .. } = message;
    output.line(format_args!(
        "{name}: template {template_id}, block of {block_bytes} bytes, at least {least_bytes} bytes with the header"
    ))?;
    let mut table =
        Table::new(["OFFSET", "SIZE", "NAME", "TYPE", "PRESENCE", "VALUE", "SINCE", "DESCRIPTION"]).right(2);
    message.layout.iter().for_each(|line| table.row(line.cells()));
    output.table(&table)
}
