//! A program that reads and writes messages of several schemas with the code that is generated for them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use oyez_sbe::{Field, Presence, Schema, Type};

use crate::block::{base_bytes, is_late};
use crate::items::{Kind, Named, is_nested};
use crate::message::constants;
use crate::names::{self, Scope, screaming, snake};
use crate::types::Types;
use crate::value::{Holder, Value, constant, literal};
use crate::{Options, generate};

/// Makes the program in this folder; schemas have their numbers by their order.
pub(super) fn build(folder: &Path, schemas: &[Schema]) -> PathBuf {
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime");
    let manifest = format!(
        "[package]\nname = \"generated\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[profile.dev]\ndebug = false\n\
         incremental = false\n\n[dependencies]\noyez-sbe-runtime = {{ path = {runtime:?} }}\n\n[workspace]\n"
    );
    let mut main = include_str!("generated_main.rs").to_owned();
    std::fs::create_dir_all(folder.join("src")).expect("the folder can be made");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("the file can be written");
    let mut table = String::new();
    for (number, schema) in schemas.iter().enumerate() {
        write(&format!("src/schema_{number}.rs"), &module(schema));
        main += &format!("mod schema_{number};\n");
        table += &format!("(schema_{number}::read, schema_{number}::rewrite), ");
    }
    main += "type Read = fn(&[u8], &mut Out) -> Result<usize, Failure>;\n";
    main += "type Rewrite = fn(&[u8], &mut [u8]) -> Result<usize, Failure>;\n";
    main += &format!("const SCHEMAS: &[(Read, Rewrite)] = &[{table}];\n");
    write("src/main.rs", &main);
    write("Cargo.toml", &manifest);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline"]).env("CARGO_TARGET_DIR", folder.join("target")).current_dir(folder);
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("target/debug/generated")
}

/// The generated code, and what calls all of it.
fn module(schema: &Schema) -> String {
    let mut scope = Scope::of_types();
    let types = Types::new(schema, &mut scope);
    let package = Scope::default().unique(names::module(&schema.package));
    let mut messages = scope.clone();
    let modules: Vec<_> = schema.messages.iter().map(|message| messages.unique(snake(&message.meta.name))).collect();
    let mut caller = Caller { schema, types, package, out: generate(schema, &Options::default()) };
    caller.line("use super::*;");
    caller.types();
    for read in [true, false] {
        let (name, target) = if read { ("read", "out: &mut Out") } else { ("rewrite", "out: &mut [u8]") };
        caller.line(format!("pub fn {name}(bytes: &[u8], {target}) -> Result<usize, Failure> {{"));
        caller.line(format!("let (header, _) = {}::header(bytes)?;", caller.package));
        caller.line("match header.template_id {");
        for (message, module) in schema.messages.iter().zip(&modules) {
            caller.line(format!("{} => {name}_{module}(bytes, out),", message.template_id));
        }
        caller.line("_ => Err(\"no such template\".into()),\n}\n}");
        for (message, module) in schema.messages.iter().zip(&modules) {
            let mut scope = scope.clone();
            let named = Named::new(&message.block, &mut scope, &["schema_version", "skip"]);
            let path = format!("{}::{module}", caller.package);
            caller.line(format!("fn {name}_{module}(bytes: &[u8], {target}) -> Result<usize, Failure> {{"));
            caller.line(format!("let r = {path}::decode(bytes)?;"));
            if read {
                caller.line("out.version = r.schema_version();\nlet whole = r;");
                caller.read(&named, &path, &scope);
                caller.line("Ok(bytes.len() - whole.skip()?.rest().len())\n}");
            } else {
                caller.line(format!("let w = {path}::encode(out, &{})?;", caller.fields(&named, &path)));
                caller.rewrite(&named, &path, &scope);
                caller.line("Ok(w)\n}");
            }
        }
    }
    caller.out
}

struct Caller<'s> {
    schema: &'s Schema,
    types: Types,
    package: String,
    out: String,
}

