//! A random schema, as XML.

use super::Choices;

pub(crate) const ID: u16 = 200;
pub(crate) const VERSION: u16 = 3;
const UNSIGNED: [&str; 4] = ["uint16", "uint8", "uint32", "uint64"];
const INTEGERS: [&str; 8] = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"];
const PRIMITIVES: [&str; 11] =
    ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float", "double", "char"];

/// What fields may name, and which of it is an enum.
#[derive(Default)]
struct Names {
    types: Vec<String>,
    enums: Vec<String>,
    dimensions: Vec<String>,
    data: Vec<String>,
}

struct Writer<'c> {
    choices: &'c mut Choices,
    xml: String,
    names: Names,
    number: u32,
}

pub(crate) fn schema(choices: &mut Choices) -> String {
    let order = choices.one_of(&["littleEndian", "bigEndian"]);
    let mut writer = Writer { choices, xml: String::new(), names: Names::default(), number: 0 };
    let begin = format!(
        "<messageSchema package=\"random\" id=\"{ID}\" version=\"{VERSION}\" byteOrder=\"{order}\">\n<types>\n"
    );
    writer.xml += &begin;
    writer.header();
    (0..1 + writer.choices.below(2)).for_each(|_| writer.dimension());
    (0..1 + writer.choices.below(3)).for_each(|_| writer.data_type());
    (0..1 + writer.choices.below(10)).for_each(|_| writer.declared());
    writer.xml += "</types>\n";
    for id in 1..=1 + writer.choices.below(2) {
        let block_length = writer.choices.one_of(&["", "", "", " blockLength=\"1200\""]);
        writer.line(&format!("<message name=\"Message{id}\" id=\"{id}\"{block_length}>"));
        writer.block(0);
        writer.xml += "</message>\n";
    }
    writer.xml + "</messageSchema>\n"
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.xml += text;
        self.xml.push('\n');
    }

    fn name(&mut self, kind: &str) -> String {
        self.number += 1;
        format!("{kind}{}", self.number)
    }

    /// Members in random order, other members between them, and gaps.
    fn composite_of(&mut self, name: &str, mut members: Vec<String>) {
        for _ in 0..if self.choices.once_in(2) { self.choices.below(3) } else { 0 } {
            let extra = self.name("extra");
            let at = self.choices.below(members.len() + 1);
            members.insert(at, self.member(&extra, 0));
        }
        if self.choices.once_in(3) {
            members.reverse();
        }
        self.line(&format!("<composite name=\"{name}\">"));
        members.iter().for_each(|member| self.line(member));
        self.line("</composite>");
    }

    fn header(&mut self) {
        let mut members: Vec<_> = ["blockLength", "templateId", "version"]
            .map(|name| {
                let primitive = if name == "blockLength" {
                    self.choices.one_of(&["uint16", "uint32"])
                } else {
                    self.choices.one_of(&UNSIGNED)
                };
                format!("<type name=\"{name}\" primitiveType=\"{primitive}\"{}/>", self.optional())
            })
            .into();
        members.insert(
            2,
            match self.choices.once_in(5) {
                false => format!("<type name=\"schemaId\" primitiveType=\"{}\"/>", self.choices.one_of(&UNSIGNED)),
                true => format!("<type name=\"schemaId\" primitiveType=\"uint16\" presence=\"constant\">{ID}</type>"),
            },
        );
        self.composite_of("messageHeader", members);
    }

    fn dimension(&mut self) {
        let name =
            if self.names.dimensions.is_empty() { "groupSizeEncoding".to_owned() } else { self.name("dimension") };
        let members = ["blockLength", "numInGroup"]
            .map(|member| {
                let primitive = self.choices.one_of(&UNSIGNED);
                format!("<type name=\"{member}\" primitiveType=\"{primitive}\"{}/>", self.optional())
            })
            .into();
        self.composite_of(&name, members);
        self.names.dimensions.push(name);
    }

    fn data_type(&mut self) {
        let name = self.name("data");
        let charset = self.choices.one_of(&[
            "",
            " characterEncoding=\"UTF-8\"",
            " characterEncoding=\"ISO-8859-1\"",
            " characterEncoding=\"UTF-16\"",
        ]);
        let length = format!("<type name=\"length\" primitiveType=\"{}\"/>", self.choices.one_of(&UNSIGNED));
        self.line(&format!("<composite name=\"{name}\">\n{length}"));
        if self.choices.once_in(4) {
            let extra = self.member("extra", 0);
            self.line(&extra);
        }
        let primitive = self.choices.one_of(&["uint8", "char"]);
        self.line(&format!(
            "<type name=\"varData\" primitiveType=\"{primitive}\" length=\"0\"{charset}/>\n</composite>"
        ));
        self.names.data.push(name);
    }

    fn optional(&mut self) -> &'static str {
        self.choices.one_of(&["", "", " presence=\"optional\""])
    }

    fn since(&mut self) -> &'static str {
        self.choices.one_of(&["", "", "", " sinceVersion=\"1\"", " sinceVersion=\"3\"", " sinceVersion=\"4\""])
    }

    /// A declared type of any kind.
    fn declared(&mut self) {
        let name = self.name("type");
        let xml = self.member(&name, 0);
        self.line(&xml);
        if xml.starts_with("<enum") {
            self.names.enums.push(name.clone());
        }
        self.names.types.push(name);
    }

    /// A type, which can stand in a composite or be declared.
    fn member(&mut self, name: &str, depth: u32) -> String {
        match self.choices.below(if depth < 3 { 9 } else { 6 }) {
            0 | 1 => self.encoding(name),
            2 => self.array(name),
            3 => self.constant(name),
            4 => self.symbols(name),
            5 => self.set(name),
            6 => self.decimal(name),
            7 => self.timestamp(name),
            _ => {
                let members: String = (0..1 + self.choices.below(3))
                    .map(|at| {
                        let inner = format!("m{at}");
                        let mut member = self.member(&inner, depth + 1);
                        let since = self.since();
                        if depth > 0 || since.is_empty() {
                            return member + "\n";
                        }
                        member.insert_str(member.find(" name").unwrap_or(0), since);
                        member + "\n"
                    })
                    .collect();
                format!("<composite name=\"{name}\">\n{members}</composite>")
            }
        }
    }

    fn null(&mut self) -> &'static str {
        self.choices.one_of(&["", "", "", " nullValue=\"77\"", " nullValue=\"0\""])
    }

    fn encoding(&mut self, name: &str) -> String {
        let (primitive, null, optional) = (self.choices.one_of(&PRIMITIVES), self.null(), self.optional());
        let time = self.choices.one_of(&[
            "",
            "",
            " semanticType=\"UTCTimestamp\"",
            " semanticType=\"UTCTimestamp\" timeUnit=\"second\"",
            " semanticType=\"UTCTimestamp\" timeUnit=\"microsecond\"",
        ]);
        let charset = if self.choices.once_in(4) { " characterEncoding=\"ISO-8859-1\"" } else { "" };
        format!("<type name=\"{name}\" primitiveType=\"{primitive}\"{null}{optional}{time}{charset}/>")
    }

    fn array(&mut self, name: &str) -> String {
        let (primitive, null, optional) = (self.choices.one_of(&PRIMITIVES), self.null(), self.optional());
        let charset = self.choices.one_of(&["", " characterEncoding=\"UTF-8\"", " characterEncoding=\"ISO-8859-1\""]);
        let length = self.choices.one_of(&[2, 3, 5, 8, 0]);
        format!("<type name=\"{name}\" primitiveType=\"{primitive}\" length=\"{length}\"{null}{optional}{charset}/>")
    }

    fn constant(&mut self, name: &str) -> String {
        let (primitive, value) =
            self.choices.one_of(&[("uint8", "7"), ("int64", "-7"), ("double", "1.5"), ("char", "K")]);
        format!("<type name=\"{name}\" primitiveType=\"{primitive}\" presence=\"constant\">{value}</type>")
    }

    fn symbols(&mut self, name: &str) -> String {
        let char = self.choices.once_in(3);
        let primitive = if char { "char" } else { self.choices.one_of(&INTEGERS) };
        let value = |at: usize| if char { char::from(b'A' + at as u8).to_string() } else { at.to_string() };
        let values: String = (0..1 + self.choices.below(4))
            .map(|at| format!("<validValue name=\"V{at}\">{}</validValue>", value(at)))
            .collect();
        let null = if char { "" } else { self.null() };
        format!("<enum name=\"{name}\" encodingType=\"{primitive}\"{null}>{values}</enum>")
    }

    fn set(&mut self, name: &str) -> String {
        let primitive = self.choices.one_of(&UNSIGNED);
        let choices: String =
            (0..1 + self.choices.below(7)).map(|bit| format!("<choice name=\"C{bit}\">{bit}</choice>")).collect();
        format!("<set name=\"{name}\" encodingType=\"{primitive}\">{choices}</set>")
    }

    fn decimal(&mut self, name: &str) -> String {
        let (primitive, null, optional) = (self.choices.one_of(&INTEGERS), self.null(), self.optional());
        let (since, offset) = (self.since(), self.choices.one_of(&["", " offset=\"11\""]));
        let exponent = match self.choices.below(3) {
            0 => format!("presence=\"constant\"{since}>{}</type>", self.choices.one_of(&["-4", "0", "2", "-9"])),
            1 => format!("{offset}{since}/>"),
            _ => format!("presence=\"optional\"{since}/>"),
        };
        format!(
            "<composite name=\"{name}\"><type name=\"mantissa\" primitiveType=\"{primitive}\"{null}{optional}/>\
             <type name=\"exponent\" primitiveType=\"int8\" {exponent}</composite>"
        )
    }

    fn timestamp(&mut self, name: &str) -> String {
        let (primitive, optional, offset) =
            (self.choices.one_of(&INTEGERS), self.optional(), self.choices.one_of(&["", " offset=\"2\""]));
        let unit = self.choices.one_of(&[9, 6, 3, 0]);
        let since = self.since();
        format!(
            "<composite name=\"{name}\"><type name=\"time\" primitiveType=\"{primitive}\"{optional}{offset}{since}/>\
             <type name=\"unit\" primitiveType=\"uint8\" presence=\"constant\">{unit}</type></composite>"
        )
    }

    fn block(&mut self, depth: u32) {
        let mut end = 0;
        for _ in 0..self.choices.below(8) {
            self.field(&mut end);
        }
        if depth < 3 {
            for at in 0..self.choices.one_of(&[0, 0, 1, 1, 2]) {
                self.group(depth, at == 0);
            }
        }
        for at in 0..self.choices.one_of(&[0, 0, 1, 2]) {
            let (mut name, since) = (self.name("text"), self.since());
            // Names that are ours with a `_` before them.
            if at == 0 && self.choices.once_in(4) {
                name = "t".to_owned();
            }
            let type_name = self.names.data[self.choices.below(self.names.data.len())].clone();
            self.line(&format!("<data name=\"{name}\" id=\"{}\" type=\"{type_name}\"{since}/>", self.number));
        }
    }

    fn field(&mut self, end: &mut u32) {
        let (name, optional, since) = (self.name("field"), self.optional(), self.since());
        let id = self.number;
        if !self.names.enums.is_empty() && self.choices.once_in(8) {
            let symbols = self.names.enums[0].clone();
            self.line(&format!("<field name=\"{name}\" id=\"{id}\" type=\"{symbols}\" presence=\"constant\" valueRef=\"{symbols}.V0\"{since}/>"));
            return;
        }
        let type_name = match self.choices.once_in(4) {
            true => self.choices.one_of(&PRIMITIVES).to_owned(),
            false => self.names.types[self.choices.below(self.names.types.len())].clone(),
        };
        // No type has 128 bytes.
        *end += 128;
        let offset = if self.choices.once_in(4) { format!(" offset=\"{end}\"") } else { String::new() };
        self.line(&format!("<field name=\"{name}\" id=\"{id}\" type=\"{type_name}\"{optional}{since}{offset}/>"));
    }

    fn group(&mut self, depth: u32, first: bool) {
        let (mut name, since) = (self.name("group"), self.since());
        if first && self.choices.once_in(4) {
            name = "header".to_owned();
        }
        let dimension = self.names.dimensions[self.choices.below(self.names.dimensions.len())].clone();
        let id = self.number;
        self.line(&format!("<group name=\"{name}\" id=\"{id}\" dimensionType=\"{dimension}\"{since}>"));
        self.block(depth + 1);
        self.line("</group>");
    }
}