impl Caller<'_> {
    fn line(&mut self, line: impl std::fmt::Display) {
        writeln!(self.out, "{line}").expect("memory takes all");
    }

    /// How values of the schema's own types are shown.
    fn types(&mut self) {
        for (at, compiled) in self.schema.types.iter().enumerate() {
            let name = self.types.name(oyez_sbe::TypeId(at as u32)).to_owned();
            if name.is_empty() {
                continue;
            }
            self.line(format!(
                "impl Show for {}::{name} {{\nfn show(&self, name: &str, out: &mut Out) {{",
                self.package
            ));
            if let Type::Composite(composite) = compiled {
                self.line("out.put(name, \"{\");");
                let (mut members, mut scope) = (Scope::default(), Scope::default());
                for member in &composite.members {
                    match member.presence {
                        Presence::Constant => self.constant(member, "Self", &mut scope),
                        _ => {
                            let name = members.unique(snake(&member.meta.name));
                            self.line(format!("self.{name}.show({:?}, out);", member.meta.name));
                        }
                    }
                }
                self.line("out.text += \" }\";");
            } else {
                if let Type::Enum(symbols) = compiled
                    && symbols.value_of(symbols.null).is_none()
                {
                    let null = literal(symbols.null);
                    self.line(format!("if self.0 == {null} {{ return out.put(name, \"null\"); }}"));
                }
                self.line("self.0.show(name, out);");
            }
            self.line("}\n}");
        }
    }

    fn constant(&mut self, field: &Field, path: &str, scope: &mut Scope) {
        if constant(self.schema, &self.types, field).is_some() {
            let (name, since) = (scope.unique(screaming(&field.meta.name)), field.meta.since_version);
            self.line(format!("out.constant({:?}, {since}, {path}::{name});", field.meta.name));
        }
    }

    /// Shows what `r` reads.
    fn read(&mut self, named: &Named<'_>, path: &str, scope: &Scope) {
        let mut names = named.fields.iter();
        let mut constants = constants(scope);
        for field in &named.block.fields {
            match field.presence {
                Presence::Constant => self.constant(field, path, &mut constants),
                _ => {
                    let (field, name) = names.next().expect("all but constants are named");
                    self.line(format!("r.{name}().show({:?}, out);", field.meta.name));
                }
            }
        }
        for item in &named.items {
            let method = &item.method;
            match &item.kind {
                Kind::Group(group, module) => {
                    let name = &group.meta.name;
                    let present = if group.meta.since_version > 0 { "group.is_present()" } else { "true" };
                    let fails = if is_nested(&group.block) { "?" } else { "" };
                    self.line(format!("let group = r.{method}()?;"));
                    self.line(format!("if {present} {{ out.put({name:?}, format_args!(\"[{{}}\", group.count())); }}"));
                    self.line(format!("else {{ out.put({name:?}, \"null\"); }}"));
                    self.line(format!("for r in &group {{\nlet r = r{fails};\nout.text += \" {{\";"));
                    let mut scope = scope.clone();
                    let inner = Named::new(&group.block, &mut scope, &[]);
                    self.read(&inner, &format!("{path}::{module}"), &scope);
                    self.line("out.text += \" }\";\n}");
                    self.line(format!("if {present} {{ out.text += \" ]\"; }}\nlet r = group.end(){fails};"));
                }
                Kind::Data(data) => {
                    self.line(format!("let (data, r) = r.{method}()?;\ndata.show({:?}, out);", data.meta.name));
                }
            }
        }
    }

    /// The fields that `r` reads, to be written.
    fn fields(&self, named: &Named<'_>, path: &str) -> String {
        let base = base_bytes(named.block, false);
        let member = |(field, name): &(&Field, String)| {
            let value = Value::of(self.schema, &self.types, field);
            let maybe = |late| value.rust_type(Holder::Block, late);
            let absent = is_late(field, base) && maybe(true) != maybe(false);
            format!("{name}: r.{name}(){}, ", if absent { ".ok_or(\"a field is absent\")?" } else { "" })
        };
        format!("{path}::Fields {{ {} }}", named.fields.iter().map(member).collect::<String>())
    }

    /// Writes with `w` the groups and data that `r` reads.
    fn rewrite(&mut self, named: &Named<'_>, path: &str, scope: &Scope) {
        for item in &named.items {
            let method = &item.method;
            match &item.kind {
                Kind::Group(group, module) => {
                    let fails = if is_nested(&group.block) { "?" } else { "" };
                    self.line(format!("let group = r.{method}()?;\nlet mut entries = w.{method}()?;"));
                    self.line(format!("for r in &group {{\nlet r = r{fails};"));
                    let mut scope = scope.clone();
                    let (inner, path) = (Named::new(&group.block, &mut scope, &[]), format!("{path}::{module}"));
                    self.line(format!("entries = {{\nlet w = entries.push(&{})?;", self.fields(&inner, &path)));
                    self.rewrite(&inner, &path, &scope);
                    self.line(format!("w\n}};\n}}\nlet w = entries.end()?;\nlet r = group.end(){fails};"));
                }
                Kind::Data(data) => {
                    let absent = if data.meta.since_version > 0 { ".ok_or(\"data is absent\")?" } else { "" };
                    self.line(format!("let (data, r) = r.{method}()?;\nlet w = w.{method}(data{absent})?;"));
                }
            }
        }
    }
}
